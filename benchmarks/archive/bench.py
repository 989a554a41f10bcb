"""Prepares a topic, then lets the worker and its floors take turns at it, each into an empty store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.archive.orders import FloorOrders, FloorOutcome, WorkerOrders
from benchmarks.archive.reference import digests
from benchmarks.archive.workers import drain
from benchmarks.children import outcome
from benchmarks.digests import Digest, NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogAt, LogKind, Volume, ends, filled_log
from benchmarks.machine import Spent, cores
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind, Place, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.rounds import Side, Tell

WORKER = "worker"
FLOORS: Mapping[str, tuple[bool, bool]] = {
    "floor": (False, False),
    "floor + reading": (True, False),
    "floor + reading + notices": (True, True),
}
"""By name: whether it reads the log too, and publishes notices too."""
BATCH_ROWS = 5000


@dataclass(slots=True, kw_only=True)
class Turns:
    """The turns of worker and floors. The worker's first store stays: it has the rows that everybody is to write."""

    stage: Stage
    log: LogAt
    volume: Volume
    exits: AsyncExitStack
    processes: int = 1
    reference: Place | None = None
    wanted: Mapping[str, Digest] = field(default_factory=dict)
    notices: Mapping[str, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def worker(self) -> Sample:
        """The archive workers."""
        if self.reference is None:
            self.reference = await self.exits.enter_async_context(self.stage.fresh(Kind.RECORDS))
            sample = await self._work(self.reference)
            self.notices = await ends(self.log, [tenant.KEPT_TOPIC])
            self.wanted = await digests(self.reference.admin_dsn)
            return sample
        async with self.stage.fresh(Kind.RECORDS) as place:
            sample = await self._work(place)
            await self.check(place)
        return sample

    def floor(self, *, reads: bool, publishes: bool) -> Side:
        """One of the floors."""

        async def turn() -> Sample:
            if self.reference is None:
                raise NotTheSameError("the worker goes first: it makes the rows")
            async with self.stage.fresh(Kind.RECORDS) as place:
                orders = FloorOrders(
                    reference_dsn=self.reference.dsn,
                    records_dsn=place.dsn,
                    log=self.log,
                    batch_rows=BATCH_ROWS,
                    reads=await ends(self.log, tenant.ACCOUNTED_TOPICS) if reads else {},
                    publishes=self.notices if publishes else {},
                )
                async with self._publishing(self.volume.entries if publishes else 0):
                    found = await outcome("archive.floor", orders, FloorOutcome)
                if reads and found.entries_read != self.volume.entries:
                    raise NotTheSameError(f"{found.entries_read} entries read of {self.volume.entries}")
                await self.check(place)
            return self._sample(found.spent)

        return turn

    async def _work(self, place: Place) -> Sample:
        orders = WorkerOrders(
            log=self.log,
            records_dsn=place.dsn,
            group=f"archive-{next(self._numbers)}",
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
        found = await digests(place.admin_dsn)
        if found != self.wanted:
            differing = sorted(name for name in self.wanted if found[name] != self.wanted[name])
            raise NotTheSameError(f"not the rows of the first run: {', '.join(differing)}")

    def _sample(self, spent: Spent) -> Sample:
        return Sample(
            seconds=spent.seconds,
            counts={"records": self.volume.entries},
            data_bytes=self.volume.data_bytes,
            cpu_seconds=spent.cpu_seconds,
            peak_memory_bytes=spent.peak_memory_bytes,
        )


async def measure(
    stage: Stage,
    *,
    entries: int,
    runs: int,
    tell: Tell,
    on: LogKind = LogKind.POSTGRES,
    processes: int | None = None,
) -> Result:
    """Drains about `entries` entries in every run, with one worker a core unless told otherwise."""
    processes = processes or cores()
    async with AsyncExitStack() as exits:
        tell("archive: preparing entries", 0, 0)
        log, volume = await exits.enter_async_context(filled_log(stage, on, entries))
        turns = Turns(stage=stage, log=log, volume=volume, exits=exits, processes=processes)
        floors = {name: turns.floor(reads=reads, publishes=publishes) for name, (reads, publishes) in FLOORS.items()}
        samples = await interleaved("archive", {WORKER: turns.worker, **floors}, runs=runs, tell=tell)
    rows = {table: found[0] for table, found in turns.wanted.items()}
    size = volume.data_bytes // volume.entries
    title = f"archive: log on {on} to store, {volume.entries:,} records of {size:,} bytes, {processes} workers"
    return Result(
        name="archive" if on is LogKind.POSTGRES else f"archive-{on}",
        parameters={
            "entries": volume.entries,
            "log": on,
            "runs": runs,
            "floor_batch_rows": BATCH_ROWS,
            "rows": rows,
            "workers": processes,
        },
        comparisons=[Comparison(title=title, subject=WORKER, samples=samples)],
    )
