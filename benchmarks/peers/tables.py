"""Where each side's rows come to: an empty database for every turn, on the one server of its kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern

from backends.mongo.embedded import EmbeddedMongo
from benchmarks.mongo import LOGIN, make_store
from benchmarks.stage import ROLE, Kind, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Document: TypeAlias = dict[str, Any]

ENTRIES, ID, ENTRY = "entries", "ce_id", "entry"
"""A peer's table or collection, and its columns or fields."""
_TABLE = f"""
CREATE TABLE {ENTRIES} ({ID} text PRIMARY KEY, {ENTRY} {{kind}} NOT NULL) WITH (toast_tuple_target = 8160);
ALTER TABLE {ENTRIES} ALTER COLUMN {ENTRY} SET STORAGE EXTERNAL;
GRANT SELECT, INSERT, UPDATE ON {ENTRIES} TO {ROLE}
"""
"""As the archive's own tables are: the server packs no long value, which takes longer than writing it."""


@dataclass(frozen=True, slots=True)
class Found:
    """The ids that are there, each as often as it is; and the bytes of all entries where they lie as they came."""

    ids: Sequence[str]
    data_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Empty at first. `uri` is for the login that writes; `count` and `found` look as the superuser."""

    uri: str = field(repr=False)
    count: Callable[[], Awaitable[int]]
    found: Callable[[], Awaitable[Found]]


Tables: TypeAlias = "Callable[[], AbstractAsyncContextManager[Table]]"


@asynccontextmanager
async def postgres_records(stage: Stage) -> AsyncGenerator[Table]:
    """The archive's store."""
    async with stage.fresh(Kind.RECORDS) as place, _connected(place.admin_dsn) as looking:
        count = partial(looking.fetchval, "SELECT count(*) FROM custody_pas.records")

        async def found() -> Found:
            return Found([one for (one,) in await looking.fetch("SELECT record_id FROM custody_pas.records")])

        yield Table(uri=place.dsn, count=count, found=found)


@asynccontextmanager
async def postgres_entries(stage: Stage, kind: str) -> AsyncGenerator[Table]:
    """A table for a peer, its entries of this kind (`bytea` or `text`), in a database like the archive's."""
    async with stage.fresh(Kind.RECORDS) as place, _connected(place.admin_dsn) as looking:
        await looking.execute(_TABLE.format(kind=kind))
        count = partial(looking.fetchval, f"SELECT count(*) FROM {ENTRIES}")  # noqa: S608 - a name of ours

        async def found() -> Found:
            rows = await looking.fetch(f"SELECT {ID}, octet_length({ENTRY}) FROM {ENTRIES}")  # noqa: S608 - likewise
            return Found([one for one, _ in rows], sum(size for _, size in rows))

        yield Table(uri=place.dsn, count=count, found=found)


@dataclass(frozen=True, slots=True)
class MongoTables:
    """Databases of a MongoDB."""

    server: EmbeddedMongo
    _numbers: Iterator[int] = field(default_factory=count)

    @asynccontextmanager
    async def records(self) -> AsyncGenerator[Table]:
        """The archive's store."""
        async with self._database() as database:
            await make_store(self.server, database.name)
            yield self._table(database, "records", "record_id")

    @asynccontextmanager
    async def entries(self, id_path: str) -> AsyncGenerator[Table]:
        """A collection for a peer, with an index on the id, without which each replacement looks through it all."""
        async with self._database() as database:
            await database[ENTRIES].create_index(id_path, unique=True)
            user, password = LOGIN
            await database.command("createUser", user, pwd=password, roles=["readWrite"])
            yield self._table(database, ENTRIES, id_path)

    @asynccontextmanager
    async def _database(self) -> AsyncGenerator[AsyncDatabase[Document]]:
        name = f"bench_{next(self._numbers)}"
        async with AsyncMongoClient[dict[str, Any]](self.server.uri(name)) as client:
            try:
                yield client[name]
            finally:
                await client.drop_database(name)

    def _table(self, database: AsyncDatabase[Document], collection: str, id_path: str) -> Table:
        """What the majority has."""
        kept = database.get_collection(collection, read_concern=ReadConcern("majority"))
        return Table(
            uri=self.server.uri(database.name, *LOGIN),
            count=partial(kept.count_documents, {}, hint="_id_"),
            found=partial(_found, kept, id_path),
        )


async def _found(kept: AsyncCollection[Document], id_path: str) -> Found:
    picked = {"_id": False, "id": f"${id_path}", "bytes": {"$binarySize": f"${ENTRY}"}}
    rows = await (await kept.aggregate([{"$project": picked}])).to_list()
    sizes = [one["bytes"] for one in rows]
    return Found([one["id"] for one in rows], None if None in sizes else sum(sizes))


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
