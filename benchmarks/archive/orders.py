"""What the parent tells the processes of this benchmark, and what it hears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.logs import LogAt
from benchmarks.machine import Spent
from broker.store_settings import DriverName

GO = "go"
STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrders:
    """Be a member of this group and own partitions; on `GO` keep what lies there, until `STOP`.

    `memory_bytes`: with no more than so much of data. `mongodb`: the store is there, at `records_dsn`; by this
    `driver`, and with `transactions` unless it is to be used as a server that has none.
    """

    log: LogAt
    records_dsn: str = field(repr=False)
    group: str
    memory_bytes: int | None = None
    mongodb: bool = False
    driver: DriverName = "pymongo"
    transactions: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """How many partitions a worker owns, how many entries it has kept; in the last one, what it spent from `GO` on."""

    owned: int
    kept: int
    spent: Spent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOrders:
    """Write the rows of the store at `reference_dsn` again, `batch_rows` records in one transaction or at once.

    `reads`: read these of the log's partitions besides, by `topic/partition`, each up to its end. `publishes`: append
    the notices besides, the ones that lie in these partitions of the log below these ends. `driver`: that of MongoDB.
    """

    reference_dsn: str = field(repr=False)
    records_dsn: str = field(repr=False)
    log: LogAt
    batch_rows: int
    driver: DriverName = "pymongo"
    reads: Mapping[str, int] = field(default_factory=dict)
    publishes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOutcome:
    """What the floor took, and how many entries it read."""

    spent: Spent
    entries_read: int
