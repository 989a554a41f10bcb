"""Fills a log, and lets a worker of bounded memory drain it: a backlog, and ten times as much."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.figures import Result, Series
from benchmarks.logs import LogKind, filled_log
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.machine import Spent
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

MEBIBYTE = 2**20
MEMORY_BYTES = 256 * MEBIBYTE
TIMES = 10
_GROUP = "archive"
_STEPS = 10


async def measure(
    stage: Stage,
    *,
    entries: int,
    tell: Tell,
    memory_bytes: int = MEMORY_BYTES,
    on: LogKind = LogKind.POSTGRES,
) -> Result:
    """Drains `entries`, then ten times as many, each from the beginning and into an empty store."""
    figures: dict[str, float] = {"the worker's limit: MiB": memory_bytes / MEBIBYTE}
    rates: list[float] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    for number, size in enumerate((entries, TIMES * entries)):
        tell(f"backlog: {size:,} entries", number, 2)
        amount, spent, steps = await _drained(stage, size, memory_bytes, on)
        rates.append(amount / spent.seconds)
        name = f"backlog of {amount:,}"
        figures[f"{name}: entries/s"] = rates[-1]
        lines[name] = list(enumerate(step_rates(steps, amount // _STEPS), 1))
        figures[f"{name}: slowest tenth over the median tenth, in rate"] = _flatness(steps)
        figures[f"{name}: peak MiB"] = spent.peak_memory_bytes / MEBIBYTE
    figures["rate of the large backlog over that of the small one"] = rates[1] / rates[0]
    return Result(
        name=on.named("backlog"),
        parameters={"entries": entries, "log": on, "memory_bytes": memory_bytes},
        figures=figures,
        series=[Series(title="backlog: rate as it is drained", x="tenth of the backlog", y="entries/s", lines=lines)],
    )


async def _drained(stage: Stage, entries: int, memory_bytes: int, on: LogKind) -> tuple[int, Spent, Sequence[float]]:
    """How many entries there were, what it took to keep them, and the seconds at which each step was done."""
    async with filled_log(stage, on, entries) as (log, volume), stage.fresh(Kind.RECORDS) as records:
        orders = WorkerOrders(log=log, records_dsn=records.dsn, group=_GROUP, memory_bytes=memory_bytes)
        step, at = volume.entries // _STEPS, [time.perf_counter()]

        def told(kept: int) -> None:
            if kept == 0:
                at[0] = time.perf_counter()  # it does not work yet
            while kept >= step * len(at):
                at.append(time.perf_counter())

        spent = await drain(orders, entries=volume.entries, told=told)
        return volume.entries, spent, [one - at[0] for one in at[1:]]


def step_rates(steps: Sequence[float], step: int) -> list[float]:
    """The rate of each step, from the seconds at which each ended."""
    return [step / (later - earlier) for earlier, later in pairwise((0.0, *steps))]


def _flatness(steps: Sequence[float]) -> float:
    """How the slowest step compares with the middle one; the first is left out, for it warms up."""
    times = [later - earlier for earlier, later in pairwise(steps)]
    return median(times) / max(times)
