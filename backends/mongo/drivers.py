"""The two drivers behind one face: PyMongo's async client, and Motor, which runs PyMongo's other one in threads.

Everything else in this package speaks to PyMongo's async types; Motor has the same methods, but for those here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, cast

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.read_preferences import ReadPreference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from motor.motor_asyncio import AsyncIOMotorClient
    from pymongo.asynchronous.client_session import AsyncClientSession
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.command_cursor import AsyncCommandCursor
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern

T = TypeVar("T")

Document: TypeAlias = dict[str, Any]
DriverName: TypeAlias = Literal["pymongo", "motor"]
if TYPE_CHECKING:
    Client: TypeAlias = AsyncMongoClient[Document]
    Session: TypeAlias = AsyncClientSession
    Collection: TypeAlias = AsyncCollection[Document]
    Cursor: TypeAlias = AsyncCommandCursor[Document]


class Driver(Protocol):
    """What the two do differently."""

    def client(self, uri: str, options: Mapping[str, object]) -> Client:
        """A client, not connected yet."""
        ...

    async def close(self, client: Client) -> None:
        """Ends every connection."""
        ...

    async def session(self, client: Client, *, snapshot: bool) -> Session:
        """A session, of reads at one moment where `snapshot`."""
        ...

    async def begin(self, session: Session, reads: ReadConcern, writes: WriteConcern) -> None:
        """Begins a transaction on the primary."""
        ...

    async def aggregate(self, collection: Collection, pipeline: Sequence[Document], session: Session | None) -> Cursor:
        """A cursor over what the pipeline makes; it may use the server's disk."""
        ...

    async def finish(self, work: Awaitable[T]) -> T:
        """Awaits `work`. Once cancelled, nothing of it goes on: a session is not to be used twice at once."""
        ...


class PyMongoDriver:
    """PyMongo's async client."""

    def client(self, uri: str, options: Mapping[str, object]) -> Client:
        return AsyncMongoClient(uri, **cast("dict[str, Any]", options))

    async def close(self, client: Client) -> None:
        await client.close()

    async def session(self, client: Client, *, snapshot: bool) -> Session:
        return client.start_session(snapshot=snapshot or None, causal_consistency=False)

    async def begin(self, session: Session, reads: ReadConcern, writes: WriteConcern) -> None:
        await session.start_transaction(reads, writes, ReadPreference.PRIMARY)

    async def aggregate(self, collection: Collection, pipeline: Sequence[Document], session: Session | None) -> Cursor:
        return await collection.aggregate(pipeline, session=session, allowDiskUse=True)

    async def finish(self, work: Awaitable[T]) -> T:
        task = asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        error: PyMongoError | None = None
        try:
            result = await work
        except PyMongoError as found:
            error = found
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError  # the driver may take it for a failure of its own, or not notice
        if error is not None:
            raise error
        return result


class MotorDriver:
    """Motor's client. A thread that waits for the server goes on after its caller was cancelled."""

    def client(self, uri: str, options: Mapping[str, object]) -> Client:
        from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 - only where it is wished for

        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(uri, **cast("dict[str, Any]", options))
        return cast("Client", client)

    async def close(self, client: Client) -> None:
        cast("AsyncIOMotorClient[Document]", client).close()

    async def session(self, client: Client, *, snapshot: bool) -> Session:
        motor = cast("AsyncIOMotorClient[Document]", client)
        return cast("Session", await motor.start_session(snapshot=snapshot or None, causal_consistency=False))

    async def begin(self, session: Session, reads: ReadConcern, writes: WriteConcern) -> None:
        cast("Any", session).start_transaction(reads, writes, ReadPreference.PRIMARY)

    async def aggregate(self, collection: Collection, pipeline: Sequence[Document], session: Session | None) -> Cursor:
        return cast("Cursor", cast("Any", collection).aggregate(pipeline, session=session, allowDiskUse=True))

    async def finish(self, work: Awaitable[T]) -> T:
        future = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # seen: it is nobody's any more
            raise


def driver_of(name: DriverName) -> Driver:
    """The driver of that name."""
    return MotorDriver() if name == "motor" else PyMongoDriver()
