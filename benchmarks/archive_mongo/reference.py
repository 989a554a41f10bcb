"""The documents that the worker wrote in its first run: what the floor inserts again, and every run is held against.

Left out are `numbers` and `locks`: by these, transactions keep out of each other's way, and no floor needs them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

from bson import encode
from pymongo import ReplaceOne, UpdateOne

from backends.mongo.documents import documents_of, place_id, time_of
from backends.mongo.drivers import Document
from broker.core.plan import bucket_start
from broker.core.rows import TALLY_COLUMNS
from broker.core.topics import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.archive_mongo.bare import Database
    from benchmarks.digests import Digest

COLLECTIONS = ("records", "parts", "targets", "unseen")
"""What this traffic adds documents to, beside the counters in `progress` and `tallies`."""
_LEFT_OUT = frozenset({"schema_versions", "numbers", "locks", "tallies"})
_SUMMED: Document = {
    "_id": {name: f"${name}" for name in ("tenant", "account", "bucket")},
    "entries": {"$sum": "$entries"},
    "duplicates": {"$sum": "$duplicates"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the floor writes at once: documents by collection, and where the batch before it came to."""

    documents: Mapping[str, Sequence[Document]]
    tallies: Sequence[UpdateOne] = ()
    progress: Sequence[ReplaceOne[Document]] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A store's documents, cut into batches in the order they were written in; the last one has progress alone."""

    batches: Sequence[Batch]

    @classmethod
    async def load(cls, database: Database, *, batch_rows: int) -> Self:
        """Reads them all into memory, as they lie: that is the order they were written in."""
        found = {name: await database[name].find().to_list() for name in COLLECTIONS}
        progress = {one["_id"]: one async for one in database["progress"].find()}
        return cls(list(_batches(found, progress, batch_rows)))


async def digests(database: Database) -> dict[str, Digest]:
    """How many documents each collection has, and a digest of them by their ids.

    Every collection there is, so that none is forgotten. Left out is what depends on how the entries fell into batches:
    `row_number`, and under which partition a tally stands.
    """
    names = await database.list_collection_names(filter={"type": "collection"})
    found = {name: await _digest(database, name) for name in sorted({*names} - _LEFT_OUT)}
    cursor = await database["tallies"].aggregate([{"$group": _SUMMED}, {"$sort": {"_id": 1}}])
    tallies = await cursor.to_list()
    found["tallies"] = (len(tallies), hashlib.sha256(b"".join(map(encode, tallies))).hexdigest())
    return found


async def _digest(database: Database, name: str) -> Digest:
    read = hashlib.sha256()
    async for some in database[name].find_raw_batches({}, {"row_number": 0}, sort={"_id": 1}):
        read.update(cast("bytes", some))
    return await database[name].count_documents({}), read.hexdigest()


def _batches(
    found: Mapping[str, Sequence[Document]], progress: Mapping[str, Document], batch_rows: int
) -> Iterator[Batch]:
    """Every collection in as many slices as it takes for `batch_rows` records in each."""
    count = max(1, -(-len(found["records"]) // batch_rows))
    before: Sequence[Document] = ()
    for number in range(count):
        slices = {name: _slice(documents, number, count) for name, documents in found.items()}
        yield Batch(documents=slices, tallies=_tallies(before), progress=_progress(before, progress))
        before = slices["records"]
    yield Batch(documents={}, tallies=_tallies(before), progress=_progress(before, progress))


def _slice(documents: Sequence[Document], number: int, count: int) -> Sequence[Document]:
    return documents[len(documents) * number // count : len(documents) * (number + 1) // count]


def _progress(records: Sequence[Document], progress: Mapping[str, Document]) -> list[ReplaceOne[Document]]:
    """The last record of each partition moves that partition's document."""
    last: dict[str, Document] = {}
    for one in sorted(records, key=lambda one: int(one["log_offset"])):
        _id = place_id(one["log"], TopicPartition(one["topic"], one["partition"]))
        moved = {"next_offset": one["log_offset"] + 1, "keep_seq": one["keep_seq"], "last_event_id": one["record_id"]}
        last[_id] = progress[_id] | moved
    return [ReplaceOne({"_id": _id}, document, upsert=True) for _id, document in sorted(last.items())]


def _tallies(records: Sequence[Document]) -> list[UpdateOne]:
    if not records:
        return []
    under = min((one["log"], one["topic"], one["partition"]) for one in records)
    counts = Counter((one["account"], bucket_start(time_of(one["received_at"])), one["tenant"]) for one in records)
    values = ((*under, *key, amount, 0) for key, amount in counts.items())
    return [_counted(one) for one in documents_of("tallies", TALLY_COLUMNS, values)]


def _counted(tally: Document) -> UpdateOne:
    amounts = {"entries": tally.pop("entries"), "duplicates": tally.pop("duplicates")}
    return UpdateOne({"_id": tally.pop("_id")}, {"$inc": amounts, "$setOnInsert": tally}, upsert=True)
