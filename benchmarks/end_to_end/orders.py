"""What the parent tells the floor's consumer, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.logs import LogAt


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOrders:
    """Follow the log, and write the rows of the store at `reference_dsn` again, those of each record that comes."""

    reference_dsn: str = field(repr=False)
    records_dsn: str = field(repr=False)
    log: LogAt


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """Answer once so many entries have been committed in all."""

    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """When each record was: seconds of the system's clock. What was spent since it was last asked."""

    at: Mapping[str, float]
    cpu_seconds: float
    peak_memory_bytes: int
