"""How long a webhook waits for its 200 at half of what the edge can take, next to the floor at the same rate.

Webhooks arrive whether or not earlier ones are answered, and find a processor that has just been idle, for which each
costs more. So what the edge can take of such arrivals is found first, by trying.
While the disk holds the log up for a tenth of a second, an edge has all it takes at once and answers 503: told apart.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benchmarks.edge.bench import BUSY, EDGE, OK, ROLES, Size, Turns, fired, ready
from benchmarks.edge.orders import Volley
from benchmarks.figures import Comparison, Latency, Quantiles, Result, Spread
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from benchmarks.edge.orders import Hits
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

OPEN_LOOP_CONNECTIONS = 1000
"""At most, and more than half load ever needs: no request waits for one."""
CLOSED_LOOP_CONNECTIONS = 64

_MICROSECONDS = 1_000_000
_MOST_TURNED_DOWN = 0.01


async def measure(stage: Stage, *, requests: int, runs: int, tell: Tell) -> Result:
    """Loads both sides as much as they can take, then each with half of what the edge takes of arrivals."""
    size = Size(items_a_body=1, requests=requests, connections=CLOSED_LOOP_CONNECTIONS)
    async with AsyncExitStack() as exits:
        place = await exits.enter_async_context(stage.fresh(Kind.LOG))
        turns = await ready(stage, place, size, exits)
        await turns.warm_up()
        sides = {side: turns.turn(side) for side in ROLES}
        samples = await interleaved("latency: what each side can take", sides, runs=runs, tell=tell)
        most = await _most(turns, Spread.of(one.rate("requests") for one in samples[EDGE]).median, tell)
        rate = most / 2
        paced = {side: _paced(turns, side, rate) for side in ROLES}
        hits = await interleaved(f"latency: {rate:,.0f} requests/s", paced, runs=runs, tell=tell)
    title = f"latency: webhook to 200 at half load, {rate:,.0f} requests/s"
    quantiles = {side: [Quantiles.of(waits_seconds(one)) for one in found] for side, found in hits.items()}
    return Result(
        name="latency",
        parameters={"runs": runs, "requests": requests, "arrivals": "poisson"},
        comparisons=[Comparison(title="latency: what each side can take", subject=EDGE, samples=samples)],
        latencies=[Latency(title=title, subject=EDGE, runs=quantiles)],
        figures={
            "what it can take of arrivals: requests/s": most,
            "offered: requests/s": rate,
            **turned_down(hits),
            **generator(hits),
        },
    )


def waits_seconds(hits: Hits, *, answered: int = OK) -> Iterable[float]:
    """How long each request that was answered with this status waited since it was due."""
    waits = zip(hits.wait_microseconds, hits.statuses, strict=True)
    return (wait / _MICROSECONDS for wait, status in waits if status == answered)


def turned_down(hits: Mapping[str, Sequence[Hits]]) -> Mapping[str, float]:
    """The share that each side answered with 503, to be delivered again."""
    return {f"{side}: 503, %": 100 * _share_turned_down(found) for side, found in hits.items()}


def _share_turned_down(hits: Sequence[Hits]) -> float:
    return sum(one.by_status.get(BUSY, 0) for one in hits) / sum(one.requests for one in hits)


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


async def _most(turns: Turns, closed_loop: float, tell: Tell) -> float:
    """The most arrivals a second of which the edge turns down no more than one in a hundred.

    In steps of a tenth of what it took in a closed loop, from there down to one of them.
    """
    for tenths in range(10, 1, -1):
        rate = closed_loop * tenths / 10
        tell(f"latency: whether it can take {rate:,.0f} requests/s", 0, 0)
        if _share_turned_down([await _paced(turns, EDGE, rate)()]) <= _MOST_TURNED_DOWN:
            return rate
    return closed_loop / 10


def _paced(turns: Turns, side: str, rate: float) -> Callable[[], Awaitable[Hits]]:
    async def fire() -> Hits:
        await turns.begin()
        _, port = turns.servers[side]
        volley = Volley(port=port, requests=turns.size.requests, connections=OPEN_LOOP_CONNECTIONS, rate=rate)
        hits = await fired(turns.load, volley, besides={BUSY})
        await turns.check(side, requests=hits.by_status[OK])
        return hits

    return fire
