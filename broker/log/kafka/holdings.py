"""What a member owns, and where it stands there, over every change of its group.

aiokafka rebalances eagerly: at each change every partition is taken and given anew, its position and its pause
forgotten, and fetching begins at the group's offset by itself. So nothing is handed out from the first word of a
change until each partition was looked at again and sought explicitly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import IllegalStateError

from broker.core.errors import LogChangedError, OwnershipLostError
from broker.core.topics import TopicPartition
from broker.log.kafka.cursors import Cursor, refuse_beyond, start_of
from broker.log.kafka.entries import entries_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord

    from broker.core.ports import Bounds, LogEntry, StartAt
    from broker.log.kafka.catalog import Catalog

logger = structlog.get_logger(__name__)


class Stand(Enum):
    """How far a change of the group has come."""

    CHANGING = auto()
    ASSIGNED = auto()
    SETTLED = auto()


class Holdings:
    """The cursors of what is owned. `seek` moves the consumer; it may refuse with `IllegalStateError`."""

    def __init__(
        self,
        catalog: Catalog,
        group: str,
        *,
        start_at: StartAt | None,
        seek: Callable[[TopicPartition, int], None],
    ) -> None:
        self._catalog = catalog
        self._group = group
        self._start_at = start_at
        self._seek = seek
        self._cursors: dict[TopicPartition, Cursor] = {}
        self._paused: frozenset[TopicPartition] = frozenset()
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._ids: dict[str, bytes] = {}
        self._problems: list[LogChangedError] = []
        self._stand = Stand.CHANGING
        self._settling = asyncio.Lock()
        self._news = asyncio.Event()
        self.round = 0

    @property
    def places(self) -> frozenset[TopicPartition]:
        """What is owned, as far as is known; while the group changes, what was owned before."""
        return frozenset(self._cursors)

    @property
    def settled(self) -> bool:
        """Whether entries may be handed out, and offsets committed."""
        return self._stand is Stand.SETTLED

    # --- the group changes ---

    def revoked(self) -> None:
        """Nothing may be handed out until it is known who owns what."""
        self._change(Stand.CHANGING)

    def assigned(self, places: frozenset[TopicPartition]) -> None:
        """These are owned now, and no others; where to go on is still to be found out."""
        self._assigned = places
        self._cursors = {place: cursor for place, cursor in self._cursors.items() if place in places}
        self._change(Stand.ASSIGNED)

    def clear(self) -> None:
        """Owns nothing."""
        self._cursors = {}
        self._change(Stand.CHANGING)

    async def changed(self, since: int, deadline: float) -> bool:
        """Waits until there is news after round `since`; False when there was none before the deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self.round == since:
                    await self._news.wait()
        return self.round != since

    async def settle(self) -> None:
        """Finds out where to go on in what was assigned, and goes there. `start_at` is asked about what is new."""
        async with self._settling:
            wishes: dict[TopicPartition, int | None] = {}
            while self._stand is Stand.ASSIGNED:
                seen, places = self.round, self._assigned
                ids = await self._catalog.ids({place.topic for place in places})
                anew = self._made_anew(ids)
                committed = await self._catalog.committed_of(self._group, places)
                fresh = frozenset(
                    place for place in places if place.topic in anew or not self._goes_on(place, committed)
                )
                await self._ask(fresh - wishes.keys(), wishes)
                bounds = await self._bounds(fresh)
                if seen == self.round:
                    self._ids |= ids
                    self._begin(committed, wishes, bounds, anew)

    async def look(self) -> bool:
        """Whether a topic that is owned was made anew, as its id tells: its partitions are begun afresh then.

        Nothing else would tell, once the new topic has as many entries as were read of the old one.
        """
        ids = await self._catalog.ids({place.topic for place in self._cursors})
        anew = self._made_anew(ids)
        if anew and self._stand is Stand.SETTLED:
            self._change(Stand.ASSIGNED)
        return bool(anew)

    def _made_anew(self, ids: Mapping[str, bytes]) -> frozenset[str]:
        return frozenset(topic for topic, one in ids.items() if self._ids.get(topic, one) != one)

    def _goes_on(self, place: TopicPartition, committed: Mapping[TopicPartition, int]) -> bool:
        cursor = self._cursors.get(place)
        return cursor is not None and cursor.goes_on(committed.get(place))

    async def _ask(self, places: frozenset[TopicPartition], wishes: dict[TopicPartition, int | None]) -> None:
        if self._start_at is not None and places:
            wanted = await self._start_at(places)
            wishes |= {place: wanted.get(place) for place in places}

    async def _bounds(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Of those that still exist."""
        there = await self._catalog.places({place.topic for place in places}) if places else []
        return await self._catalog.bounds_of([place for place in there if place in places])

    def _begin(
        self,
        committed: Mapping[TopicPartition, int],
        wishes: Mapping[TopicPartition, int | None],
        bounds: Mapping[TopicPartition, Bounds],
        anew: frozenset[str],
    ) -> None:
        begun = {
            place: self._started(place, committed.get(place), wishes.get(place), at, anew=place.topic in anew)
            for place, at in bounds.items()
        }
        self._cursors |= begun
        try:
            for place, cursor in self._cursors.items():
                self._seek(place, cursor.position)
        except IllegalStateError:
            self._change(Stand.CHANGING)  # aiokafka knows of the next change already, and will say so
        else:
            self._change(Stand.SETTLED)

    def _started(
        self, place: TopicPartition, committed: int | None, wanted: int | None, bounds: Bounds, *, anew: bool
    ) -> Cursor:
        """A cursor where it is to begin. What the group committed in a topic of the same name before counts no more."""
        known = frozenset({committed})
        valid = None if anew else committed
        try:
            start = start_of(place, committed=valid, wanted=wanted, bounds=bounds)
        except LogChangedError as problem:
            self._problems.append(problem)
            return Cursor(place=place, position=bounds.end, known=known, astray=True)
        if valid is not None and valid < bounds.first:
            _tell_gone(place, valid, bounds.first)
        return Cursor(place=place, position=start, known=known)

    def _change(self, stand: Stand) -> None:
        self._stand = stand
        self.round += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    # --- what is handed out ---

    def readable(self) -> Sequence[KafkaPartition]:
        """What may be fetched from now."""
        if not self.settled:
            return []
        return [
            KafkaPartition(place.topic, place.partition)
            for place, cursor in self._cursors.items()
            if place not in self._paused and not cursor.astray
        ]

    def raise_problem(self) -> None:
        """`LogChangedError` for a partition that ends before its reader's place, once for each."""
        if self._problems:
            raise self._problems.pop(0)

    def take(self, fetched: Mapping[KafkaPartition, Sequence[ConsumerRecord]], max_bytes: int) -> Sequence[LogEntry]:
        """What of it may be handed out, its cursors moved. The consumer goes back to what may not."""
        taken: list[ConsumerRecord] = []
        left = max_bytes
        for one, records in fetched.items():
            place = TopicPartition(*one)
            cursor = self._cursors.get(place)
            if cursor is None or not self.settled:
                continue  # sought again once it is known who owns it
            fitting: Sequence[ConsumerRecord] = []
            if place not in self._paused and cursor.accepts(records[0].offset):
                fitting = _fitting(records, left, whole=not taken)
            if fitting:
                cursor.position = fitting[-1].offset + 1
                taken += fitting
                left -= _bytes(fitting)
            if len(fitting) < len(records):
                self._move(place, cursor.position)
        return entries_of(taken)

    async def return_into_log(self, places: Iterable[TopicPartition]) -> None:
        """Goes to the first entry still there where retention was faster; past the end it is a problem to be told."""
        lost = [place for place in places if place in self._cursors]
        for place, bounds in (await self._bounds(lost)).items():
            cursor = self._cursors.get(place)
            if cursor is None:
                continue
            try:
                refuse_beyond(place, cursor.position, bounds)
            except LogChangedError as problem:
                self._problems.append(problem)
                cursor.astray = True
                continue
            if cursor.position < bounds.first:
                _tell_gone(place, cursor.position, bounds.first)
                cursor.position = bounds.first
            self._move(place, cursor.position)

    def trimmed(self, place: TopicPartition, first: int) -> None:
        """What lies before is gone on purpose, also where the consumer has it in hand."""
        cursor = self._cursors.get(place)
        if cursor is not None and cursor.position < first:
            cursor.position = first
            self._move(place, first)

    # --- what its reader wishes ---

    def pause(self, places: frozenset[TopicPartition]) -> None:
        """Not the consumer's own pause, which ends with every change of the group."""
        self._paused |= places

    def resume(self, places: frozenset[TopicPartition]) -> None:
        self._paused -= places

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Goes there, if it is owned; while the group changes, as soon as it is settled."""
        cursor = self._cursors.get(place)
        if cursor is not None:
            cursor.seek(offset)
            self._move(place, offset)

    def claim(self, positions: Mapping[TopicPartition, int]) -> Sequence[Cursor]:
        """The cursors of these positions; `OwnershipLostError` where one is not this member's."""
        cursors = [self._cursors.get(place) for place in positions]
        held = [cursor for cursor in cursors if cursor is not None and cursor.covers(positions[cursor.place])]
        if len(held) < len(positions):
            raise self.refused(positions)
        return held

    def refused(self, positions: Iterable[TopicPartition]) -> OwnershipLostError:
        """What to tell of a commit that moved nothing: what it was for, and is still owned, comes again."""
        names = []
        for place in positions:
            names.append(f"{place.topic}[{place.partition}]")
            cursor = self._cursors.get(place)
            if cursor is not None:
                cursor.go_back()
                self._move(place, cursor.position)
        return OwnershipLostError(
            f"at least one of {', '.join(sorted(names))} is no longer this member's; no offset was moved. "
            "What is still its own comes again. If it happens again and again, two processes may have one name: "
            "each needs its own log.instance"
        )

    def _move(self, place: TopicPartition, offset: int) -> None:
        if self.settled:
            with suppress(IllegalStateError):  # the group changes: sought again once it is settled
                self._seek(place, offset)


def _fitting(records: Sequence[ConsumerRecord], max_bytes: int, *, whole: bool) -> Sequence[ConsumerRecord]:
    """As many of them as fit, from the first on; `whole`: one at least."""
    if _bytes(records) <= max_bytes:
        return records
    left = max_bytes
    for count, record in enumerate(records):
        left -= record.serialized_value_size
        if left < 0 and (count or not whole):
            return records[:count]
    return records


def _bytes(records: Sequence[ConsumerRecord]) -> int:
    return sum(record.serialized_value_size for record in records)


def _tell_gone(place: TopicPartition, expected: int, first: int) -> None:
    logger.warning(
        "entries were gone before they were read",
        action="log.entries_gone",
        topic=place.topic,
        partition=place.partition,
        next_offset=expected,
        first_offset=first,
    )
