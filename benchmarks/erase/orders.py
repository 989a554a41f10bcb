"""What the parent tells the processes of this benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.logs import LogAt
from broker.settings import WorkerSettings

CONCURRENCY = WorkerSettings().erase_concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrders:
    """Carry out `targets` commands of the log, at the provider that listens on `port`."""

    log: LogAt
    port: int
    targets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOrders:
    """Delete `targets` objects at the provider that listens on `port`."""

    port: int
    targets: int
