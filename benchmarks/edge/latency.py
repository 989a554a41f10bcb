"""How long a webhook waits for its 200 at half of what the edge can take, next to the floor at the same rate."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benchmarks.edge.bench import EDGE, ROLES, Size, Turns, fired, ready
from benchmarks.edge.orders import Volley
from benchmarks.figures import Comparison, Latency, Quantiles, Result, Spread
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from benchmarks.edge.orders import Hits
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

OPEN_LOOP_CONNECTIONS = 1000
"""At most, and more than half load ever needs: no request waits for one."""
CLOSED_LOOP_CONNECTIONS = 64

_MICROSECONDS = 1_000_000


async def measure(stage: Stage, *, requests: int, runs: int, tell: Tell) -> Result:
    """Loads both sides as much as they can take, then each with half of what the edge took."""
    size = Size(items_a_body=1, requests=requests, connections=CLOSED_LOOP_CONNECTIONS)
    async with AsyncExitStack() as exits:
        place = await exits.enter_async_context(stage.fresh(Kind.LOG))
        turns = await ready(stage, place, size, exits)
        await turns.warm_up()
        sides = {side: turns.turn(side) for side in ROLES}
        samples = await interleaved("latency: what each side can take", sides, runs=runs, tell=tell)
        rate = Spread.of(one.rate("requests") for one in samples[EDGE]).median / 2
        paced = {side: _paced(turns, side, rate) for side in ROLES}
        hits = await interleaved(f"latency: {rate:,.0f} requests/s", paced, runs=runs, tell=tell)
    title = f"latency: webhook to 200 at half load, {rate:,.0f} requests/s"
    quantiles = {side: [Quantiles.of(waits_seconds(one)) for one in found] for side, found in hits.items()}
    return Result(
        name="latency",
        parameters={"runs": runs, "requests": requests, "arrivals": "poisson"},
        comparisons=[Comparison(title="latency: what each side can take", subject=EDGE, samples=samples)],
        latencies=[Latency(title=title, subject=EDGE, runs=quantiles)],
        figures={"offered: requests/s": rate, **generator(hits)},
    )


def waits_seconds(hits: Hits) -> Iterable[float]:
    """How long each request waited since it was due."""
    return (wait / _MICROSECONDS for wait in hits.wait_microseconds)


def generator(hits: Mapping[str, list[Hits]]) -> Mapping[str, float]:
    """What the generator cost, and how punctual it was: its share of each wait."""
    found = [one for side in hits.values() for one in side]
    late = Quantiles.of(late / _MICROSECONDS for one in found for late in one.late_microseconds)
    return {
        "generator: % of one core": 100 * sum(one.cpu_seconds for one in found) / sum(one.seconds for one in found),
        "generator: late by, median ms": late.median,
        "generator: late by, 99 % ms": late.p99,
        "generator: late by, most ms": late.maximum,
    }


def _paced(turns: Turns, side: str, rate: float) -> Callable[[], Awaitable[Hits]]:
    async def fire() -> Hits:
        await turns.begin()
        _, port = turns.servers[side]
        volley = Volley(port=port, requests=turns.size.requests, connections=OPEN_LOOP_CONNECTIONS, rate=rate)
        hits = await fired(turns.load, volley)
        await turns.check(side)
        return hits

    return fire
