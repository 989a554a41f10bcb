"""Fills a log, and lets a worker of bounded memory drain it: a backlog, and ten times as much."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.backlog.orders import BacklogOrders, BacklogOutcome
from benchmarks.children import outcome
from benchmarks.figures import Result, Series
from benchmarks.logs import LogKind, filled_log
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

MEBIBYTE = 2**20
MEMORY_BYTES = 256 * MEBIBYTE
TIMES = 10
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
        amount, found = await _drained(stage, size, memory_bytes, on)
        rates.append(amount / found.spent.seconds)
        name = f"backlog of {amount:,}"
        figures[f"{name}: entries/s"] = rates[-1]
        lines[name] = list(enumerate(step_rates(found.steps, amount // _STEPS), 1))
        figures[f"{name}: slowest tenth over the median tenth, in rate"] = _flatness(found.steps)
        figures[f"{name}: peak MiB"] = found.spent.peak_memory_bytes / MEBIBYTE
    figures["rate of the large backlog over that of the small one"] = rates[1] / rates[0]
    return Result(
        name="backlog" if on is LogKind.POSTGRES else f"backlog-{on}",
        parameters={"entries": entries, "log": on, "memory_bytes": memory_bytes},
        figures=figures,
        series=[Series(title="backlog: rate as it is drained", x="tenth of the backlog", y="entries/s", lines=lines)],
    )


async def _drained(stage: Stage, entries: int, memory_bytes: int, on: LogKind) -> tuple[int, BacklogOutcome]:
    async with filled_log(stage, on, entries) as (log, volume), stage.fresh(Kind.RECORDS) as records:
        orders = BacklogOrders(
            log=log,
            records_dsn=records.dsn,
            entries=volume.entries,
            step=volume.entries // _STEPS,
            memory_bytes=memory_bytes,
        )
        return volume.entries, await outcome("backlog.worker", orders, BacklogOutcome)


def step_rates(steps: Sequence[float], step: int) -> list[float]:
    """The rate of each step, from the seconds at which each ended."""
    return [step / (later - earlier) for earlier, later in pairwise((0.0, *steps))]


def _flatness(steps: Sequence[float]) -> float:
    """How the slowest step compares with the middle one; the first is left out, for it warms up."""
    times = [later - earlier for earlier, later in pairwise(steps)]
    return median(times) / max(times)
