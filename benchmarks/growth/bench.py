"""Beside the smallest store each larger one: the archive worker keeps the same entries in both, in turns.

Twice: once the server has logged nearly every page of the indexes, and with a checkpoint before each turn, after which
it logs each page as a whole at its first change. Ids are random, so that in a large store nearly every new one is such
a change.
Source: https://www.postgresql.org/docs/18/wal-configuration.html (full_page_writes), 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from backends.postgres.records import PostgresRecords
from benchmarks import tenant
from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Comparison, Result, Sample, Series, Spread
from benchmarks.growth.filling import count, filling
from benchmarks.logs import LogAt, LogKind, Volume, empty_log, fill, open_log, prepared
from benchmarks.machine import Meter
from benchmarks.progress import Progress
from benchmarks.rounds import interleaved
from benchmarks.stage import WAL_BYTES, Kind, Place, Stage
from broker.core.ports import NewEntry
from broker.reporting import tenant_report

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rounds import Tell

SIZES = (100_000, 1_000_000, 10_000_000)
KEPT_BY_WORKER = 10_000
"""What all else is copied from, at most."""
_EARLY = ", right after a checkpoint"
_GIBIBYTE = 2**30
_ENDLESS = 2**62
_DISK_BYTES = "SELECT pg_database_size(current_database())"
_KEPT = "SELECT coalesce(sum(keep_seq), 0) FROM custody_pas.progress"
_READ_MICROSECONDS = "SELECT blk_read_time * 1000 FROM pg_stat_database WHERE datname = current_database()"
_REPORTS = 3
"""Of each store: that of the largest takes a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is done with every pair of stores: about so many entries are kept in each run."""

    entries: int
    runs: int
    on: LogKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a record took of the server: bytes written ahead, and time until pages were read that it had not at hand."""

    wal_bytes: float
    read_microseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What was measured of one store, which has so many records. `early`: right after a checkpoint each."""

    records: int
    samples: Sequence[Sample]
    early: Sequence[Sample]
    effort: Effort
    early_effort: Effort
    report_seconds: Sequence[float]
    disk_bytes: int


async def measure(stage: Stage, load: Load, *, sizes: Sequence[int], tell: Tell, progress: Path) -> Result:
    """Keeps entries in stores that have about so many records before, and draws the report of each.

    Each pair that was measured is written down: after an interruption it is not measured again.
    """
    smallest, *larger = sorted(set(sizes))
    kept = Progress(progress)
    pairs: list[tuple[Grown, Grown]] = []
    for size in larger:
        key = f"{smallest} {size} {load}"
        if key not in kept.done():
            kept.add(key, msgspec.to_builtins(await _pair(stage, load, (smallest, size), tell)))
        pairs.append(msgspec.convert(kept.done()[key], tuple[Grown, Grown]))
    kept.forget()
    return Result(
        name=load.on.named("growth"),
        parameters={
            "sizes": [smallest, *larger],
            "entries": load.entries,
            "runs": load.runs,
            "log": load.on,
            "huge_pages": await stage.shown("huge_pages_status"),
        },
        comparisons=[compared for pair in pairs for compared in _compared(*pair)],
        figures=_figures(pairs),
        series=list(_series([pairs[0][0], *(grown for _, grown in pairs)])),
    )


async def _pair(stage: Stage, load: Load, sizes: tuple[int, int], tell: Tell) -> tuple[Grown, Grown]:
    async with AsyncExitStack() as exits:
        log = await exits.enter_async_context(empty_log(stage, load.on))
        small, large = stores = [
            _Store(size=size, place=await exits.enter_async_context(stage.fresh(Kind.RECORDS))) for size in sizes
        ]
        for store in stores:
            await stage.execute(f"ALTER DATABASE {store.place.name} SET track_io_timing = on")
        turns = _Turns(log=log)
        for store in stores:
            await turns.keep(store, min(KEPT_BY_WORKER, sizes[0] // 2))
        await _filled(stage, stores, tell)

        async def keep_early(store: _Store) -> Sample:
            await stage.execute("CHECKPOINT")
            return await turns.keep(store, load.entries)

        sides = {store.title: partial(turns.keep, store, load.entries) for store in stores}
        samples = await interleaved(f"growth: {large.title}", sides, runs=load.runs, tell=tell)
        sides = {store.title: partial(keep_early, store) for store in stores}
        early = await interleaved(f"growth: {large.title}{_EARLY}", sides, runs=load.runs, tell=tell)
        return (
            await turns.grown(small, samples[small.title], early[small.title]),
            await turns.grown(large, samples[large.title], early[large.title]),
        )


async def _filled(stage: Stage, stores: Sequence[_Store], tell: Tell) -> None:
    """Fills the stores. The last of each comes after a checkpoint, so that its pages have been logged by then."""
    async with AsyncExitStack() as exits:
        fillers = [
            await exits.enter_async_context(
                filling(one.place, one.size, partial(tell, f"growth: filling up to {one.size:,} records"))
            )
            for one in stores
        ]
        for store, filler in zip(stores, fillers, strict=True):
            await filler.fill(but=filler.last)
            await stage.execute("VACUUM (ANALYZE)", place=store.place)
        await stage.execute("CHECKPOINT")
        for store, filler in zip(stores, fillers, strict=True):
            await filler.fill()
            store.records = await count(store.place)
            store.efforts.clear()


@dataclass(slots=True, kw_only=True)
class _Store:
    """A store, how many portions of the log it has, and what each of them took of the server."""

    size: int
    place: Place
    records: int = 0
    portions: int = 0
    efforts: list[Effort] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.size:,} records"

    async def spent(self) -> Effort:
        """What its server's log, and its own reads, came to so far."""
        return Effort(wal_bytes=await self.ask(WAL_BYTES), read_microseconds=await self.ask(_READ_MICROSECONDS))

    async def ask(self, question: str) -> int:
        """A number, as the superuser."""
        connection = await asyncpg.connect(self.place.admin_dsn)
        try:
            return int(await connection.fetchval(question))
        finally:
            await connection.close()


@dataclass(slots=True, kw_only=True)
class _Turns:
    """The turns at one log, which grows by a portion in each round: every store gets the same ones."""

    log: LogAt
    bodies: Iterator[Sequence[NewEntry]] = field(default_factory=lambda: prepared(_ENDLESS))
    portions: list[Volume] = field(default_factory=list)

    async def keep(self, store: _Store, entries: int) -> Sample:
        """The next portion, appended by whoever comes first, is kept by the archive worker."""
        if store.portions == len(self.portions):
            self.portions.append(await fill(self.log, self._some(entries)))
        volume = self.portions[store.portions]
        store.portions += 1
        kept, before = await store.ask(_KEPT), await store.spent()
        group = f"growth-{store.size}"
        orders = WorkerOrders(log=self.log, records_dsn=store.place.dsn, group=group)
        spent = await drain(orders, entries=volume.entries)
        store.efforts.append(_each(before, await store.spent(), entries=volume.entries))
        if (found := await store.ask(_KEPT) - kept) != volume.entries:
            raise NotTheSameError(f"{found} records kept of {volume.entries} entries")
        return Sample.of(spent, {"records": volume.entries}, data_bytes=volume.data_bytes)

    def _some(self, entries: int) -> Iterator[Sequence[NewEntry]]:
        """Whole bodies, with so many entries or a few more."""
        while entries > 0:
            body = next(self.bodies)
            entries -= len(body)
            yield body

    async def grown(self, store: _Store, samples: Sequence[Sample], early: Sequence[Sample]) -> Grown:
        """All that there is to say of a store when its turns are over."""
        added = sum(one.entries for one in self.portions[1:])
        half = len(store.efforts) // 2
        return Grown(
            records=store.records,
            samples=samples,
            early=early,
            effort=_middle(store.efforts[1:half]),
            early_effort=_middle(store.efforts[half + 1 :]),
            report_seconds=[await self._report(store, store.records + added) for _ in range(_REPORTS)],
            disk_bytes=await store.ask(_DISK_BYTES),
        )

    async def _report(self, store: _Store, records: int) -> float:
        """The seconds that `custody report` takes for its tally, once it is sure that it counts every record."""
        log = await open_log(self.log)
        records_store = await PostgresRecords.open(store.place.dsn, clock=lambda: tenant.AT)
        try:
            meter = Meter()
            report = await tenant_report(tenant.registry().tenants[tenant.TENANT], log=log, store=records_store)
            spent = meter.spent()
        finally:
            await records_store.close()
            await log.close()
        if report.figures.kept != records or await count(store.place) != records:
            raise NotTheSameError(f"{report.figures.kept} records reported of {records}")
        return spent.seconds


def _each(before: Effort, after: Effort, *, entries: int) -> Effort:
    return Effort(
        wal_bytes=(after.wal_bytes - before.wal_bytes) / entries,
        read_microseconds=(after.read_microseconds - before.read_microseconds) / entries,
    )


def _middle(efforts: Sequence[Effort]) -> Effort:
    return Effort(
        wal_bytes=median(one.wal_bytes for one in efforts),
        read_microseconds=median(one.read_microseconds for one in efforts),
    )


def _compared(small: Grown, large: Grown) -> Iterator[Comparison]:
    """The larger store beside the smaller: as it goes on, and right after a checkpoint."""
    names = [f"{one.records:,} records" for one in (large, small)]
    for when, sides in (("", (large.samples, small.samples)), (_EARLY, (large.early, small.early))):
        yield Comparison(
            title=f"growth: the archive on a store of {names[0]}{when}",
            subject=names[0],
            samples=dict(zip(names, sides, strict=True)),
        )


def _figures(pairs: Sequence[tuple[Grown, Grown]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for small, large in pairs:
        for when, compared in zip(("", _EARLY), _compared(small, large), strict=True):
            ratio = median(compared.ratios(f"{small.records:,} records"))
            figures[f"rate at {large.records:,} records over that at {small.records:,}{when}"] = ratio
    for one in (pairs[0][0], *(large for _, large in pairs)):
        figures[f"report at {one.records:,} records: seconds"] = median(one.report_seconds)
        for when, effort in (("", one.effort), (_EARLY, one.early_effort)):
            kept = f"kept at {one.records:,} records{when}, a record"
            figures[f"{kept}: bytes of the server's own log"] = effort.wal_bytes
            figures[f"{kept}: us of waiting for pages that it had not at hand"] = effort.read_microseconds
        figures[f"store of {one.records:,} records, and what was kept besides: GiB"] = one.disk_bytes / _GIBIBYTE
    return figures


def _series(stores: Sequence[Grown]) -> Iterator[Series]:
    rates = [(one.records, Spread.of(sample.rate("records") for sample in one.samples)) for one in stores]
    yield Series(
        title="archive rate by the size of the store",
        x="records in the store",
        y="records/s",
        lines={
            "median": [(records, rate.median) for records, rate in rates],
            "least": [(records, rate.minimum) for records, rate in rates],
            "most": [(records, rate.maximum) for records, rate in rates],
        },
        powers=True,
    )
    yield Series(
        title="custody report by the size of the store",
        x="records in the store",
        y="seconds",
        lines={"median": [(one.records, median(one.report_seconds)) for one in stores]},
        powers=True,
    )
