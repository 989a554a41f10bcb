"""A real Postgres for the length of a benchmark: durable, temporary, with the logins that production has."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import asyncpg

from backends.postgres.embedded import EmbeddedPostgres, ServerOptions
from backends.postgres.migrate import migrate
from backends.postgres.roles import ensure_writer
from backends.postgres.sql import BLOBS, RECORDS
from broker.log.postgres import PostgresLog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ROLE = "custody_bench"
SERVER_SETTINGS = {
    "shared_buffers": "512MB",
    # No checkpoint of the clock's own falls into a run: one is made before each.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
_LOG, _BLOBS, _TEMPLATE = "bench_log", "bench_blobs", "bench_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database: `dsn` for the least-privileged login that the work is done with, `admin_dsn` for looking at it."""

    name: str
    dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The server, the log on it, and as many record stores as are asked for."""

    server: EmbeddedPostgres
    password: str = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def log(self) -> Place:
        return self._place(_LOG)

    @property
    def blobs(self) -> Place:
        return self._place(_BLOBS)

    async def prepare(self) -> None:
        """Makes the databases and the login."""
        for name in (_LOG, _BLOBS, _TEMPLATE):
            await self.server.create_database(name)
        for name, schema in ((_TEMPLATE, RECORDS), (_BLOBS, BLOBS)):
            await migrate(self.server.dsn(name), schema)
            await ensure_writer(self.server.dsn(name), ROLE, self.password, schema=schema)
        await PostgresLog.migrate(self.server.dsn(_LOG), grant_to=[ROLE])

    @asynccontextmanager
    async def fresh_records(self) -> AsyncGenerator[Place]:
        """An empty record store until the block is left. Begins with a checkpoint, so that each run starts alike."""
        name = f"bench_records_{next(self._numbers)}"
        await self.server.create_database(name, template=_TEMPLATE)
        await self.execute("CHECKPOINT")
        try:
            yield self._place(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Runs a statement as the superuser."""
        connection = await asyncpg.connect(self.server.dsn(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def version(self) -> str:
        """The server's version."""
        connection = await asyncpg.connect(self.server.dsn())
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    def _place(self, name: str) -> Place:
        own = self.server.dsn(name, user=ROLE, password=self.password)
        return Place(name=name, dsn=own, admin_dsn=self.server.dsn(name))


@asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """A server of the benchmark's own, gone when the block is left."""
    async with await EmbeddedPostgres.start(ServerOptions(settings=SERVER_SETTINGS)) as server:
        stage = Stage(server=server, password=secrets.token_hex(16))
        await stage.prepare()
        yield stage
