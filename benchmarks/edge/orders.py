"""What the parent tells the processes of this benchmark, and what they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.logs import LogAt

SEED = 1
UNANSWERED = 0
"""The status of a request that got no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOrders:
    """Serve webhooks on `port`, appending to the log.

    The bodies to come are those of `pool_items` items, so many in each. `frozen`: clock and entropy always say the
    same, so that what two servers append can be compared byte for byte.
    """

    log: LogAt
    port: int
    pool_items: int
    items_a_body: int
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrders:
    """Make the bodies of `pool_items` items, so many in each."""

    pool_items: int
    items_a_body: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volley:
    """Send so many requests (0: each body once), from the body of number `first` on, over so many connections at most.

    `rate`: so many of them fall due in a second, whether or not the server keeps up; 0: all are due at once.
    """

    port: int
    requests: int
    connections: int
    first: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What came of a volley, by request: the status it was answered with, and how long after it was due.

    `late_microseconds`: how long after it was due the generator turned to it; its own share of the wait. `unexplained`:
    how many were answered with something else than 200, and not told when to come again. `cpu_seconds` are the
    generator's own.
    """

    started_at: float
    seconds: float
    cpu_seconds: float
    sent_bytes: int
    statuses: Sequence[int]
    wait_microseconds: Sequence[int]
    late_microseconds: Sequence[int]
    unexplained: int

    @property
    def requests(self) -> int:
        return len(self.statuses)

    @property
    def by_status(self) -> Mapping[int, int]:
        return Counter(self.statuses)
