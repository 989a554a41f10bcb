"""The turns of the archive worker and of its floors at one log, each into an empty store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Protocol

from benchmarks import tenant
from benchmarks.archive.orders import FloorOrders, FloorOutcome, WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.children import outcome
from benchmarks.digests import Digest, NotTheSameError
from benchmarks.figures import Sample
from benchmarks.logs import LogAt, Volume, ends
from benchmarks.stage import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from backends.mongo.drivers import DriverName
    from benchmarks.machine import Spent
    from benchmarks.rounds import Side

WORKER = "worker"
FLOORS: Mapping[str, tuple[bool, bool]] = {
    "floor": (False, False),
    "floor + reading": (True, False),
    "floor + reading + notices": (True, True),
}
"""By name: whether it reads the log too, and publishes notices too."""
BATCH_ROWS = 5000


class Stores(Protocol):
    """Where all of them write, and who the floor is."""

    floor_role: str
    mongodb: bool

    def fresh(self) -> AbstractAsyncContextManager[Place]:
        """An empty store until the block is left."""
        ...

    async def digests(self, place: Place) -> Mapping[str, Digest]:
        """What is in a store, by table or collection."""
        ...


@dataclass(slots=True, kw_only=True)
class Turns:
    """The turns of worker and floors. The worker's first store stays: it has the rows that everybody is to write."""

    stores: Stores
    log: LogAt
    volume: Volume
    exits: AsyncExitStack
    processes: int = 1
    reference: Place | None = None
    wanted: Mapping[str, Digest] = field(default_factory=dict)
    notices: Mapping[str, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def worker(self, *, driver: DriverName = "pymongo", transactions: bool = True) -> Sample:
        """The archive workers."""
        if self.reference is None:
            self.reference = await self.exits.enter_async_context(self.stores.fresh())
            sample = await self._work(self.reference, driver, transactions=transactions)
            self.notices = await ends(self.log, [tenant.KEPT_TOPIC])
            self.wanted = await self.stores.digests(self.reference)
            return sample
        async with self.stores.fresh() as place:
            sample = await self._work(place, driver, transactions=transactions)
            await self.check(place)
        return sample

    def floors(self) -> dict[str, Side]:
        """Each of `FLOORS`."""
        return {name: self.floor(reads=reads, publishes=publishes) for name, (reads, publishes) in FLOORS.items()}

    def floor(self, *, reads: bool, publishes: bool, driver: DriverName = "pymongo") -> Side:
        """One of the floors."""

        async def turn() -> Sample:
            if self.reference is None:
                raise NotTheSameError("the worker goes first: it makes the rows")
            async with self.stores.fresh() as place:
                orders = FloorOrders(
                    reference_dsn=self.reference.dsn,
                    records_dsn=place.dsn,
                    log=self.log,
                    batch_rows=BATCH_ROWS,
                    driver=driver,
                    reads=await ends(self.log, tenant.ACCOUNTED_TOPICS) if reads else {},
                    publishes=self.notices if publishes else {},
                )
                async with self._publishing(self.volume.entries if publishes else 0):
                    found = await outcome(self.stores.floor_role, orders, FloorOutcome)
                if reads and found.entries_read != self.volume.entries:
                    raise NotTheSameError(f"{found.entries_read} entries read of {self.volume.entries}")
                await self.check(place)
            return self._sample(found.spent)

        return turn

    async def _work(self, place: Place, driver: DriverName, *, transactions: bool) -> Sample:
        orders = WorkerOrders(
            log=self.log,
            records_dsn=place.dsn,
            group=f"archive-{next(self._numbers)}",
            mongodb=self.stores.mongodb,
            driver=driver,
            transactions=transactions,
        )
        async with self._publishing(self.volume.entries):
            spent = await drain(orders, entries=self.volume.entries, processes=self.processes)
        return self._sample(spent)

    @asynccontextmanager
    async def _publishing(self, expected: int) -> AsyncIterator[None]:
        """Sees to it that so many notices come to the log meanwhile."""
        before = await ends(self.log, [tenant.KEPT_TOPIC])
        yield
        after = await ends(self.log, [tenant.KEPT_TOPIC])
        published = sum(after.values()) - sum(before.values())
        if published != expected:
            raise NotTheSameError(f"{published} notices published, not {expected}")

    async def check(self, place: Place) -> None:
        """Holds the rows of a store against those of the first run."""
        found = await self.stores.digests(place)
        if found != self.wanted:
            differing = sorted(name for name in self.wanted if found[name] != self.wanted[name])
            raise NotTheSameError(f"not the rows of the first run: {', '.join(differing)}")

    def _sample(self, spent: Spent) -> Sample:
        return Sample.of(spent, {"records": self.volume.entries}, data_bytes=self.volume.data_bytes)
