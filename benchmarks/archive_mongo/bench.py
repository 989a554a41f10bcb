"""By each driver: entries of a log are kept, and the documents that came of it are inserted by a bare client."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from pymongo.write_concern import WriteConcern

from backends.mongo.connections import MongoOptions
from backends.mongo.drivers import DriverName, driver_of
from backends.mongo.embedded import EmbeddedMongo
from backends.mongo.records import MongoRecords
from benchmarks import tenant
from benchmarks.archive.worker import archive_of
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogKind, filled_log, open_log
from benchmarks.machine import Meter, Spent
from benchmarks.mongo import LOGIN, make_store
from benchmarks.rounds import interleaved
from broker.core.metrics import NoMetrics
from broker.core.ports import EventLog, LogEntry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from pymongo.asynchronous.database import AsyncDatabase

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

DRIVERS: tuple[DriverName, ...] = ("pymongo", "motor")
COLLECTIONS = ("records", "parts", "targets", "unseen")
BATCH_ENTRIES = 500
_READ_ENTRIES = 5000
_DURABLY = WriteConcern("majority", j=True)

Documents = dict[str, list[dict[str, Any]]]


async def measure(stage: Stage, *, entries: int, runs: int, tell: Tell) -> Result:
    """Keeps about `entries` entries in every run, `BATCH_ENTRIES` at once, by the archive worker's own handler.

    The floor inserts the documents of records, parts, targets and statuses alone, unordered and so many at once, with
    the same durability, into collections with the same validators and indexes. "Ordered writes" is what the archive
    does on a server without transactions: the same, in an order that loses nothing where it breaks off.
    """
    async with await EmbeddedMongo.start() as server, filled_log(stage, LogKind.POSTGRES, entries) as (at, volume):
        log = await open_log(at)
        try:
            turns = _Turns(server=server, log=log, batches=await _batches(log), data_bytes=volume.data_bytes)
            gc.collect()
            gc.freeze()  # the entries and documents of all turns are no garbage, and to be looked at in none of them
            comparisons = [
                Comparison(
                    title=f"archive to MongoDB by {driver}, {BATCH_ENTRIES} entries a batch",
                    subject="archive",
                    samples=await interleaved(
                        f"archive-mongo, {driver}",
                        {
                            "archive": partial(turns.archive, driver),
                            "ordered writes": partial(turns.archive, driver, transactions=False),
                            "insert_many": partial(turns.insert, driver),
                        },
                        runs=runs,
                        tell=tell,
                    ),
                )
                for driver in DRIVERS
            ]
        finally:
            gc.unfreeze()
            await log.close()
    return Result(
        name="archive-mongo",
        parameters={
            "entries": volume.entries,
            "runs": runs,
            "batch_entries": BATCH_ENTRIES,
            "documents": {name: len(documents) for name, documents in turns.wanted.items()},
        },
        comparisons=comparisons,
    )


async def _batches(log: EventLog) -> list[Sequence[LogEntry]]:
    """All entries, in batches of one partition each."""
    batches: list[Sequence[LogEntry]] = []
    for place, bounds in sorted((await log.bounds(tenant.ACCOUNTED_TOPICS)).items()):
        offset = bounds.first
        while offset < bounds.end:
            found = await log.read(place, offset, max_entries=_READ_ENTRIES)
            batches += _slices(found, BATCH_ENTRIES)
            offset = found[-1].offset + 1
    return batches


def _slices(whole: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (whole[start : start + size] for start in range(0, len(whole), size))


@dataclass(slots=True, kw_only=True)
class _Turns:
    """Each turn has an empty database; the documents of the first one are what every turn has to come to."""

    server: EmbeddedMongo
    log: EventLog
    batches: Sequence[Sequence[LogEntry]]
    data_bytes: int
    wanted: Documents = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    async def archive(self, driver: DriverName, *, transactions: bool = True) -> Sample:
        """The archive worker's handler: decoded, kept, told of on the log."""
        async with self._database() as name:
            uri = self.server.uri(name, *LOGIN)
            store = await MongoRecords.open(uri, clock=_noon, options=MongoOptions(driver=driver))
            store._database.has_transactions = transactions  # noqa: SLF001 - as of a server that has none
            try:
                archive = archive_of(self.log, store, metrics=NoMetrics(), clock=_noon)
                meter = Meter()
                for batch in self.batches:
                    await archive.handle(batch)
                spent = meter.spent()
            finally:
                await store.close()
            return self._sample(spent, await self._checked(name))

    async def insert(self, driver: DriverName) -> Sample:
        """The floor."""
        async with self._database() as name, self._client(driver, name) as database:
            meter = Meter()
            for collection, documents in self.wanted.items():
                durably = database.get_collection(collection, write_concern=_DURABLY)
                for some in _slices(documents, BATCH_ENTRIES):
                    await durably.insert_many(some, ordered=False)
            spent = meter.spent()
            return self._sample(spent, await self._checked(name))

    def _sample(self, spent: Spent, records: int) -> Sample:
        return Sample(
            seconds=spent.seconds,
            counts={"records": records},
            data_bytes=self.data_bytes,
            cpu_seconds=spent.cpu_seconds,
            peak_memory_bytes=spent.peak_memory_bytes,
        )

    async def _checked(self, name: str) -> int:
        """How many records there are, once it is sure that the very documents are there that the first turn wrote."""
        async with self._client("pymongo", name) as database:
            found = {one: await database[one].find().sort("_id").to_list() for one in COLLECTIONS}
        if not self.wanted:
            self.wanted = found
        elif found != self.wanted:
            raise NotTheSameError("this turn wrote other documents than the first one")
        return len(found["records"])

    @asynccontextmanager
    async def _database(self) -> AsyncGenerator[str]:
        """A new database, with the schema and the writer's login, until the block is left."""
        name = f"bench_{next(self._numbers)}"
        await make_store(self.server, name)
        try:
            yield name
        finally:
            async with self._client("pymongo", name) as database:
                await database.client.drop_database(name)

    @asynccontextmanager
    async def _client(self, driver: DriverName, name: str) -> AsyncGenerator[AsyncDatabase[dict[str, Any]]]:
        """The database, by a bare client of the superuser's."""
        chosen = driver_of(driver)
        client = chosen.client(self.server.uri(name), {})
        try:
            yield client.get_default_database()
        finally:
            await chosen.close(client)


def _noon() -> datetime:
    return tenant.AT
