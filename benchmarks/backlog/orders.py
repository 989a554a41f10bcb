"""What the parent tells the worker of this benchmark, and what it hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.logs import LogAt
from benchmarks.machine import Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogOrders:
    """Drain `entries` of the log into the store, with no more than `memory_bytes` of data, and time every `step`."""

    log: LogAt
    records_dsn: str = field(repr=False)
    entries: int
    step: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogOutcome:
    """What it took in all, and the seconds from the start to the end of each step."""

    spent: Spent
    steps: Sequence[float]
