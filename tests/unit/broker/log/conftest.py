"""A migrated database, and logs on it that are closed after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import asyncpg
import pytest_asyncio

from broker.log.postgres import PostgresLog, PostgresLogOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LAZY = PostgresLogOptions(allow_unsafe_server=True, lease_seconds=600, poll_seconds=600)
"""Looks at nothing by itself: whatever happens was announced. The tests' server runs without fsync."""


class OpenLog(Protocol):
    """Opens a log on the test's database."""

    async def __call__(self, options: PostgresLogOptions = ...) -> PostgresLog: ...


@pytest_asyncio.fixture
async def open_log(database: str) -> AsyncIterator[OpenLog]:
    await PostgresLog.migrate(database)
    opened: list[PostgresLog] = []

    async def open_log(options: PostgresLogOptions = LAZY) -> PostgresLog:
        opened.append(await PostgresLog.open(database, options=options))
        return opened[-1]

    yield open_log
    for log in opened:
        await log.close()


@pytest_asyncio.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(database)
    yield connection
    await connection.close()
