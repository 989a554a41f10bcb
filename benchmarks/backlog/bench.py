"""Fills a log, and lets a worker of bounded memory drain it: a backlog, and ten times as much."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.archive.bench import entries_of, fill
from benchmarks.backlog.orders import BacklogOrders, BacklogOutcome
from benchmarks.children import outcome
from benchmarks.figures import Result
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

MEBIBYTE = 2**20
MEMORY_BYTES = 256 * MEBIBYTE
TIMES = 10
_STEPS = 10


async def measure(stage: Stage, *, entries: int, tell: Tell, memory_bytes: int = MEMORY_BYTES) -> Result:
    """Drains `entries`, then ten times as many, each from the beginning and into an empty store."""
    figures: dict[str, float] = {"the worker's limit: MiB": memory_bytes / MEBIBYTE}
    rates: list[float] = []
    for number, size in enumerate((entries, TIMES * entries)):
        tell(f"backlog: {size:,} entries", number, 2)
        amount, found = await _drained(stage, size, memory_bytes)
        rates.append(amount / found.spent.seconds)
        name = f"backlog of {amount:,}"
        figures[f"{name}: entries/s"] = rates[-1]
        figures[f"{name}: slowest tenth over the median tenth, in rate"] = _flatness(found.steps)
        figures[f"{name}: peak MiB"] = found.spent.peak_memory_bytes / MEBIBYTE
    figures["rate of the large backlog over that of the small one"] = rates[1] / rates[0]
    return Result(name="backlog", parameters={"entries": entries, "memory_bytes": memory_bytes}, figures=figures)


async def _drained(stage: Stage, entries: int, memory_bytes: int) -> tuple[int, BacklogOutcome]:
    async with stage.fresh(Kind.LOG) as log, stage.fresh(Kind.RECORDS) as records:
        await fill(log, entries)
        amount = await entries_of(log)
        orders = BacklogOrders(
            log_dsn=log.dsn,
            records_dsn=records.dsn,
            entries=amount,
            step=amount // _STEPS,
            memory_bytes=memory_bytes,
        )
        return amount, await outcome("backlog.worker", orders, BacklogOutcome)


def _flatness(steps: Sequence[float]) -> float:
    """How the slowest step compares with the middle one; the first is left out, for it warms up."""
    times = [later - earlier for earlier, later in pairwise(steps)]
    return median(times) / max(times)
