"""What the cases of the event log's contract need: a factory that each implementation provides, and short words."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

from broker.core.errors import LogUnavailableError
from broker.core.ports import NewEntry
from broker.core.topics import Stream, TopicPartition, TopicSpec, topic_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from broker.core.ports import EventLog, LogEntry, Subscription

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long a case waits for what must come. Only a failing test waits so long."""

SHORT_LEASE_SECONDS = 1.0


class LogFactory(Protocol):
    """One fresh, empty log, and its clients. Each client stands for a process of its own."""

    @property
    def largest_value_bytes(self) -> int:
        """A value of this size must fit."""
        ...

    async def open(self, *, lease_seconds: float = 30.0, idle_seconds: float = 300.0) -> EventLog:
        """Another client, closed with the factory.

        A member of a group that gives no sign of life for `lease_seconds`, or for the shortest time that the
        implementation can do, loses its partitions; so does one whose reader gives none for `idle_seconds`.
        """
        ...

    def stall(self, log: EventLog) -> None:
        """This client's members give no sign of life any more, as if their process hung; calls still work."""
        ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile the log can't be reached by anyone."""
        ...


async def make_topic(
    log: EventLog, *, tenant: str = "acme", stream: Stream = Stream.MESSAGES, partitions: int = 4
) -> str:
    name = topic_name(tenant, stream)
    await log.create_topics([TopicSpec(name=name, partitions=partitions, retention_seconds=None)])
    return name


def entry(topic: str, key: str, value: str | bytes) -> NewEntry:
    data = value.encode() if isinstance(value, str) else value
    return NewEntry(topic=topic, key=key.encode(), headers=(("ce_id", key.encode()),), value=data)


def many(topic: str, count: int, *, keys: int = 16, mark: str = "") -> list[NewEntry]:
    """Entries of several keys, so that every partition gets some; the values count up."""
    return [entry(topic, f"key-{number % keys}", f"{mark}{number}") for number in range(count)]


def values(entries: Iterable[LogEntry]) -> list[str]:
    return [one.value.decode() for one in entries]


def places(topic: str, partitions: int = 4) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic, number) for number in range(partitions))


def by_partition(entries: Iterable[LogEntry]) -> Mapping[TopicPartition, list[LogEntry]]:
    found: dict[TopicPartition, list[LogEntry]] = defaultdict(list)
    for one in entries:
        found[one.place].append(one)
    return found


def next_offsets(entries: Iterable[LogEntry]) -> dict[TopicPartition, int]:
    """What to commit once these are done with."""
    return {place: held[-1].offset + 1 for place, held in by_partition(entries).items()}


async def take(subscription: Subscription, count: int, *, max_entries: int = 500) -> list[LogEntry]:
    """Fetches until `count` entries have come."""
    taken: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(taken) < count:
            taken += await subscription.fetch(max_entries=min(max_entries, count - len(taken)), wait_seconds=1)
    return taken


async def rest(subscription: Subscription) -> list[LogEntry]:
    """Fetches until nothing comes."""
    found: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while batch := await subscription.fetch(max_entries=500, wait_seconds=0.3):
            found += batch
    return found


async def settle(subscriptions: Sequence[Subscription], settled: Callable[[], bool]) -> list[LogEntry]:
    """Fetches with every member in turn, until the members see what must come; what was fetched meanwhile."""
    found: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not settled():
            for one in subscriptions:
                found += await one.fetch(max_entries=500, wait_seconds=0.02)
    return found


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Calls again until the log can be reached."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await call()
            except LogUnavailableError:
                await asyncio.sleep(0.05)


async def member(log: EventLog, topic: str, *, group: str = "readers", partitions: int = 4) -> Subscription:
    """A member that owns every partition of its topic."""
    subscription = await log.subscribe(group, [Stream.MESSAGES])
    await settle([subscription], lambda: subscription.assignment == places(topic, partitions))
    return subscription
