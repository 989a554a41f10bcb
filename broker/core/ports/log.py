"""The event log: Kafka, or Postgres on one machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from broker.core.topics import TopicPartition, TopicSpec
from broker.core.values import Hidden, Value

_FRAME_BYTES = 10
"""Of a length or a number that a log writes beside what it stands for, at most."""


class NewEntry(Value, frozen=True, kw_only=True):
    """An entry to append. The key chooses the partition; keys and headers never carry content."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: Hidden[bytes]

    @property
    def size(self) -> int:
        """What counts against `EventLog.entry_bytes`: key, headers and value, and some bytes for what frames them."""
        framed = sum(len(name.encode()) + len(value) + _FRAME_BYTES for name, value in self.headers)
        return len(self.key) + len(self.value) + framed + 8 * _FRAME_BYTES


class LogEntry(Value, frozen=True, kw_only=True):
    """An entry as read. `appended_at` is the log's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: Hidden[bytes]
    appended_at: datetime

    @property
    def place(self) -> TopicPartition:
        """The partition it lies in."""
        return TopicPartition(self.topic, self.partition)

    def header(self, name: str) -> str | None:
        """The first header of that name, as text."""
        for key, value in self.headers:
            if key == name:
                return value.decode("utf-8", "replace")
        return None

    @property
    def event_id(self) -> str:
        """`ce_id`; empty where an entry has none."""
        return self.header("ce_id") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A partition's first offset still there, and the offset its next entry will get."""

    first: int
    end: int


StartAt = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Where to start, asked on assignment: the reader goes on at the lower of this and the group's committed offset."""


class Subscription(Protocol):
    """A group member's view of the streams it reads.

    Nothing moves by itself: `fetch` hands a batch over, and only `commit` moves the group's offsets, to the explicit
    next offsets given. Fetching goes on from the last fetched entry, not from the last committed one.
    """

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions this member owns now."""
        ...

    async def fetch(self, *, max_entries: int, wait_seconds: float) -> Sequence[LogEntry]:
        """The next entries of owned partitions that are not paused, in order within a partition.

        Waits up to `wait_seconds` for the first one; empty when there is none. Also keeps the membership alive and
        takes over free partitions. `LogUnavailableError`: call again later.
        """
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Moves the group's offsets to these next offsets, durably.

        `OwnershipLostError` when one of the partitions is another member's now (nothing of it moves).
        """
        ...

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetches nothing more of these until `resume`; they stay owned, also over a change of the membership."""
        ...

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetches from these again."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetches this partition from `offset` on."""
        ...

    def keep_alive(self) -> None:
        """A sign of life of a reader that waits for something else, and neither fetches nor commits meanwhile.

        One that gives none for long is taken for hanging, and others take its partitions over.
        """
        ...

    async def close(self) -> None:
        """Gives the partitions back at once, committing nothing."""
        ...


class EventLog(Protocol):
    """The log: Kafka, or Postgres on one machine."""

    @property
    def identity(self) -> str:
        """Differs between two logs, and between a log and its successor after a restore; stable otherwise."""
        ...

    @property
    def entry_bytes(self) -> int:
        """The most that one entry may have, key and headers included; `append` refuses more as `TooLargeError`."""
        ...

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """Durable on return, in order within a key. `LogUnavailableError`: the caller may not take any as written."""
        ...

    async def subscribe(
        self,
        group: str,
        streams: Sequence[str],
        *,
        start_at: StartAt | None = None,
    ) -> Subscription:
        """Joins a group reading these streams of every tenant, those created later included.

        A partition without a committed offset is read from its first entry, never from its end.
        """
        ...

    async def read(self, partition: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        """Entries from `offset` on, outside any group; empty past the end."""
        ...

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        """First and end offsets of every partition of these topics; topics that do not exist are left out."""
        ...

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """A group's committed next offsets."""
        ...

    async def members(self, group: str) -> Mapping[TopicPartition, str]:
        """Who reads a group's partitions now: the member's name; partitions that nobody reads are left out."""
        ...

    async def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """Creates what is missing and gives back the names created; never takes partitions away."""
        ...

    async def topics(self) -> Sequence[str]:
        """Every topic of Custody there is."""
        ...

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Entries below `before` may go."""
        ...

    async def expire(self, now: datetime, *, floors: Mapping[TopicPartition, int]) -> int:
        """Takes away what is older than its topic's retention; how many entries went.

        Of the partitions in `floors` nothing from that offset on goes, however old.

        A log that does so by itself, as Kafka does, takes nothing away here.
        """
        ...

    async def ping(self) -> None:
        """Returns when the log answers; `LogUnavailableError` when not."""
        ...

    async def close(self) -> None:
        """Lets go of connections; what was appended stays."""
        ...
