"""The event log's contract, on Postgres: a fresh database for each test, used as production uses it."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest_asyncio

from broker.log.postgres import PostgresLog, PostgresLogOptions
from tests.contract.event_log import EventLogContract
from tests.servers import as_role, database_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.core.ports import EventLog
    from tests.contract.event_log import LogFactory
    from tests.servers import SharedPostgres


class PostgresLogs:
    """Clients that log in as a mere member of the log's role."""

    largest_value_bytes = 4 * 2**20

    def __init__(self, server: SharedPostgres, dsn: str, database: str) -> None:
        self._server = server
        self._dsn = dsn
        self._database = database
        self._opened: list[PostgresLog] = []

    async def open(self, *, lease_seconds: float = 30.0, idle_seconds: float = 300.0) -> EventLog:
        # The tests' server runs without fsync.
        options = PostgresLogOptions(lease_seconds=lease_seconds, idle_seconds=idle_seconds, allow_unsafe_server=True)
        log = await PostgresLog.open(self._dsn, options=options)
        self._opened.append(log)
        return log

    def stall(self, log: EventLog) -> None:
        assert isinstance(log, PostgresLog)
        for subscription in log._subscriptions:
            assert subscription._heartbeat is not None
            subscription._heartbeat.cancel()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        await self._server.execute(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
        await self._server.execute(
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{self._database}'"
        )
        yield
        await self._server.execute(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")

    async def close(self) -> None:
        await asyncio.gather(*(log.close() for log in self._opened))


@asynccontextmanager
async def postgres_logs(server: SharedPostgres, database: str) -> AsyncIterator[PostgresLogs]:
    """A factory on an empty database, with a login of its own."""
    user, password = f"log_{secrets.token_hex(6)}", secrets.token_hex(8)
    await server.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
    await PostgresLog.migrate(database, grant_to=[user])
    factory = PostgresLogs(server, as_role(database, user, password), database_of(database))
    try:
        yield factory
    finally:
        await factory.close()
        await server.execute(f"DROP ROLE {user}")


class TestPostgresLog(EventLogContract):
    @pytest_asyncio.fixture
    async def logs(self, postgres_server: SharedPostgres, database: str) -> AsyncIterator[LogFactory]:
        async with postgres_logs(postgres_server, database) as factory:
            yield factory
