"""The record store's documents as rows of tables: for copying to another store, and for comparing with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from pymongo import UpdateOne

from backends.mongo.connections import Database
from backends.mongo.documents import ID_OF, TIMES, documents_of, micros, of_tenant, time_of
from backends.mongo.keep import ROW_BITS
from broker.core.tables import PART_RESULTS, RECEIPTS, RECORDS, TABLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from backends.mongo.connections import MongoOptions, Uri
    from backends.mongo.drivers import Document
    from backends.mongo.work import Filter, Work
    from broker.core.tables import Key, Row, Table

_AT_ONCE = 500
_UPDATES_AT_ONCE = 1000


class MongoTables:
    """See `TableStore`.

    A snapshot lasts for as long as the server keeps a moment (minSnapshotHistoryWindowInSeconds, five minutes unless it
    is set); read past that, it raises `StoreUnavailableError`. A standalone server keeps none: there each row is as it
    is when it is read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, uri: Uri, options: MongoOptions | None = None) -> Self:
        """Tables that can be read. Raises what `MongoRecords.open` does."""
        return cls(await Database.open(uri, options))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[MongoSnapshot]:
        async with self._database.moment() as work:
            yield MongoSnapshot(work)

    async def insert(self, table: Table, rows: Sequence[Row]) -> int:
        work = await self._database.plain()
        return await work.insert_absent(table.name, documents_of(table.name, table.columns, rows))

    async def update(self, table: Table, rows: Sequence[Row]) -> int:
        work = await self._database.plain()
        changes = [_update(table, one) for one in documents_of(table.name, table.columns, rows)]
        return sum(
            [
                await work.write(table.name, changes[begin : begin + _UPDATES_AT_ONCE])
                for begin in range(0, len(changes), _UPDATES_AT_ONCE)
            ]
        )

    async def renumber(self) -> None:
        work = await self._database.plain()
        for table, bits in ((RECORDS, ROW_BITS), (PART_RESULTS, 0), (RECEIPTS, 0)):
            group = {"$group": {"_id": None, "highest": {"$max": f"${table.numbered}"}}}
            for one in await work.aggregate(table.name, [group]):
                highest = UpdateOne({"_id": table.name}, {"$max": {"value": one["highest"] >> bits}}, upsert=True)
                await work.write("numbers", [highest])

    async def close(self) -> None:
        await self._database.close()


class MongoSnapshot:
    """See `TableSnapshot`."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def tenants(self) -> Sequence[str]:
        found: set[str] = set()
        for table in TABLES:
            after = ""
            while one := await self._work.find(table.name, {"_id": {"$gte": after}}, ("_id",), order=("_id",), limit=1):
                tenant, _, _ = one[0]["_id"].partition("/")
                found.add(tenant)
                after = of_tenant(tenant)["$lt"]
        return sorted(found)

    async def count(self, table: Table, tenant: str) -> int:
        pipeline: list[Document] = [{"$match": {"_id": of_tenant(tenant)}}, {"$count": "count"}]
        return sum([one["count"] for one in await self._work.aggregate(table.name, pipeline)])

    async def scan(
        self, table: Table, tenant: str, columns: Sequence[str], *, after: Key | None = None
    ) -> AsyncIterator[Row]:
        wanted: Filter = {"_id": of_tenant(tenant)}
        if after is not None:
            wanted |= _behind(table.key, after)
        # One column of a key is in the order of the ids; several are not, since a shorter name may go on with less
        # than the stroke that follows it in an id.
        order = ("_id",) if len(table.key) == 1 else table.key
        async for one in self._work.stream(table.name, wanted, columns, order=order, at_once=_AT_ONCE):
            yield _row(one, columns)

    async def rows(self, table: Table, tenant: str, keys: Sequence[Key]) -> Sequence[Row]:
        ids = [_id_of(table, tenant, key) for key in keys]
        read = await self._work.by_id(table.name, ids, ("_id", *table.columns))
        found = {one["_id"]: one for one in read if one["tenant"] == tenant}
        return [_row(found[one], table.columns) for one in ids if one in found]


def _id_of(table: Table, tenant: str, key: Key) -> str:
    return ID_OF[table.name]({"tenant": tenant, **dict(zip(table.key, map(_value, key), strict=True))})


def _update(table: Table, document: Document) -> UpdateOne:
    return UpdateOne({"_id": document["_id"]}, {"$set": {name: document[name] for name in table.mutable}})


def _behind(columns: Sequence[str], after: Key) -> Filter:
    """What comes behind a key: equal in the first columns, greater in the next."""
    values = [_value(one) for one in after]
    return {
        "$or": [
            {**dict(zip(columns[:place], values[:place], strict=True)), columns[place]: {"$gt": values[place]}}
            for place in range(len(columns))
        ]
    }


def _row(document: Document, columns: Sequence[str]) -> Row:
    return tuple(_read(name, document[name]) for name in columns)


def _read(name: str, value: Any) -> object:  # noqa: ANN401 - whatever lies in a document
    if value is None:
        return None
    if name in TIMES:
        return time_of(value)
    return tuple(value) if isinstance(value, list) else value


def _value(value: object) -> object:
    return micros(value) if isinstance(value, datetime) else value
