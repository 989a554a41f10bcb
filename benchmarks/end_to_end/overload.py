"""Custody at twice the load that it can take: what it answers, what it gets done meanwhile, and that it keeps its word.

Requests fall due whether or not it keeps up, over as many connections as it takes, and nobody sends one again. Of those
that it turns down each must be told when to come again; of those that it answers with 200 each must be kept in the end.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.arrivals import due_seconds
from benchmarks.digests import NotTheSameError
from benchmarks.edge.bench import BUSY, OK
from benchmarks.edge.latency import generator, waits_seconds
from benchmarks.edge.orders import SEED, UNANSWERED, Hits, Volley
from benchmarks.figures import Quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.end_to_end.way import Way

CONNECTIONS = 4000
"""At most: enough for whatever a server holds before it turns anything down, and few enough for its file handles."""

_TIMES = 2
_TOO_MANY = 429
_MEBIBYTE = 2**20
_MICROSECONDS = 1_000_000


async def measure(way: Way, record_ids: Sequence[str], *, first: int, taken: float) -> Mapping[str, float]:
    """Sends every body from `first` on, at twice the rate of `taken`; figures by what they say."""
    before = await way.edge_spent()
    requests, rate = len(record_ids) - first, _TIMES * taken
    hits = await way.fire(Volley(port=way.port, first=first, requests=requests, connections=CONNECTIONS, rate=rate))
    spent = await way.edge_spent()
    check(hits)
    kept_at, _ = await way.kept()
    await way.check([one for one, status in zip(record_ids[first:], hits.statuses, strict=True) if status == OK])
    due = due_seconds(requests, rate=rate, seed=SEED)
    goodput = answered_in_time(hits, due) / due[-1]
    return {
        "overload: what it can take, requests/s": taken,
        "overload: offered, requests/s": rate,
        **{f"overload: {name}": value for name, value in shares(hits).items()},
        "overload: goodput, requests/s": goodput,
        "overload: goodput over what it can take": goodput / taken,
        **{f"overload: {name}": value for name, value in _waits(hits).items()},
        "overload: all kept so long after the last was due, s": max(kept_at.values()) - hits.started_at - due[-1],
        "overload: edge's peak before, MiB": before.peak_memory_bytes / _MEBIBYTE,
        "overload: edge's peak after, MiB": spent.peak_memory_bytes / _MEBIBYTE,
        **{f"overload: {name}": value for name, value in generator({"": [hits]}).items()},
    }


def check(hits: Hits) -> None:
    """Raises unless whatever was turned down was so for the load, and was told when to come again."""
    if others := hits.by_status.keys() - {OK, BUSY, _TOO_MANY, UNANSWERED}:
        raise NotTheSameError(f"answered with {sorted(others)}")
    if hits.unexplained:
        raise NotTheSameError(f"{hits.unexplained} turned down without being told when to come again")


def answered_in_time(hits: Hits, due: Sequence[float]) -> int:
    """How many were answered with 200 before the last one was due."""
    answers = zip(due, hits.wait_microseconds, hits.statuses, strict=True)
    return sum(status == OK and seconds + wait / _MICROSECONDS <= due[-1] for seconds, wait, status in answers)


def shares(hits: Hits) -> Mapping[str, float]:
    """How many of a hundred came to what."""
    counts = Counter(hits.statuses)
    named = {"200": OK, "503": BUSY, "429": _TOO_MANY, "refused or unanswered": UNANSWERED}
    return {f"{name}, %": 100 * counts[status] / hits.requests for name, status in named.items()}


def _waits(hits: Hits) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for status in (OK, BUSY):
        waits = list(waits_seconds(hits, answered=status))
        if waits:
            quantiles = Quantiles.of(waits)
            found |= {f"{status} after, median ms": quantiles.median, f"{status} after, 99 % ms": quantiles.p99}
    return found
