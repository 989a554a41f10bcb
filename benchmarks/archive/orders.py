"""What the parent tells the processes of this benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.logs import LogAt
from benchmarks.machine import Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrders:
    """Drain `entries` of the log into the store, as a group of its own."""

    log: LogAt
    records_dsn: str = field(repr=False)
    group: str
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOrders:
    """Write the rows of the store at `reference_dsn` again, `batch_rows` records in one transaction.

    `reads`: read these of the log's partitions besides, by `topic/partition`, each up to its end. `publishes`: append
    the notices besides, the ones that lie in these partitions of the log below these ends.
    """

    reference_dsn: str = field(repr=False)
    records_dsn: str = field(repr=False)
    log: LogAt
    batch_rows: int
    reads: Mapping[str, int] = field(default_factory=dict)
    publishes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOutcome:
    """What the floor took, and how many entries it read."""

    spent: Spent
    entries_read: int
