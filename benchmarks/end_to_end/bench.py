"""Custody and its floor take turns, each time on an empty log and store: as much as they can take, then half of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.arrivals import due_seconds
from benchmarks.edge.bare import prepared_entries
from benchmarks.edge.bench import all_taken
from benchmarks.edge.latency import CLOSED_LOOP_CONNECTIONS, OPEN_LOOP_CONNECTIONS, generator, waits_seconds
from benchmarks.edge.orders import SEED, Hits, Volley
from benchmarks.end_to_end import overload
from benchmarks.end_to_end.way import Way, up
from benchmarks.figures import Comparison, Latency, Quantiles, Result, Sample, Spread
from benchmarks.logs import LogKind, empty_log
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind, Place, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from benchmarks.rounds import Tell

CUSTODY, FLOOR = "custody", "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many requests warm a side up, and how many are sent at full load, at half of it, and at twice as much."""

    warm_up: int
    full: int
    half: int
    twice: int


def size(entries: int) -> Size:
    """For runs that take about as long as draining `entries` does."""
    return Size(warm_up=entries // 50, full=entries // 10, half=entries // 10, twice=entries // 5 * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a turn found: at full load until all was kept; at half load the answers, and the waits until it was kept."""

    full: Sample
    half: Hits
    kept: Quantiles


@dataclass(slots=True, kw_only=True)
class Turns:
    """The turns of both. Custody's first store stays: it has the rows that the floor writes again."""

    stage: Stage
    on: LogKind
    size: Size
    record_ids: Sequence[str]
    """Of the bodies, one item in each."""
    exits: AsyncExitStack
    reference: Place | None = None
    rate: float = 0.0
    """Half of what Custody took in its last turn."""

    def side(self, side: str) -> Callable[[], Awaitable[Found]]:
        """The turns of one side; Custody goes first."""

        async def turn() -> Found:
            async with AsyncExitStack() as own:
                first = self.reference is None
                store = await (self.exits if first else own).enter_async_context(self.stage.fresh(Kind.RECORDS))
                way = await own.enter_async_context(self.up(store, self.reference if side == FLOOR else None))
                self.reference = self.reference or store
                return await self._turn(way, leads=side == CUSTODY)

        return turn

    @asynccontextmanager
    async def up(self, store: Place, reference: Place | None = None) -> AsyncGenerator[Way]:
        """A side on an empty log, warmed up."""
        pool_items = len(self.record_ids)
        async with (
            empty_log(self.stage, self.on) as at,
            up(at, store, pool_items=pool_items, reference=reference) as way,
        ):
            all_taken(await way.fire(self._volley(way, 0, self.size.warm_up)))
            await way.kept()
            await self.stage.execute("CHECKPOINT")
            await way.edge_spent()
            yield way

    async def _turn(self, way: Way, *, leads: bool) -> Found:
        full = await self.full(way)
        if leads:
            self.rate = full.rate("messages") / 2
        first = self.size.warm_up + self.size.full
        half = all_taken(await way.fire(self._volley(way, first, self.size.half, self.rate)))
        kept_at, _ = await way.kept()
        await way.check(self.record_ids[: first + self.size.half])
        due = due_seconds(self.size.half, rate=self.rate, seed=SEED)
        waits = [
            kept_at[record_id] - half.started_at - seconds
            for record_id, seconds in zip(self.record_ids[first:], due, strict=False)
        ]
        return Found(full=full, half=half, kept=Quantiles.of(waits))

    async def full(self, way: Way) -> Sample:
        """As much as it can take, until all of it is kept."""
        hits = all_taken(await way.fire(self._volley(way, self.size.warm_up, self.size.full)))
        kept_at, keeper = await way.kept()
        edge = await way.edge_spent()
        return Sample(
            seconds=max(kept_at.values()) - hits.started_at,
            counts={"messages": hits.requests},
            data_bytes=hits.sent_bytes,
            cpu_seconds=edge.cpu_seconds + keeper.cpu_seconds,
            peak_memory_bytes=edge.peak_memory_bytes + keeper.peak_memory_bytes,
        )

    def _volley(self, way: Way, first: int, requests: int, rate: float = 0.0) -> Volley:
        connections = OPEN_LOOP_CONNECTIONS if rate else CLOSED_LOOP_CONNECTIONS
        return Volley(port=way.port, first=first, requests=requests, connections=connections, rate=rate)


async def measure(stage: Stage, *, entries: int, runs: int, tell: Tell, on: LogKind = LogKind.POSTGRES) -> Result:
    """Both sides at full and at half load in every run; then Custody alone at twice as much as it could take."""
    wanted = size(entries)
    async with AsyncExitStack() as exits:
        tell("end to end: preparing", 0, 0)
        ids = record_ids(wanted.warm_up + wanted.full + wanted.half)
        turns = Turns(stage=stage, on=on, size=wanted, record_ids=ids, exits=exits)
        found = await interleaved(
            "end to end", {one: turns.side(one) for one in (CUSTODY, FLOOR)}, runs=runs, tell=tell
        )
    full = {side: [one.full for one in ones] for side, ones in found.items()}
    taken = Spread.of(one.rate("messages") for one in full[CUSTODY]).median
    tell("end to end: twice as much as it can take", 0, 0)
    ids = record_ids(wanted.warm_up + wanted.full + wanted.twice)
    turns = Turns(stage=stage, on=on, size=wanted, record_ids=ids, exits=exits)
    async with stage.fresh(Kind.RECORDS) as store, turns.up(store) as way:
        just_now = (await turns.full(way)).rate("messages")
        beyond = await overload.measure(way, ids, first=wanted.warm_up + wanted.full, taken=just_now)
    return Result(
        name=on.named("end-to-end"),
        parameters={"entries": entries, "log": on, "runs": runs, "arrivals": "poisson"},
        comparisons=[Comparison(title=f"end to end: webhook to kept, log on {on}", subject=CUSTODY, samples=full)],
        latencies=_latencies(found, taken / 2),
        figures={**generator({side: [one.half for one in ones] for side, ones in found.items()}), **beyond},
    )


def record_ids(items: int) -> Sequence[str]:
    """The record of each body, one item in each."""
    prepared = prepared_entries(items=items, items_a_body=1).values()
    return [next(value.decode() for name, value in entry.headers if name == "ce_id") for (entry,) in prepared]


def _latencies(found: Mapping[str, Sequence[Found]], rate: float) -> Sequence[Latency]:
    answered = {side: [Quantiles.of(waits_seconds(one.half)) for one in ones] for side, ones in found.items()}
    kept = {side: [one.kept for one in ones] for side, ones in found.items()}
    load = f"at half load, about {rate:,.0f} requests/s"
    return (
        Latency(title=f"end to end: webhook to 200 {load}", subject=CUSTODY, runs=answered),
        Latency(title=f"end to end: webhook to kept {load}", subject=CUSTODY, runs=kept),
    )
