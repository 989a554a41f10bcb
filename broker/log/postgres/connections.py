"""Connections to the log's database: a pool for short work, dedicated ones for what must not wait for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self
from uuid import UUID, uuid5

import asyncpg

from broker.core.errors import LogChangedError, LogUnavailableError, SchemaError, SettingsError
from broker.log.postgres.errors import DRIVER_ERRORS, guarded, is_lost, translated
from broker.log.postgres.queries import migrations, queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, TypeAlias

    from asyncpg.pool import PoolConnectionProxy

    from broker.core.errors import CustodyError
    from broker.log.postgres.options import PostgresLogOptions

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Dsn: TypeAlias = str | Callable[[], str]


ENDS_OLD_TRANSACTIONS = 17
"""From this version on the server can end a transaction by its age.

A client that hangs after preparing a statement, or amid a COPY, is waited for without end otherwise, and keeps its
locks: neither `statement_timeout` nor `idle_in_transaction_session_timeout` runs meanwhile.
Source: https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT.
"""


class Connections:
    """Opens connections, and looks at the server behind each before it is used.

    Each is direct: a pooler that hands a session to several clients loses notifications. The address is asked for anew
    each time, so that a renewed password is found.
    """

    def __init__(self, dsn: Dsn, options: PostgresLogOptions) -> None:
        self._dsn = dsn
        self._options = options
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._identity: str | None = None
        self._closed = False

    @classmethod
    async def open(cls, dsn: Dsn, options: PostgresLogOptions) -> Self:
        """A pool that has seen its server. Raises what `PostgresLog.open` does."""
        connections = cls(dsn, options)
        await connections._open()
        return connections

    @property
    def identity(self) -> str:
        """The log's identity, as the first connection found it."""
        if self._identity is None:
            raise LogUnavailableError("the log has not been opened")
        return self._identity

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """A connection of the pool. One that may be in the middle of something is not given back."""
        if self._pool is None or self._closed:
            raise LogUnavailableError("the log is closed: open it again")
        async with self._pool.acquire(timeout=self._options.timeout_seconds) as connection:
            try:
                yield connection
            except BaseException as error:
                if is_lost(error):
                    connection.terminate()
                raise

    async def dedicate(self, **settings: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of the caller's own, which also ends it. `settings` are the server's, for this session."""
        connection = await self._connect(**self._arguments(settings))
        try:
            await self._inspect(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def close(self) -> None:
        """Ends the pool. What is under way may finish, within the time of a statement."""
        self._closed = True
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                await self._pool.close()
        except DRIVER_ERRORS:
            self._pool.terminate()

    @guarded("connecting")
    async def _open(self) -> None:
        self._pool = asyncpg.create_pool(
            min_size=0,
            max_size=self._options.pool_size,
            connect=self._connect,
            init=self._inspect,
            reset=_leave,
            **self._arguments({}),
        )
        await self._pool
        async with self.borrow():
            pass

    async def _connect(
        self,
        dsn: str | None = None,  # noqa: ARG002 - the pool's own, which has none
        **arguments: Any,  # noqa: ANN401 - asyncpg's own
    ) -> asyncpg.Connection[asyncpg.Record]:
        """Connects to the address as it is now. Once the log was open, one that is none is an outage like any other."""
        try:
            address = self._dsn if isinstance(self._dsn, str) else self._dsn()
            return await asyncpg.connect(address, **arguments)
        except SettingsError as error:
            problem: CustodyError = error
        except ValueError as error:
            problem = translated(error, "connecting")
        if self._identity is not None:
            raise LogUnavailableError("the log's address can't be read or used; mend it, or try again later")
        raise problem

    def _arguments(self, settings: dict[str, str]) -> dict[str, Any]:
        options = self._options
        milliseconds = str(options.statement_milliseconds)
        return {
            "timeout": options.connect_timeout_seconds,
            "command_timeout": options.timeout_seconds,
            "server_settings": {
                "application_name": "custody-log",
                # Durable on return is the log's promise: never left to a server's or a role's default.
                "synchronous_commit": "on",
                # A client that stalls in a transaction holds partitions: the server ends it.
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                "tcp_keepalives_idle": "15",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                # Every query walks an index in order; statistics of a table that only grows would say otherwise.
                "jit": "off",
                "enable_seqscan": "off",
                "enable_bitmapscan": "off",
                "max_parallel_workers_per_gather": "0",
                **settings,
            },
        }

    async def _inspect(self, connection: Connection) -> None:
        """Refuses a server that breaks the log's promises, or that is another log than before. Bounds transactions."""
        found = await connection.fetchrow(queries()["inspect_session"])
        known = migrations()[-1].version
        if found is None or found["version"] is None or found["version"] < known:
            raise SchemaError("the log's schema is older than this version of Custody: migrate it with: custody init")
        if found["version"] > known:
            raise SchemaError("the log's schema is newer than this version of Custody knows: upgrade Custody")
        if found["fsync"] != "on" and not self._options.allow_unsafe_server:
            finding = "the log's Postgres: fsync is off, so that it forgets what it acknowledged; set fsync = on"
            raise SettingsError([finding])
        self._recognise(identity_of(found["log_id"], made_at=found["made_at"], here=found["here"]))
        if connection.get_server_version().major >= ENDS_OLD_TRANSACTIONS:
            await connection.execute(f"SET transaction_timeout = {self._options.transaction_milliseconds}")

    def _recognise(self, identity: str) -> None:
        if self._identity is None:
            self._identity = identity
        elif self._identity != identity:
            raise LogChangedError("behind the log's address is another log now, or a restored one: look, then restart")


async def end(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Says goodbye to the server, if it still listens."""
    try:
        await connection.close(timeout=1)
    except DRIVER_ERRORS:
        connection.terminate()


def identity_of(log_id: UUID, *, made_at: str, here: str) -> str:
    """The id made by the first migration, where that was; an id of its own for a copy that runs elsewhere."""
    return str(log_id if made_at == here else uuid5(log_id, here))


async def _leave(_: Connection) -> None:
    """Nothing is ever changed in a session, so that there is nothing to reset between two uses."""
