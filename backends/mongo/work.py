"""What is done in a database: within one session, or without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import BulkWriteError
from pymongo.write_concern import WriteConcern

from backends.mongo.errors import DUPLICATE_KEY, codes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from pymongo import UpdateOne
    from pymongo.asynchronous.database import AsyncDatabase

    from backends.mongo.drivers import Collection, Document, Driver, Session

T = TypeVar("T")

Filter = dict[str, Any]
_HURRIEDLY = WriteConcern(1, j=False)


class Guard(Protocol):
    """Awaits a driver's work on a collection, and raises Custody's errors or `ConflictError`."""

    async def __call__(self, work: Awaitable[T], collection: str = ..., /) -> T: ...


class Work:
    """Reads and writes of collections, by name. Where it `is_atomic`, all of a transaction is there or nothing."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        session: Session | None,
        driver: Driver,
        guard: Guard,
        *,
        is_atomic: bool,
    ) -> None:
        self._database = database
        self._session = session
        self._driver = driver
        self._guard = guard
        self.is_atomic = is_atomic

    async def find(
        self,
        name: str,
        wanted: Filter,
        columns: Sequence[str] | None = None,
        *,
        order: Sequence[str] = (),
        skip: int = 0,
        limit: int = 0,
    ) -> list[Document]:
        """The documents that are wanted, of those columns alone where they are named."""
        cursor = self._collection(name).find(
            wanted,
            _projection(columns),
            session=self._session,
            sort=[(one, ASCENDING) for one in order] or None,
            skip=skip,
            limit=limit,
        )
        return await self._guard(cursor.to_list(None), name)

    async def by_id(self, name: str, ids: Sequence[str], columns: Sequence[str] | None = None) -> list[Document]:
        """The documents of these ids, in any order."""
        return await self.find(name, {"_id": {"$in": list(ids)}}, columns) if ids else []

    async def stream(
        self, name: str, wanted: Filter, columns: Sequence[str] | None = None, *, order: Sequence[str], at_once: int
    ) -> AsyncIterator[Document]:
        """The documents that are wanted, in order, with so many at once in memory."""
        cursor = self._collection(name).find(
            wanted,
            _projection(columns),
            session=self._session,
            sort=[(one, ASCENDING) for one in order],
            batch_size=at_once,
            allow_disk_use=True,
        )
        try:
            while documents := await self._guard(cursor.to_list(at_once), name):
                for document in documents:
                    yield document
        finally:
            await self._guard(cursor.close(), name)

    async def aggregate(self, name: str, pipeline: Sequence[Document]) -> list[Document]:
        """What a pipeline makes; for few documents."""
        cursor = await self._guard(self._driver.aggregate(self._collection(name), pipeline, self._session), name)
        return await self._guard(cursor.to_list(None), name)

    async def insert(self, name: str, documents: Sequence[Document]) -> None:
        """Adds documents; `ConflictError` where one is there already."""
        if documents:
            await self._guard(self._insert(name, documents), name)

    async def insert_absent(self, name: str, documents: Sequence[Document]) -> int:
        """Adds the documents whose ids are not there; how many."""
        if not documents:
            return 0
        if not self.is_atomic or self._session is None:
            return await self._guard(self._insert_missing(name, documents), name)
        # A duplicate would end the transaction, and an upsert asks for the right to change what is there.
        there = {one["_id"] for one in await self.by_id(name, [one["_id"] for one in documents], ("_id",))}
        absent = [one for one in documents if one["_id"] not in there]
        await self.insert(name, absent)
        return len(absent)

    async def write(self, name: str, requests: Sequence[UpdateOne], *, ordered: bool = False) -> int:
        """Carries updates out; how many found their document."""
        if not requests:
            return 0
        bulk = self._collection(name).bulk_write(list(requests), ordered=ordered, session=self._session)
        return (await self._guard(bulk, name)).matched_count

    async def update(self, name: str, wanted: Filter, changes: Document | Sequence[Document]) -> int:
        """Changes every document that is wanted; how many there were."""
        update = self._collection(name).update_many(wanted, changes, session=self._session)
        return (await self._guard(update, name)).matched_count

    async def next_number(self, name: str, count: int = 1) -> int:
        """The first of `count` numbers that nobody else has. Apart from any transaction, so that nobody waits for it.

        It is durable when what bears the number is, since a replica has one write before the other.
        """
        found = await self._guard(
            self._collection("numbers")
            .with_options(write_concern=_HURRIEDLY)
            .find_one_and_update(
                {"_id": name}, {"$inc": {"value": count}}, upsert=True, return_document=ReturnDocument.AFTER
            ),
            "numbers",
        )
        return int((found or {})["value"]) - count + 1

    async def _insert(self, name: str, documents: Sequence[Document]) -> None:
        await self._collection(name).insert_many(documents, ordered=False, session=self._session)

    async def _insert_missing(self, name: str, documents: Sequence[Document]) -> int:
        try:
            await self._insert(name, documents)
        except BulkWriteError as error:
            if codes_of(error) != {DUPLICATE_KEY}:
                raise
            return int((error.details or {}).get("nInserted", 0))
        return len(documents)

    def _collection(self, name: str) -> Collection:
        return self._database[name]


def _projection(columns: Sequence[str] | None) -> dict[str, int] | None:
    return None if columns is None else {"_id": 0, **dict.fromkeys(columns, 1)}
