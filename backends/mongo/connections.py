"""A store's database: the client, made anew when its address changes, and the transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from backends.mongo.drivers import DriverName, driver_of
from backends.mongo.errors import DRIVER_ERRORS, ConflictError, is_of_unknown_outcome, is_stale, translated
from backends.mongo.schema import check_version
from backends.mongo.work import Work
from broker.core.errors import SettingsError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from backends.mongo.drivers import Client, Session

T = TypeVar("T")

Uri: TypeAlias = str | Callable[[], str]
"""A `mongodb://` URI whose path is the database, or what gives one: asked anew where connecting fails."""

ATTEMPTS = 40
"""So often a transaction is begun again that others were in the way of, within `command_timeout_seconds`."""
COMMIT_ATTEMPTS = 3
_OF_ONE_MOMENT = ReadConcern("snapshot")
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.002, 0.25
_LEAVE_SECONDS = 5.0
_NAME = "custody-records"
_EXAMPLE = "mongodb://custody@127.0.0.1:27017/custody?replicaSet=rs0"

_NO_TRANSACTIONS = (
    "the store's server: a MongoDB that is no member of a replica set has no transactions. Start it with --replSet and "
    f"initiate the set, for example {_EXAMPLE}; or set allow_standalone, and nothing is erased at the provider"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoOptions:
    """How a store uses its server: by which `driver`, over so many `connections` at most, and how long it waits.

    A transaction that its client leaves idle for `idle_seconds` is ended by whoever it is in the way of.
    `allow_standalone`: a server that is no member of a replica set will do. It has no transactions: what a batch writes
    comes in an order that loses nothing where it breaks off, but nothing is erased at the provider then.
    """

    driver: DriverName = "pymongo"
    connections: int = 8
    connect_timeout_seconds: float = 10.0
    command_timeout_seconds: float = 60.0
    idle_seconds: float = 10.0
    allow_standalone: bool = False


class Database:
    """One database on one replica set. Raises Custody's errors only."""

    def __init__(self, uri: Uri, options: MongoOptions) -> None:
        self._uri = uri
        self._options = options
        self._driver = driver_of(options.driver)
        self._client: Client | None = None
        self._address = ""
        self._connecting = asyncio.Lock()
        self._is_stale = False
        self._is_closed = False
        self._was_open = False
        self.has_transactions = True
        milliseconds = int(options.command_timeout_seconds * 1000)
        self._durably = WriteConcern("majority", j=True, wtimeout=milliseconds)

    @classmethod
    async def open(cls, uri: Uri, options: MongoOptions | None = None) -> Self:
        """A database that answers, in a schema that is known here."""
        database = cls(uri, options or MongoOptions())
        try:
            await database._start()
        except BaseException:
            await database.close()
            raise
        database._was_open = True
        return database

    def patient(self, seconds: float) -> Self:
        """The same database by a client of its own: it waits so long for an answer, but for a primary as ever."""
        options = replace(self._options, command_timeout_seconds=seconds, connections=1)
        other = type(self)(self._uri, options)
        other.has_transactions = self.has_transactions
        other._was_open = self._was_open  # noqa: SLF001 - of the same class
        return other

    async def ping(self) -> None:
        """Returns when the primary answers and the schema is still the one known here."""
        check_version(await (await self.plain()).find("schema_versions", {}))

    async def plain(self) -> Work:
        """Work outside of any transaction, each piece of it for itself."""
        return self._work(await self._connected(), None)

    async def transact(self, work: Callable[[Work], Awaitable[T]]) -> T:
        """Runs `work` in one transaction, committed when it returns, and again where another one was first."""
        loop = asyncio.get_running_loop()
        end, wait, problem = loop.time() + self._options.command_timeout_seconds, _FIRST_WAIT_SECONDS, None
        for _ in range(ATTEMPTS):
            try:
                return await self._attempt(work)
            except ConflictError as conflict:
                problem = conflict.problem
            if loop.time() > end:
                break
            await asyncio.sleep(SystemRandom().uniform(0, wait))
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        await self._end_idle()
        raise problem or StoreUnavailableError("others keep the same at this moment: keep it again")

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Work]:
        """Reads of one moment, for as long as the server keeps it (minSnapshotHistoryWindowInSeconds)."""
        client = await self._connected()
        if not self.has_transactions:
            yield self._work(client, None)
            return
        session = await self.guard(self._driver.session(client, snapshot=True))
        try:
            yield self._work(client, session)
        finally:
            await self._leave(session)

    async def guard(self, work: Awaitable[T], collection: str = "the store") -> T:
        """Awaits `work`, raising Custody's errors in place of the driver's."""
        try:
            return await self._driver.finish(work)
        except DRIVER_ERRORS as error:
            self._is_stale |= is_stale(error)
            problem = translated(error, collection)
        # Outside the handler, so that the driver's error does not travel along as its context.
        raise problem

    async def close(self) -> None:
        """Ends every connection."""
        self._is_closed = True
        await self._drop()

    async def _start(self) -> None:
        client = await self._connected()
        hello = await self.guard(client.admin.command("hello"))
        self.has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        if not (self.has_transactions or self._options.allow_standalone):
            raise SettingsError([_NO_TRANSACTIONS])
        await self.ping()

    async def _attempt(self, work: Callable[[Work], Awaitable[T]]) -> T:
        client = await self._connected()
        if not self.has_transactions:
            return await work(self._work(client, None))
        session = await self.guard(self._driver.session(client, snapshot=False))
        try:
            await self.guard(self._driver.begin(session, _OF_ONE_MOMENT, self._durably))
            result = await work(self._work(client, session))
            await self._commit(session)
        finally:
            await self._leave(session)
        return result

    async def _commit(self, session: Session) -> None:
        """Commits; the server carries a commit out once, however often it is asked to."""
        problem: Exception | None = None
        for _ in range(COMMIT_ATTEMPTS):
            try:
                await self._driver.finish(session.commit_transaction())
            except DRIVER_ERRORS as error:
                self._is_stale |= is_stale(error)
                problem = translated(error, "the store")
                if is_of_unknown_outcome(error):
                    continue
                break
            return
        raise problem or StoreUnavailableError("MongoDB did not commit; try again later")

    async def _leave(self, session: Session) -> None:
        """Ends a session, and rolls back what was not committed in it; the server does so by itself later."""
        with suppress(*DRIVER_ERRORS):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._driver.finish(session.end_session())

    async def _end_idle(self) -> None:
        """Ends transactions of this login's stores that nobody goes on with: they keep others from what they wrote.

        MongoDB does not end them with their client's connection, but after `transactionLifetimeLimitSeconds`, 60, for
        which it looks each half of that time. A client that was only held up begins its transaction again. Everybody
        may see and end his own: https://www.mongodb.com/docs/manual/reference/command/killSessions/, 2026-11.
        """
        idle = {
            "type": "idleSession",
            "appName": _NAME,
            "transaction.timeInactiveMicros": {"$gte": int(self._options.idle_seconds * 1_000_000)},
        }
        looking = [{"$currentOp": {"allUsers": False, "idleSessions": True}}, {"$match": idle}]
        with suppress(StoreUnavailableError, ConflictError):
            admin = (await self._connected()).admin
            found = await self.guard(admin.command("aggregate", 1, pipeline=looking, cursor={}))
            if sessions := [{"id": one["lsid"]["id"]} for one in found["cursor"]["firstBatch"]]:
                await self.guard(admin.command("killSessions", sessions))

    def _work(self, client: Client, session: Session | None) -> Work:
        database = client.get_default_database()
        return Work(database, session, self._driver, self.guard, is_atomic=self.has_transactions)

    async def _connected(self) -> Client:
        """The client, for the address as it is now; made anew where the old one did not reach anybody."""
        async with self._connecting:
            if self._is_closed:
                raise StoreUnavailableError("the store is closed: open it again")
            address = self._asked() if self._client is None or self._is_stale else self._address
            self._is_stale = False
            if self._client is not None and address == self._address:
                return self._client
            await self._drop()
            client = await self._made(address)
            self._client, self._address = client, address
            return client

    def _asked(self) -> str:
        try:
            return self._uri if isinstance(self._uri, str) else self._uri()
        except SettingsError:
            if not self._was_open:
                raise
        raise StoreUnavailableError("the store's address can't be read or used; mend it, or try again later")

    async def _made(self, address: str) -> Client:
        with suppress(ConfigurationError, ValueError, TypeError):  # what they say may quote the password
            client = self._driver.client(address, self._client_options())
            if await self._names_a_database(client):
                return client
        if self._was_open:
            raise StoreUnavailableError("the store's address can't be read or used; mend it, or try again later")
        raise SettingsError([f"the store's address: not one that MongoDB understands; for example {_EXAMPLE}"])

    def _client_options(self) -> dict[str, object]:
        options = self._options
        patience, command = int(options.connect_timeout_seconds * 1000), int(options.command_timeout_seconds * 1000)
        return {
            "appname": _NAME,
            "maxPoolSize": options.connections,
            "waitQueueTimeoutMS": command,
            "serverSelectionTimeoutMS": patience,
            "connectTimeoutMS": patience,
            "socketTimeoutMS": command,
            "w": "majority",
            "journal": True,
            "wTimeoutMS": command,
            "readConcernLevel": "majority",
            "readPreference": "primary",
        }

    async def _names_a_database(self, client: Client) -> bool:
        with suppress(ConfigurationError):
            client.get_default_database()
            return True
        await self._driver.close(client)
        return False

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(*DRIVER_ERRORS):
                await self._driver.close(client)
