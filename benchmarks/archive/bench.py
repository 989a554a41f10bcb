"""Prepares a topic, then lets the worker and its floors take turns at it, each into an empty store."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import asyncpg

from benchmarks import tenant, traffic
from benchmarks.archive.orders import FloorOrders, FloorOutcome, WorkerOrders
from benchmarks.archive.reference import digests
from benchmarks.children import outcome
from benchmarks.digests import Digest, NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.machine import Spent
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind, Place, Stage
from broker.log.postgres import PostgresLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.rounds import Side, Tell
    from broker.core.ports import NewEntry

WORKER = "worker"
FLOORS: Mapping[str, tuple[bool, bool]] = {
    "floor": (False, False),
    "floor + reading": (True, False),
    "floor + reading + notices": (True, True),
}
"""By name: whether it reads the log too, and publishes notices too."""
BATCH_ROWS = 5000
SEED = 1
_PARTITIONS = """
SELECT partition_id, next_offset
FROM custody_log.log_partitions JOIN custody_log.topics USING (topic_id)
WHERE name = ANY ($1::text[])
ORDER BY partition_id
"""
_VOLUME = "SELECT count(*), sum(octet_length(value)) FROM custody_log.entries"
_APPEND_ENTRIES = 2000


@dataclass(slots=True, kw_only=True)
class Turns:
    """The turns of worker and floors. The worker's first store stays: it has the rows that everybody is to write."""

    stage: Stage
    log: Place
    entries: int
    data_bytes: int
    exits: AsyncExitStack
    reference: Place | None = None
    wanted: Mapping[str, Digest] = field(default_factory=dict)
    notices: Mapping[int, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def worker(self) -> Sample:
        """The archive worker."""
        if self.reference is None:
            self.reference = await self.exits.enter_async_context(self.stage.fresh(Kind.RECORDS))
            sample = await self._work(self.reference)
            self.notices = await partitions(self.log, [tenant.KEPT_TOPIC])
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
                    log_dsn=self.log.dsn,
                    batch_rows=BATCH_ROWS,
                    reads=await partitions(self.log, tenant.ACCOUNTED_TOPICS) if reads else {},
                    publishes=self.notices if publishes else {},
                )
                async with self._publishing(self.entries if publishes else 0):
                    found = await outcome("archive.floor", orders, FloorOutcome)
                if reads and found.entries_read != self.entries:
                    raise NotTheSameError(f"{found.entries_read} entries read of {self.entries}")
                await self.check(place)
            return self._sample(found.spent)

        return turn

    async def _work(self, place: Place) -> Sample:
        orders = WorkerOrders(
            log_dsn=self.log.dsn,
            records_dsn=place.dsn,
            group=f"archive-{next(self._numbers)}",
            entries=self.entries,
        )
        async with self._publishing(self.entries):
            spent = await outcome("archive.worker", orders, Spent)
        return self._sample(spent)

    @asynccontextmanager
    async def _publishing(self, expected: int) -> AsyncIterator[None]:
        """Sees to it that so many notices come to the log meanwhile."""
        before = await partitions(self.log, [tenant.KEPT_TOPIC])
        yield
        after = await partitions(self.log, [tenant.KEPT_TOPIC])
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
            counts={"records": self.entries},
            data_bytes=self.data_bytes,
            cpu_seconds=spent.cpu_seconds,
            peak_memory_bytes=spent.peak_memory_bytes,
        )


async def measure(stage: Stage, *, entries: int, runs: int, tell: Tell) -> Result:
    """Drains about `entries` entries in every run."""
    async with AsyncExitStack() as exits:
        log = await exits.enter_async_context(stage.fresh(Kind.LOG))
        tell("archive: preparing entries", 0, 0)
        await fill(log, entries)
        await stage.execute("VACUUM (ANALYZE)", place=log)
        appended, data_bytes = await _volume(log)
        turns = Turns(stage=stage, log=log, entries=appended, data_bytes=data_bytes, exits=exits)
        floors = {name: turns.floor(reads=reads, publishes=publishes) for name, (reads, publishes) in FLOORS.items()}
        samples = await interleaved("archive", {WORKER: turns.worker, **floors}, runs=runs, tell=tell)
    rows = {table: found[0] for table, found in turns.wanted.items()}
    title = f"archive: log to store, {appended:,} records of {data_bytes // appended:,} bytes"
    return Result(
        name="archive",
        parameters={"entries": appended, "runs": runs, "floor_batch_rows": BATCH_ROWS, "rows": rows},
        comparisons=[Comparison(title=title, subject=WORKER, samples=samples)],
    )


async def fill(place: Place, entries: int) -> None:
    """Appends so many entries, and those of identities besides."""
    sealing = traffic.Sealing(random.Random(SEED).randbytes)
    log = await PostgresLog.open(place.dsn)
    await log.create_topics(tenant.topics())
    waiting: list[NewEntry] = []
    for body in traffic.bodies(seed=SEED, items=entries):
        waiting += sealing.entries(body)
        if len(waiting) >= _APPEND_ENTRIES:
            await log.append(waiting)
            waiting = []
    await log.append(waiting)
    await log.close()


async def partitions(log: Place, topics: Sequence[str]) -> dict[int, int]:
    """The end of each partition of these topics, by its id in the database."""
    connection = await asyncpg.connect(log.admin_dsn)
    try:
        rows = await connection.fetch(_PARTITIONS, list(topics))
    finally:
        await connection.close()
    return {row["partition_id"]: row["next_offset"] for row in rows}


async def entries_of(log: Place) -> int:
    """How many entries there are."""
    return (await _volume(log))[0]


async def _volume(log: Place) -> tuple[int, int]:
    """Entries, and the bytes of their values."""
    connection = await asyncpg.connect(log.admin_dsn)
    try:
        entries, data_bytes = (await connection.fetch(_VOLUME))[0]
    finally:
        await connection.close()
    return entries, int(data_bytes)
