"""A real Postgres for the length of a benchmark: durable, temporary, with the logins that production has."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
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
_MEBIBYTE = 2**20
SERVER_SETTINGS = {
    # A quarter of the memory, as its documentation has it for a server of its own:
    # https://www.postgresql.org/docs/18/runtime-config-resource.html, 2026-11.
    "shared_buffers": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 4 // _MEBIBYTE}MB",
    # No checkpoint of the clock's own falls into a run: one is made before each. What it frees is used again, as on a
    # server that has run for a while: making and filling a new file of 16 MiB holds commits up.
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "1h",
}
WAL_BYTES = "SELECT pg_current_wal_insert_lsn() - pg_lsn '0/0'"
"""What the server has written ahead since it was made."""


class Kind(StrEnum):
    """What a database is for."""

    LOG = "log"
    RECORDS = "records"
    BLOBS = "blobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database: `dsn` for the least-privileged login that the work is done with, `admin_dsn` for looking at it."""

    name: str
    dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The server, and as many databases of each kind on it as are asked for."""

    server: EmbeddedPostgres
    password: str = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def prepare(self) -> None:
        """Makes a template of each kind, and the login."""
        for kind in Kind:
            await self.server.create_database(_template(kind))
        for kind, schema in ((Kind.RECORDS, RECORDS), (Kind.BLOBS, BLOBS)):
            admin_dsn = self.server.dsn(_template(kind))
            await migrate(admin_dsn, schema)
            await ensure_writer(admin_dsn, ROLE, self.password, schema=schema)
        await PostgresLog.migrate(self.server.dsn(_template(Kind.LOG)), grant_to=[ROLE])

    @asynccontextmanager
    async def fresh(self, kind: Kind) -> AsyncGenerator[Place]:
        """An empty log or store until the block is left. Begins with a checkpoint, so that each run starts alike."""
        name = f"bench_{kind}_{next(self._numbers)}"
        admin_dsn = await self.server.create_database(name, template=_template(kind))
        await self.execute("CHECKPOINT")
        try:
            yield Place(name=name, dsn=self.server.dsn(name, user=ROLE, password=self.password), admin_dsn=admin_dsn)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, *, place: Place | None = None) -> None:
        """Runs a statement as the superuser."""
        connection = await asyncpg.connect(place.admin_dsn if place else self.server.dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def version(self) -> str:
        """The server's version."""
        return await self.shown("server_version")

    async def shown(self, setting: str) -> str:
        """One of the server's settings, as it has it."""
        connection = await asyncpg.connect(self.server.dsn())
        try:
            return str(await connection.fetchval(f"SHOW {setting}"))
        finally:
            await connection.close()


@asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """A server of the benchmark's own, gone when the block is left."""
    async with await EmbeddedPostgres.start(ServerOptions(settings=SERVER_SETTINGS)) as server:
        stage = Stage(server=server, password=secrets.token_hex(16))
        await stage.prepare()
        yield stage


def _template(kind: Kind) -> str:
    return f"bench_{kind}_template"
