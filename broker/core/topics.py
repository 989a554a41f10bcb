"""Topic names: `custody.<tenant>.<stream>.v1`.

The tenant stands in the name, so that the log's own access lists, quotas and retention keep tenants apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from broker.core.values import Value

TENANT_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
UNCLAIMED_TENANT = "unclaimed"
"""Reserved: bodies for accounts that nobody has registered yet lie under this name."""

_DAY_SECONDS = 86_400
_NAMES = 100_000
"""So many names are remembered: an installation's, each of which is put together or taken apart with every entry."""


class Stream(StrEnum):
    """What a topic carries."""

    MESSAGES = "messages"
    STATUSES = "statuses"
    PARTS = "parts"
    FETCHES = "fetches"
    KEPT = "kept"
    ERASURES = "erasures"
    RECEIPTS = "receipts"
    OUTBOUND = "outbound"
    DEAD = "dead"
    BODIES = "bodies"


ARCHIVED_STREAMS = (Stream.MESSAGES, Stream.STATUSES, Stream.PARTS, Stream.RECEIPTS)
"""What the archive worker reads."""

ACCOUNTED_STREAMS = (Stream.MESSAGES, Stream.STATUSES)
"""What the account counts as accepted (docs: the account)."""

TENANT_STREAMS = tuple(stream for stream in Stream if stream is not Stream.BODIES)

KEEP_FOREVER_STREAMS = frozenset({Stream.DEAD, Stream.BODIES, Stream.FETCHES})
"""Kept until settled, not for a time."""


class TopicPartition(Value, frozen=True, order=True):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """How a topic is to be created: `retention_seconds` None keeps entries until they are trimmed."""

    name: str
    partitions: int
    retention_seconds: int | None


def topic_name(tenant: str, stream: Stream) -> str:
    """`custody.<tenant>.<stream>.v1`; a `ValueError` for a tenant name that a topic can't carry."""
    return _name(tenant, stream)


@lru_cache(_NAMES)
def _name(tenant: str, stream: Stream) -> str:
    if not TENANT_PATTERN.fullmatch(tenant):
        message = f"tenant {tenant!r}: 1 to 40 of a-z, 0-9 and '-', not at the ends; for example 'acme-life'"
        raise ValueError(message)
    return f"custody.{tenant}.{stream}.v1"


def split_topic(topic: str) -> tuple[str, Stream]:
    """The tenant and stream of a topic's name; a `ValueError` for a name that is not one of ours."""
    return _split(topic)


@lru_cache(_NAMES)
def _split(topic: str) -> tuple[str, Stream]:
    pieces = topic.split(".")
    if len(pieces) != 4 or pieces[0] != "custody" or pieces[3] != "v1":  # noqa: PLR2004 - the four pieces of the name
        message = f"{topic!r} is not a topic of Custody: custody.<tenant>.<stream>.v1"
        raise ValueError(message)
    return pieces[1], Stream(pieces[2])


def tenant_topics(tenant: str, *, partitions: int, retention_days: int) -> tuple[TopicSpec, ...]:
    """Every topic a tenant needs."""
    return tuple(
        TopicSpec(
            name=topic_name(tenant, stream),
            partitions=partitions,
            retention_seconds=None if stream in KEEP_FOREVER_STREAMS else retention_days * _DAY_SECONDS,
        )
        for stream in TENANT_STREAMS
    )


def unclaimed_topic() -> TopicSpec:
    """The one topic that belongs to no tenant: signed bodies for accounts not registered yet."""
    return TopicSpec(name=topic_name(UNCLAIMED_TENANT, Stream.BODIES), partitions=1, retention_seconds=None)
