"""Replay: entries that the store has kept are handed to the archive path once more, so that `kept` goes out again.

Nothing is kept twice and nothing is counted: every entry lies below the store's progress, where the store answers with
the row that the entry became. What is not kept yet is left to the archive worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from broker.core.delivery import Action, action_for
from broker.core.errors import CustodyError
from broker.core.topics import ACCOUNTED_STREAMS, Stream, TopicPartition, split_topic, topic_name
from broker.workers.archive import redrive_of

if TYPE_CHECKING:
    from broker.core.metrics import CounterName, GaugeName
    from broker.core.plan import DeadKey
    from broker.core.ports import Bounds, EventLog, LogEntry
    from broker.workers.archive import Archive

Edge = datetime | Mapping[TopicPartition, int] | None
"""Where a replay begins or ends: at a time of the log's clock, at an offset of each partition named; None: no limit."""

_AT_ONCE = 200
_ROWS = ("stored", "variant")


class NoSuchPartitionError(CustodyError):
    """A partition was named that the log does not have, or of another tenant or stream."""

    code = "no_such_partition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be replayed: a tenant's streams, from `since` on and up to, and without, `until`."""

    tenant: str
    streams: Sequence[Stream]
    since: Edge = None
    until: Edge = None

    @property
    def topics(self) -> list[str]:
        """The topics of these streams."""
        return [topic_name(self.tenant, stream) for stream in self.streams]

    @property
    def named(self) -> frozenset[TopicPartition]:
        """The partitions that an offset was given for; none means all of them."""
        edges = [edge for edge in (self.since, self.until) if isinstance(edge, Mapping)]
        return frozenset(place for edge in edges for place in edge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Offsets `first` up to `end` of a partition, all kept; `unkept` more were wanted and are not kept yet."""

    place: TopicPartition
    first: int
    end: int
    unkept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a span: entries read, `kept` notices published, and dead letters met."""

    span: Span
    entries: int = 0
    notices: int = 0
    unkeepable: int = 0


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """Counts what becomes of entries; the metrics of an `Archive` that replays."""

    counted: Counter[str] = field(default_factory=Counter)

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Counts answers by outcome, and nothing else."""
        if name == "custody.keep.answers":
            self.counted[labels["outcome"]] += amount

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        """Nothing."""

    @property
    def rows(self) -> int:
        """Entries that a row was born of."""
        return sum(self.counted[outcome] for outcome in _ROWS)


async def spans(wish: Wish, *, log: EventLog, keeper: Archive) -> Sequence[Span]:
    """What of a wish is kept and still in the log, by partition; partitions with nothing of it are left out.

    `NoSuchPartitionError`. `LogChangedError` and `OffsetGapError` as the archive worker stops for: see to them first.
    """
    bounds = await log.bounds(wish.topics)
    for place in wish.named - bounds.keys():
        raise NoSuchPartitionError(f"{place.topic}/{place.partition}: the log has no such partition among these topics")
    places = wish.named or frozenset(bounds)
    standing = await keeper.stands_at(places)
    found = [await _span(wish, log, place, bounds[place], standing.get(place)) for place in sorted(places)]
    return [one for one in found if one.first < one.end or one.unkept]


async def replay(
    span: Span, *, log: EventLog, keeper: Archive, dead: frozenset[DeadKey], step: Callable[[int], None]
) -> Replayed:
    """Hands a span's entries over, batch by batch; `step` is told how many offsets each batch covered.

    `dead` are all dead letters there ever were. `LogUnavailableError`, `StoreUnavailableError`: replay it once more.
    """
    outcomes = Outcomes()
    counting = replace(keeper, metrics=outcomes)
    done = Replayed(span=span)
    offset = span.first
    while offset < span.end:
        read = await log.read(span.place, offset, max_entries=min(_AT_ONCE, span.end - offset))
        batch = [entry for entry in read if entry.offset < span.end]
        unkeepable = await _hand_over(counting, batch, dead) if batch else 0
        done = replace(done, entries=done.entries + len(batch), unkeepable=done.unkeepable + unkeepable)
        following = batch[-1].offset + 1 if batch else span.end
        step(following - offset)
        offset = following
    tells = split_topic(span.place.topic)[1] in ACCOUNTED_STREAMS
    return replace(done, notices=outcomes.rows if tells else 0)


async def _hand_over(keeper: Archive, batch: Sequence[LogEntry], dead: frozenset[DeadKey]) -> int:
    """How many of the batch can't be kept. Each is a dead letter, or its error is raised: it is a new fault."""
    try:
        await keeper.handle(batch)
    except Exception as error:
        if action_for(error) is not Action.NARROW or (len(batch) == 1 and not _is_dead(batch[0], dead)):
            raise
    else:
        return 0
    if len(batch) == 1:
        return 1
    middle = len(batch) // 2
    return await _hand_over(keeper, batch[:middle], dead) + await _hand_over(keeper, batch[middle:], dead)


def _is_dead(entry: LogEntry, dead: frozenset[DeadKey]) -> bool:
    """Whether it was set aside, or is another try of one that was."""
    return (entry.place, entry.offset) in dead or redrive_of(entry) in dead


async def _span(wish: Wish, log: EventLog, place: TopicPartition, bounds: Bounds, standing: int | None) -> Span:
    first = await _offset(log, place, bounds, wish.since, otherwise=bounds.first)
    end = await _offset(log, place, bounds, wish.until, otherwise=bounds.end)
    kept_to = bounds.first if standing is None else standing
    return Span(place=place, first=first, end=max(first, min(end, kept_to)), unkept=max(0, end - max(first, kept_to)))


async def _offset(log: EventLog, place: TopicPartition, bounds: Bounds, edge: Edge, *, otherwise: int) -> int:
    """An edge as an offset within the bounds."""
    if isinstance(edge, datetime):
        return await offset_at(log, place, bounds, edge)
    wanted = otherwise if edge is None else edge.get(place, otherwise)
    return min(max(wanted, bounds.first), bounds.end)


async def offset_at(log: EventLog, place: TopicPartition, bounds: Bounds, at: datetime) -> int:
    """The first offset that was appended at this time or later; the end where there is none. A few single reads."""
    low, high = bounds.first, bounds.end
    while low < high:
        middle = (low + high) // 2
        entries = await log.read(place, middle, max_entries=1)
        if entries and entries[0].appended_at < at:
            low = entries[0].offset + 1
        else:
            high = middle
    return min(low, bounds.end)
