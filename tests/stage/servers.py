"""The servers a stage stands on: one Postgres for all three roles, or one for each, that may be stopped alone.

Where the log is on Kafka, a cluster stands beside them, whose brokers may be killed, frozen and restarted.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from backends.postgres.embedded import EmbeddedPostgres, ServerOptions, identifier
from broker.log.kafka.local import ClusterOptions, KafkaCluster
from tests.kafka_clients import clear
from tests.kafka_servers import private_kafka
from tests.servers import as_role, private_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ROLES = ("log", "records", "blobs")
_TUNING = {"max_connections": "200", "max_wal_size": "1GB", "shared_buffers": "32MB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A server for each role, and the databases and logins of one stage on them.

    `kafka` is the cluster of a stage with its log there. It is that stage's alone as long as the stage lasts: the
    names of topics and groups are fixed.
    """

    by_role: Mapping[str, EmbeddedPostgres]
    suffix: str
    password: str
    kafka: KafkaCluster | None = None

    @classmethod
    async def prepared(cls, by_role: Mapping[str, EmbeddedPostgres], *, kafka: KafkaCluster | None = None) -> Servers:
        """Fresh databases, named apart from those of other stages, and a Kafka without Custody's topics."""
        made = cls(by_role=by_role, suffix=secrets.token_hex(4), password=secrets.token_hex(16), kafka=kafka)
        if kafka is not None:
            await clear(kafka.bootstrap)
        for role, server in by_role.items():
            await server.create_database(made.database(role), template="template0")
        return made

    def database(self, role: str) -> str:
        return f"stage_{role}_{self.suffix}"

    def login(self, role: str) -> str:
        """The login that Custody uses, with no more rights than in production."""
        return f"stage_{role}_{self.suffix}"

    def admin_dsn(self, role: str) -> str:
        """The superuser's address of a role's database."""
        return self.by_role[role].dsn(self.database(role))

    def dsn(self, role: str) -> str:
        """The address that Custody uses."""
        return as_role(self.admin_dsn(role), self.login(role), self.password)

    async def execute(self, role: str, *statements: str) -> None:
        """Runs statements as superuser."""
        connection = await asyncpg.connect(self.admin_dsn(role))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def fetch(self, role: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """A statement's rows, as superuser: whom no row security holds back."""
        connection = await asyncpg.connect(self.admin_dsn(role))
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def refuse(self, role: str) -> None:
        """The server takes the login's password no more, and cuts off who is there."""
        await self.execute(
            role,
            f"ALTER ROLE {identifier(self.login(role))} PASSWORD 'another'",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.login(role)}'",
        )

    async def accept(self, role: str) -> None:
        """The server takes the password again."""
        await self.execute(role, f"ALTER ROLE {identifier(self.login(role))} PASSWORD '{self.password}'")

    async def drop(self) -> None:
        """Takes the databases away, from servers that others use on."""
        for role, server in self.by_role.items():
            if not server.running:
                continue
            connection = await asyncpg.connect(server.dsn())
            try:
                await connection.execute(f"DROP DATABASE {identifier(self.database(role))} WITH (FORCE)")
            finally:
                await connection.close()

    def cluster(self) -> KafkaCluster:
        """The Kafka under the log. `LookupError` where there is none."""
        if self.kafka is None:
            raise LookupError("no Kafka stands beside these servers: Servers.prepared(.., kafka=cluster)")
        return self.kafka


@asynccontextmanager
async def one_server() -> AsyncGenerator[EmbeddedPostgres]:
    """One server for all roles."""
    async with private_postgres(_options()) as server:
        yield server


@asynccontextmanager
async def three_servers() -> AsyncGenerator[Mapping[str, EmbeddedPostgres]]:
    """A server for each role."""
    async with AsyncExitStack() as exits:
        yield {role: await exits.enter_async_context(private_postgres(_options())) for role in ROLES}


@asynccontextmanager
async def cluster(brokers: int = 1) -> AsyncGenerator[KafkaCluster]:
    """A Kafka for the log."""
    async with private_kafka(ClusterOptions(brokers=brokers)) as started:
        yield started


def _options() -> ServerOptions:
    """Without fsync: what a killed server loses by that is nothing, and a power cut is not among the tests."""
    return ServerOptions(fsync=False, settings=_TUNING)
