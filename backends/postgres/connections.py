"""Connections to a store's database: opened as needed, inspected before use, dropped when in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import asyncpg

from backends.postgres.errors import DRIVER_ERRORS, guarded, is_lost
from backends.postgres.sql import query
from broker.core.errors import SchemaError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable

    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction

    from backends.postgres.sql import Schema
    from broker.core.errors import RetryableError

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")

Dsn: TypeAlias = str | Callable[[], str]
"""A `postgresql://` URL, or what gives one: asked for each new connection, so that a renewed password is found."""

_CLOSE_SECONDS = 10.0
ENDS_OLD_TRANSACTIONS = 17
"""From this version on the server can end a transaction by its age.

A client that hangs after preparing a statement, or amid a COPY, is waited for without end otherwise, and keeps its
locks: the time for idle transactions does not run meanwhile.
Source: https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """How a store uses its server: so many `connections` at most, and how long it waits for one and for a statement.

    The server ends a transaction that its client leaves idle for `idle_seconds`, since it would go on holding locks;
    from PostgreSQL 17 on also one that takes so long for another reason.
    """

    connections: int = 8
    connect_timeout_seconds: float = 10.0
    command_timeout_seconds: float = 60.0
    idle_seconds: float = 300.0

    @property
    def idle_milliseconds(self) -> int:
        """As the server is told."""
        return int(self.idle_seconds * 1000)


class Database:
    """One schema on one server. Raises Custody's errors only: `unavailable` for whatever passes by itself."""

    def __init__(
        self, dsn: Dsn, options: PostgresOptions, *, schema: Schema, unavailable: type[RetryableError]
    ) -> None:
        self._dsn = dsn
        self._options = options
        self._schema = schema
        self._unavailable = unavailable
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._was_open = False

    @classmethod
    async def open(
        cls, dsn: Dsn, options: PostgresOptions | None, *, schema: Schema, unavailable: type[RetryableError]
    ) -> Self:
        """A database that answers, in a schema that is known here."""
        database = cls(dsn, options or PostgresOptions(), schema=schema, unavailable=unavailable)
        await database.guard(database._start())
        await database.ping()
        database._was_open = True
        return database

    async def ping(self) -> None:
        """Returns when the server answers and the schema is still the one known here."""
        async with self.session() as connection:
            await self.guard(self._inspect(connection))

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement, which is a transaction of its own."""
        async with self.session() as connection:
            return await self.guard(connection.fetch(statement, *arguments))

    async def transact(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        limited: bool = True,
        **characteristics: Any,  # noqa: ANN401 - those of asyncpg
    ) -> T:
        """Runs `work` in one transaction, committed when it returns; one that may take long is not `limited`."""
        return await self.guard(self._transact(work, characteristics, limited=limited))

    async def stream(
        self, statement: str, *arguments: object, prefetch: int, read: Callable[[asyncpg.Record], T]
    ) -> AsyncGenerator[T]:
        """What `read` makes of the rows of a statement, by a server-side cursor with `prefetch` of them in memory."""
        async with self.transaction() as connection:
            await self.guard(connection.execute(query("plan_freely")))
            cursor = await self.guard(connection.cursor(statement, *arguments))
            while rows := await self.guard(cursor.fetch(prefetch)):
                for row in rows:
                    yield read(row)

    @asynccontextmanager
    async def transaction(self, **characteristics: Any) -> AsyncIterator[Connection]:  # noqa: ANN401 - those of asyncpg
        """A transaction around work that awaits others in between: what those raise is passed on as it is.

        The statements in it are the caller's to guard.
        """
        async with self.session() as connection:
            transaction = connection.transaction(**characteristics)
            await self.guard(transaction.start())
            try:
                yield connection
            except BaseException:
                await _roll_back(transaction)
                raise
            await self.guard(transaction.commit())

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection of the pool. One that may be in the middle of something is not given back."""
        if self._pool is None:
            raise self._unavailable("the store is closed: open it again")
        pool = self._pool
        connection = await self.guard(pool.acquire(timeout=self._options.command_timeout_seconds))
        try:
            yield connection
        except BaseException as error:
            if is_lost(error):
                connection.terminate()
            raise
        finally:
            await self.guard(pool.release(connection))

    async def guard(self, work: Awaitable[T]) -> T:
        """Awaits `work`, raising Custody's errors in place of the driver's."""
        return await guarded(work, self._unavailable)

    async def close(self) -> None:
        """Lets what is under way finish for a moment, and ends every connection."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except DRIVER_ERRORS:
            pool.terminate()

    async def _transact(
        self, work: Callable[[Connection], Awaitable[T]], characteristics: dict[str, Any], *, limited: bool
    ) -> T:
        async with self.session() as connection, connection.transaction(**characteristics):
            if limited:
                await self._limit(connection)
            return await work(connection)

    async def _limit(self, connection: Connection) -> None:
        """Lets the server end the transaction of a client that hangs, before the next statement takes a lock."""
        if connection.get_server_version().major >= ENDS_OLD_TRANSACTIONS:
            await connection.execute(f"SET LOCAL transaction_timeout = {self._options.idle_milliseconds}")

    async def _start(self) -> None:
        options = self._options
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=options.connections,
            connect=self._connect,
            init=self._inspect,
            reset=_leave,
            timeout=options.connect_timeout_seconds,
            command_timeout=options.command_timeout_seconds,
            server_settings={
                "application_name": f"custody-{self._schema.folder}",
                "idle_in_transaction_session_timeout": str(options.idle_milliseconds),
                "jit": "off",  # compiling short statements costs more than it saves
                # Statements look rows up by key. A plan made while a table was small would say otherwise, and stay.
                "enable_seqscan": "off",
                "enable_hashjoin": "off",
                "enable_mergejoin": "off",
                "tcp_keepalives_idle": "15",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                "timezone": "UTC",
            },
        )

    async def _connect(
        self,
        dsn: str | None = None,  # noqa: ARG002 - the pool's own, which has none
        **arguments: Any,  # noqa: ANN401 - asyncpg's own
    ) -> asyncpg.Connection[asyncpg.Record]:
        """Connects to the address as it is now. Once the store was open, one that is none is an outage like another."""
        try:
            return await connect(self._dsn if isinstance(self._dsn, str) else self._dsn(), **arguments)
        except SettingsError:
            if not self._was_open:
                raise
        raise self._unavailable("the store's address can't be read or used; mend it, or try again later")

    async def _inspect(self, connection: Connection) -> None:
        """Refuses a schema that is not the one known here, and makes commits durable where the server's are not."""
        found = await connection.fetchrow(query(f"{self._schema.folder}/inspect_session"))
        version = None if found is None else found["version"]
        if version is None or version < self._schema.version:
            raise SchemaError(f"{self._schema.namespace} is older than this version of Custody: run custody init")
        if version > self._schema.version:
            raise SchemaError(f"{self._schema.namespace} is newer than this version of Custody knows: upgrade Custody")
        if found is not None and found["synchronous_commit"] == "off":
            await connection.execute("SET synchronous_commit = on")


async def connect(dsn: str, **arguments: Any) -> asyncpg.Connection[asyncpg.Record]:  # noqa: ANN401 - asyncpg's own
    """A connection; `SettingsError` for an address that is none: what asyncpg says of one quotes its password."""
    with suppress(ValueError):
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn, **arguments)
        return connection
    example = "postgresql://custody@127.0.0.1:5432/custody"
    raise SettingsError([f"the store's address: not one that Postgres understands; for example {example}"])


async def _roll_back(transaction: Transaction) -> None:
    """Rolls back, unless the connection is gone, which does the same."""
    try:
        await transaction.rollback()
    except DRIVER_ERRORS:
        return


async def _leave(_: Connection) -> None:
    """Nothing is changed in a session for good, so that there is nothing to reset between two uses."""
