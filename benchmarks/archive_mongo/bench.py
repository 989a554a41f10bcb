"""By each driver: the worker and its floors take turns at a topic, each into an empty store on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from backends.mongo.embedded import EmbeddedMongo, ServerOptions
from benchmarks.archive.turns import BATCH_ROWS, WORKER, Turns
from benchmarks.archive_mongo.bare import connected
from benchmarks.archive_mongo.reference import digests
from benchmarks.archive_mongo.small import COLLECTION, DOCUMENT_BYTES, SmallOrders
from benchmarks.children import outcome
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogKind, filled_log
from benchmarks.machine import Spent, cores
from benchmarks.mongo import make_store
from benchmarks.rounds import interleaved
from benchmarks.stage import Place

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from backends.mongo.drivers import DriverName
    from benchmarks.digests import Digest
    from benchmarks.rounds import Side, Tell
    from benchmarks.stage import Stage

DRIVERS: Sequence[DriverName] = ("pymongo", "motor")
ORDERED = "ordered writes"
SMALL = f"floor B, {DOCUMENT_BYTES} bytes a message"
_SERVER = ServerOptions(cache_gigabytes=0.5)
"""As much as the benchmarks' Postgres has for its buffers."""


@dataclass(slots=True)
class MongoStores:
    """See `Stores`."""

    server: EmbeddedMongo
    floor_role: str = "archive_mongo.floor"
    mongodb: bool = True
    _numbers: Iterator[int] = field(default_factory=count)

    @asynccontextmanager
    async def fresh(self) -> AsyncGenerator[Place]:
        """Begins with a checkpoint, so that each run starts alike."""
        name = f"bench_{next(self._numbers)}"
        admin_uri = self.server.uri(name)
        uri = await make_store(self.server, name)
        async with connected(admin_uri) as database:
            await database.client.admin.command("fsync")
            try:
                yield Place(name=name, dsn=uri, admin_dsn=admin_uri)
            finally:
                await database.client.drop_database(name)

    async def digests(self, place: Place) -> Mapping[str, Digest]:
        async with connected(place.admin_dsn) as database:
            return await digests(database)


async def measure(
    stage: Stage,
    *,
    entries: int,
    runs: int,
    tell: Tell,
    on: LogKind = LogKind.POSTGRES,
    drivers: Sequence[DriverName] = DRIVERS,
) -> Result:
    """Drains about `entries` entries in every run, with one worker a core.

    "Ordered writes" is what the archive does on a server without transactions: the same, in an order that loses nothing
    where it breaks off.
    """
    processes = cores()
    async with AsyncExitStack() as exits:
        tell("archive-mongo: preparing entries", 0, 0)
        log, volume = await exits.enter_async_context(filled_log(stage, on, entries))
        stores = MongoStores(await exits.enter_async_context(await EmbeddedMongo.start(_SERVER)))
        turns = Turns(stores=stores, log=log, volume=volume, exits=exits, processes=processes)
        size = volume.data_bytes // volume.entries
        what = f"{volume.entries:,} records of {size:,} bytes, {processes} workers"
        comparisons = []
        for driver in drivers:
            samples = await interleaved(f"archive-mongo, {driver}", _sides(turns, driver), runs=runs, tell=tell)
            title = f"archive: log on {on} to MongoDB by {driver}, {what}"
            comparisons.append(Comparison(title=title, subject=WORKER, samples=samples))
    return Result(
        name=on.named("archive-mongo"),
        parameters={
            "entries": volume.entries,
            "log": on,
            "runs": runs,
            "floor_batch_rows": BATCH_ROWS,
            "documents": {collection: found[0] for collection, found in turns.wanted.items()},
            "workers": processes,
        },
        comparisons=comparisons,
    )


def _sides(turns: Turns, driver: DriverName) -> dict[str, Side]:
    """The worker and its floors; by the second driver without those that are the same as by the first, or nearly so."""
    floors = {"floor": turns.floor(reads=False, publishes=False, driver=driver)}
    if driver == DRIVERS[0]:
        floors = {**turns.floors(), SMALL: partial(_small, turns)}
    return {
        WORKER: partial(turns.worker, driver=driver),
        ORDERED: partial(turns.worker, driver=driver, transactions=False),
        **floors,
    }


async def _small(turns: Turns) -> Sample:
    """Floor B: as many documents as there are entries."""
    wanted = turns.volume.entries
    async with turns.stores.fresh() as place:
        orders = SmallOrders(uri=place.admin_dsn, documents=wanted, batch_rows=BATCH_ROWS)
        spent = await outcome("archive_mongo.small", orders, Spent)
        async with connected(place.admin_dsn) as database:
            if (found := await database[COLLECTION].count_documents({})) != wanted:
                raise NotTheSameError(f"{found} documents of {wanted}")
    return Sample.of(spent, {"records": wanted}, data_bytes=wanted * DOCUMENT_BYTES)
