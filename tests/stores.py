"""Stores for tests on a shared server: a database each, copied from one that was migrated once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from backends.postgres.migrate import migrate
from backends.postgres.roles import ensure_writer
from backends.postgres.sql import BLOBS, RECORDS
from broker.core.errors import StoreUnavailableError
from tests.servers import as_role, database_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from broker.core.ports import Arrived, RecordStore
    from tests.servers import SharedPostgres

WRITER = "custody_tests"
PASSWORD = "only-for-tests"

_templates: dict[str, str] = {}
"""The migrated database of each server, by the server's DSN."""


@asynccontextmanager
async def store_database(server: SharedPostgres) -> AsyncGenerator[str]:
    """The superuser's DSN of a database with the schemas of records and of blobs."""
    if server.dsn not in _templates:
        template = await server.create_database()
        for schema in (RECORDS, BLOBS):
            await migrate(template, schema)
            await ensure_writer(template, WRITER, PASSWORD, schema=schema)
        _templates[server.dsn] = template
    dsn = await server.create_database(template=database_of(_templates[server.dsn]))
    try:
        yield dsn
    finally:
        await server.drop_database(dsn)


def as_writer(dsn: str) -> str:
    """The writer's login to the same database."""
    return as_role(dsn, WRITER, PASSWORD)


async def execute(dsn: str, statement: str, *arguments: object) -> str:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        status: str = await connection.execute(statement, *arguments)
    finally:
        await connection.close()
    return status


async def fetch(dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def until_kept(store: RecordStore, entry: Arrived, *, tries: int = 50) -> list[str]:
    """The outcome of keeping an entry, once the store is there."""
    for _ in range(tries):
        try:
            return [one.outcome for one in await store.keep([entry])]
        except StoreUnavailableError:
            await asyncio.sleep(0.05)
    return []
