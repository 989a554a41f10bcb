"""What the parent tells the processes of this benchmark, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.logs import SEED, LogAt
from broker.settings import WorkerSettings
from connectors.simulator.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "v25.0"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the provider was asked since it last told: DELETEs, and of how many objects."""

    deletes: int
    objects: int


def object_ids(targets: int) -> Iterator[str]:
    """The provider's ids of so many objects; the same each time."""
    ids = Ids(seed=SEED)
    return (ids.media_id() for _ in range(targets))
