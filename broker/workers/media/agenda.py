"""What is still to be fetched: in memory, in the order to work it off; durable in the log by the offsets it holds back.

A partition's offset may move to the lowest task not done yet. A restart reads from there and does some again, which the
blob store, written once, absorbs.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import UNSET

from broker.core.model import FetchTask
from broker.core.topics import TopicPartition


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task and the log entry that carries it. `failures` counts what its tries failed of, by the error's code."""

    place: TopicPartition
    offset: int
    task: FetchTask
    attempt: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Agenda:
    """Jobs ready now, nearest deadline first; and jobs that wait for their next try."""

    _ready: list[tuple[datetime, int, Job]] = field(default_factory=list)
    _waiting: list[tuple[datetime, int, Job]] = field(default_factory=list)
    _open: dict[TopicPartition, set[int]] = field(default_factory=lambda: defaultdict(set))
    _offsets: dict[TopicPartition, list[int]] = field(default_factory=lambda: defaultdict(list))
    _read_to: dict[TopicPartition, int] = field(default_factory=dict)
    _pushed: int = 0

    def __len__(self) -> int:
        return sum(len(offsets) for offsets in self._open.values())

    def add(self, job: Job) -> None:
        """A job read from the log."""
        if self.holds(job):
            return
        self._open[job.place].add(job.offset)
        heapq.heappush(self._offsets[job.place], job.offset)
        self._read_to[job.place] = max(job.offset + 1, self._read_to.get(job.place, 0))
        if job.task.not_before is UNSET:
            self._push(self._ready, job.task.fetch_by, job)
        else:
            self._push(self._waiting, job.task.not_before, job)

    def read_past(self, place: TopicPartition, offset: int) -> None:
        """An entry that holds no job was read."""
        self._read_to[place] = max(offset + 1, self._read_to.get(place, 0))

    @property
    def read_to(self) -> dict[TopicPartition, int]:
        """The next offset to be read of each partition."""
        return dict(self._read_to)

    def holds(self, job: Job) -> bool:
        """Whether the job is open and its partition still ours."""
        return job.offset in self._open.get(job.place, ())

    def take(self, now: datetime) -> Job | None:
        """The job with the nearest deadline among those that are to be tried now."""
        while self._waiting and self._waiting[0][0] <= now:
            job = heapq.heappop(self._waiting)[2]
            self._push(self._ready, job.task.fetch_by, job)
        while self._ready:
            job = heapq.heappop(self._ready)[2]
            if self.holds(job):
                return job
        return None

    def wait(self, job: Job, until: datetime) -> None:
        """Tries a job again later."""
        self._push(self._waiting, until, job)

    def done(self, job: Job) -> None:
        """A job has its result in the log, or stands there again further on."""
        self._open[job.place].discard(job.offset)

    def next_at(self) -> datetime | None:
        """When the next waiting job is to be tried."""
        return self._waiting[0][0] if self._waiting else None

    def nearest_deadline(self) -> datetime | None:
        """The nearest deadline of all jobs that are not being tried right now."""
        waiting = (job.task.fetch_by for _, _, job in self._waiting if self.holds(job))
        return min([*waiting, *(at for at, _, _ in self._ready[:1])], default=None)

    def positions(self) -> dict[TopicPartition, int]:
        """The offsets each partition's reading may be moved to."""
        return {place: self._lowest_open(place, end) for place, end in self._read_to.items()}

    def _lowest_open(self, place: TopicPartition, end: int) -> int:
        offsets, still_open = self._offsets[place], self._open[place]
        while offsets and offsets[0] not in still_open:
            heapq.heappop(offsets)
        return offsets[0] if offsets else end

    def stragglers(self, behind: int) -> list[Job]:
        """Jobs that hold their partition's offset back by more than so many entries."""
        return [
            job for _, _, job in self._waiting if self.holds(job) and self._read_to[job.place] - job.offset > behind
        ]

    def spillable(self, count: int) -> list[tuple[datetime, Job]]:
        """The waiting jobs whose next try is furthest off, with its time."""
        return [(at, job) for at, _, job in heapq.nlargest(count, self._waiting) if self.holds(job)]

    def keep_only(self, places: frozenset[TopicPartition]) -> None:
        """Forgets partitions that are another worker's now."""
        for place in [place for place in self._read_to if place not in places]:
            del self._read_to[place]
            self._open.pop(place, None)
            self._offsets.pop(place, None)

    def _push(self, heap: list[tuple[datetime, int, Job]], at: datetime, job: Job) -> None:
        self._pushed += 1
        heapq.heappush(heap, (at, self._pushed, job))
