"""What the parent tells the processes of this benchmark, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOrders:
    """Serve webhooks on `port`, appending to the log.

    The bodies to come are those of `pool_items` items, so many in each. `frozen`: clock and entropy always say the
    same, so that what two servers append can be compared byte for byte.
    """

    log_dsn: str = field(repr=False)
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
    """Send so many requests (0: each body once) over so many connections, each with one under way at a time."""

    port: int
    requests: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What came of a volley: how many of its requests were answered with what status (0: with none)."""

    seconds: float
    requests: int
    sent_bytes: int
    statuses: Mapping[int, int]
