"""How far the workers are behind the log: looked up for a person, and told as metrics while the archive worker runs."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from broker.core.errors import RetryableError, StoreUnavailableError
from broker.core.lag import lag_of, position
from broker.core.metrics import Metrics
from broker.core.ports import NOTHING_KEPT, Clock, EventLog, RecordStore
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, split_topic
from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.claim import GROUP as CLAIM
from broker.workers.deliver import wait_for
from broker.workers.erase import GROUP as ERASE
from broker.workers.media.fetcher import GROUP as FETCH
from broker.workers.media.scan import GROUP as MEDIA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from broker.core.lag import PartitionLag
    from broker.core.ports import Progress

READ_BY: Mapping[str, Sequence[Stream]] = {
    ARCHIVE: ARCHIVED_STREAMS,
    MEDIA: (Stream.MESSAGES,),
    FETCH: (Stream.FETCHES,),
    ERASE: (Stream.ERASURES,),
    CLAIM: (Stream.BODIES,),
}
"""What each group reads; the archive worker's progress is in the store."""

logger = structlog.get_logger(__name__)


async def look(
    log: EventLog,
    store: RecordStore | None,
    group: str,
    topics: Sequence[str],
    *,
    of: Collection[TopicPartition] | None = None,
) -> Sequence[PartitionLag]:
    """How far a group is behind in each partition of these topics, or in those of them that are named.

    Without a store, by what the group committed.
    """
    bounds = await log.bounds(topics)
    committed = await log.committed(group, topics)
    progress = await _progress(log, store, bounds) if group == ARCHIVE and store is not None else {}
    found: list[PartitionLag] = []
    for place in sorted(bounds if of is None else bounds.keys() & set(of)):
        limits = bounds[place]
        at = position(limits, committed.get(place), progress.get(place))
        entries = await log.read(place, max(at, limits.first), max_entries=1) if at < limits.end else ()
        found.append(
            lag_of(
                place,
                group,
                log=log.identity,
                bounds=limits,
                committed=committed.get(place),
                progress=progress.get(place),
                following=entries[0] if entries else None,
            )
        )
    return found


async def _progress(
    log: EventLog, store: RecordStore, places: Iterable[TopicPartition]
) -> Mapping[TopicPartition, Progress]:
    """Where the store stands: at nothing where it kept nothing yet, unless this log is still to be adopted."""
    topics = sorted({place.topic for place in places})
    others = await store.other_logs(log.identity, topics)
    nothing = {place: NOTHING_KEPT for place in places if place.topic not in others}
    return nothing | dict(await store.progress(log.identity, topics))


@dataclass(slots=True, kw_only=True)
class LagWatch:
    """Tells every `poll_seconds`, until `stop`, how far this worker's own partitions are behind.

    Raises an alarm once entries have waited for `alarm_seconds`, long before retention takes them. While the store is
    away, which is when they wait, it tells by what the group committed.
    """

    log: EventLog
    store: RecordStore
    metrics: Metrics
    clock: Clock
    assignment: Callable[[], frozenset[TopicPartition]]
    stop: asyncio.Event
    alarm_seconds: float
    poll_seconds: float = 15.0
    _told: set[tuple[str, str]] = field(default_factory=set)
    _alarmed: set[TopicPartition] = field(default_factory=set)

    async def run(self) -> None:
        """Turns until `stop`; an outage of log or store is left to the next look."""
        while not self.stop.is_set():
            try:
                await self.look()
            except RetryableError as error:
                logger.debug("can't look", action="lag.waiting", code=error.code)
            except Exception as error:  # noqa: BLE001 - a fault in the looking must not stop the keeping
                logger.error("can't look", action="lag.failed", error_type=type(error).__name__)  # noqa: TRY400 - words may quote rows
            await wait_for(self.stop, self.poll_seconds)

    async def look(self) -> None:
        """One look."""
        places = self.assignment()
        topics = sorted({place.topic for place in places})
        found = await self._look(topics, places) if topics else ()
        self._tell(found)
        self._alarm(found)
        await self._tell_dead()

    async def _look(self, topics: Sequence[str], places: Collection[TopicPartition]) -> Sequence[PartitionLag]:
        try:
            return await look(self.log, self.store, ARCHIVE, topics, of=places)
        except StoreUnavailableError:
            return await look(self.log, None, ARCHIVE, topics, of=places)

    def _tell(self, found: Sequence[PartitionLag]) -> None:
        entries, ages = Counter[tuple[str, str]](), defaultdict[tuple[str, str], float](float)
        now = self.clock()
        for one in found:
            key = split_topic(one.place.topic)
            entries[key] += one.entries
            ages[key] = max(ages[key], one.age_seconds(now))
        for tenant, stream in self._told | entries.keys():  # zeros for what others own now
            labels = {"tenant": tenant, "stream": stream}
            self.metrics.gauge("custody.log.lag_entries", entries[tenant, stream], **labels)
            self.metrics.gauge("custody.log.oldest_unkept_seconds", ages[tenant, stream], **labels)
        self._told = set(entries)

    def _alarm(self, found: Sequence[PartitionLag]) -> None:
        now = self.clock()
        late = {one.place: one for one in found if one.age_seconds(now) >= self.alarm_seconds}
        for place in late.keys() - self._alarmed:
            logger.error(
                "entries wait for long",
                action="lag.alarm",
                topic=place.topic,
                partition=place.partition,
                entries=late[place].entries,
                oldest_seconds=round(late[place].age_seconds(now)),
                why="retention will take them: see what stops the archive worker",
            )
        self._alarmed = set(late)

    async def _tell_dead(self) -> None:
        dead = Counter((one.tenant, split_topic(one.topic)[1]) for one in await self.store.dead_letters())
        for tenant, stream in {split_topic(place.topic) for place in self.assignment()} | dead.keys():
            self.metrics.gauge("custody.dead.open", dead[tenant, stream], tenant=tenant, stream=stream)
