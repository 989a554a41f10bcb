"""How far the workers are behind the log: looked up for a person, and told as metrics while they run."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from broker.core.errors import RetryableError, StoreUnavailableError
from broker.core.lag import lag_of, position
from broker.core.metrics import GaugeName, Metrics
from broker.core.ports import NOTHING_KEPT, Clock, EventLog, RecordStore
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, split_topic
from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.claim import GROUP as CLAIM
from broker.workers.deliver import Pulse, wait_for
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

_UNTIL_RETENTION = "retention will take them: see what stops the worker"
_WHY: Mapping[str, str] = {
    FETCH: "the provider will take the parts away: see what stops the worker",
    CLAIM: "nobody owns these bodies: register their accounts",
}
"""Why a group's entries should not wait for long, where that is not the log's retention."""

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

    Without a store the archive worker, too, is measured by what it committed.
    """
    bounds = await log.bounds(topics)
    committed = await log.committed(group, topics)
    progress = await _progress(log, store, bounds) if store is not None and group == ARCHIVE else {}
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


_Labels = tuple[tuple[str, str], ...]
_Series = tuple[GaugeName, _Labels]


@dataclass(slots=True, kw_only=True)
class LagWatch:
    """Tells every `poll_seconds`, until `stop`, how far a group is behind, in own partitions and in those nobody reads.

    Raises an alarm once entries have waited for `alarm_seconds`, long before retention takes them. `store` is there
    for the group that keeps records; while it is away, what was committed counts.
    """

    log: EventLog
    group: str
    metrics: Metrics
    clock: Clock
    assignment: Callable[[], frozenset[TopicPartition]]
    stop: asyncio.Event
    alarm_seconds: float
    store: RecordStore | None = None
    pulse: Pulse = field(default_factory=Pulse)
    poll_seconds: float = 15.0
    _told: set[_Series] = field(default_factory=set)
    _alarmed: set[TopicPartition] = field(default_factory=set)

    async def run(self) -> None:
        """Turns until `stop`; an outage is left to the next look, and what was told stays told meanwhile."""
        while not self.stop.is_set():
            try:
                await self.look()
            except RetryableError as error:
                logger.debug("can't look", action="lag.waiting", group=self.group, code=error.code)
            except Exception as error:  # noqa: BLE001 - a fault in the looking must not stop the keeping
                logger.error("can't look", action="lag.failed", error_type=type(error).__name__)  # noqa: TRY400 - words may quote rows
            await wait_for(self.stop, self.poll_seconds)

    async def look(self) -> None:
        """One look."""
        places = self.assignment() | await self._orphans()
        found = await self._found(places)
        self._tell(found)
        self._alarm(found)
        if self.store is not None:
            await self._tell_dead(self.store, {split_topic(place.topic) for place in places})

    async def _orphans(self) -> frozenset[TopicPartition]:
        """Partitions that no member of the group reads: this one may be the member that lost them."""
        topics = [one for one in await self.log.topics() if split_topic(one)[1] in READ_BY[self.group]]
        return frozenset((await self.log.bounds(topics)).keys() - (await self.log.members(self.group)).keys())

    async def _found(self, places: frozenset[TopicPartition]) -> Sequence[PartitionLag]:
        topics = sorted({place.topic for place in places})
        if not topics:
            return ()
        try:
            return await look(self.log, self.store, self.group, topics, of=places)
        except StoreUnavailableError:
            return await look(self.log, None, self.group, topics, of=places)

    def _tell(self, found: Sequence[PartitionLag]) -> None:
        values, now = defaultdict[_Series, float](float), self.clock()
        for one in found:
            tenant, stream = split_topic(one.place.topic)
            labels: _Labels = (("group", self.group), ("tenant", tenant), ("stream", stream))
            values["custody.log.lag_entries", labels] += one.entries
            oldest: _Series = ("custody.log.oldest_unkept_seconds", labels)
            values[oldest] = max(values[oldest], one.age_seconds(now))
            stopped = self.pulse.stopped.get(one.place) or one.stopped
            if stopped is not None:
                values["custody.log.stopped_partitions", (*labels, ("code", stopped))] += 1
            elif self.pulse.waiting_for is not None:
                values["custody.log.waiting_partitions", (*labels, ("code", self.pulse.waiting_for))] += 1
        for name, labels in self._told | values.keys():  # zeros for what is over, and for what others own now
            self.metrics.gauge(name, values[name, labels], **dict(labels))
        self._told = {one for one in values if values[one]}

    def _alarm(self, found: Sequence[PartitionLag]) -> None:
        now = self.clock()
        late = {one.place: one for one in found if one.age_seconds(now) >= self.alarm_seconds}
        for place in late.keys() - self._alarmed:
            logger.error(
                "entries wait for long",
                action="lag.alarm",
                group=self.group,
                topic=place.topic,
                partition=place.partition,
                entries=late[place].entries,
                oldest_seconds=round(late[place].age_seconds(now)),
                why=_WHY.get(self.group, _UNTIL_RETENTION),
            )
        self._alarmed = set(late)

    async def _tell_dead(self, store: RecordStore, of: Collection[tuple[str, str]]) -> None:
        dead = Counter[tuple[str, str]]((one.tenant, split_topic(one.topic)[1]) for one in await store.dead_letters())
        for tenant, stream in {*of, *dead}:
            self.metrics.gauge("custody.dead.open", dead[tenant, stream], tenant=tenant, stream=stream)
