"""What a member owns, and where it stands there, over every change of its group.

aiokafka rebalances eagerly: at each change every partition is taken and given anew, its position and its pause
forgotten, and fetching begins at the group's offset by itself. So nothing is handed out from the first word of a
change until each partition was looked at again and sought explicitly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import IllegalStateError

from broker.core.errors import LogChangedError, OwnershipLostError, RetryableError
from broker.core.topics import TopicPartition
from broker.log.kafka.cursors import Cursor, refuse_beyond, start_of
from broker.log.kafka.entries import entries_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord

    from broker.core.ports import Bounds, LogEntry, StartAt
    from broker.log.kafka.catalog import Catalog

logger = structlog.get_logger(__name__)


class Stand(Enum):
    """How far a change of the group has come."""

    CHANGING = auto()
    ASSIGNED = auto()
    SETTLED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loss:
    """What to say of a partition that ends before what was to be read, and where the group stands in it."""

    committed: int | None
    error: LogChangedError


class Holdings:
    """The cursors of what is owned. `seek` moves the consumer; it may refuse with `IllegalStateError`.

    Owned without a cursor is what has no bounds yet, since its broker does not know it or it has no leader: it is
    looked for again every `look_seconds`. Of what lost entries that were to be read, nothing is handed out until its
    reader seeks. The others go on meanwhile.
    """

    def __init__(
        self,
        catalog: Catalog,
        group: str,
        *,
        start_at: StartAt | None,
        seek: Callable[[TopicPartition, int], None],
        look_seconds: float = 10.0,
    ) -> None:
        self._catalog = catalog
        self._group = group
        self._start_at = start_at
        self._seek = seek
        self._cursors: dict[TopicPartition, Cursor] = {}
        self._paused: frozenset[TopicPartition] = frozenset()
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._lacking: frozenset[TopicPartition] = frozenset()
        self._lost: dict[TopicPartition, _Loss] = {}
        self._ids: dict[str, bytes] = {}
        self._look_seconds = look_seconds
        self._look_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._stand = Stand.CHANGING
        self._settling = asyncio.Lock()
        self._news = asyncio.Event()
        self.round = 0

    @property
    def places(self) -> frozenset[TopicPartition]:
        """What is owned, as far as is known; while the group changes, what was owned before."""
        return frozenset(self._cursors.keys() | self._lacking | self._lost.keys())

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
        self._assigned, self._lacking, self._lost = places, frozenset(), {}
        self._cursors = {place: cursor for place, cursor in self._cursors.items() if place in places}
        self._change(Stand.ASSIGNED)

    def clear(self) -> None:
        """Owns nothing."""
        self._cursors, self._lacking, self._lost = {}, frozenset(), {}
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
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
                await self._look(self._assigned, wishes)
            if self._looking is not None and self._looking.done():
                looked, self._looking = self._looking, None
                looked.result()
            if self._lacking and self._looking is None and _now() >= self._look_at:
                self._looking = asyncio.create_task(self._look_again(), name="log-look")

    async def _look(self, places: frozenset[TopicPartition], wishes: dict[TopicPartition, int | None]) -> None:
        seen = self.round
        ids = await self._catalog.ids({place.topic for place in places})
        anew = self._made_anew(ids)
        committed = await self._catalog.committed_of(self._group, places)
        fresh = frozenset(place for place in places if place.topic in anew or not self._goes_on(place, committed))
        bounds = await self._found(fresh, wishes)
        if seen == self.round:
            self._ids |= ids
            self._begin(fresh, committed, wishes, bounds, anew)

    async def notice_new_topics(self) -> bool:
        """Whether a topic that is owned was made anew, as its id tells: its partitions are begun afresh then.

        Nothing else would tell, once the new topic has as many entries as were read of the old one.
        """
        anew = self._made_anew(await self._catalog.ids({place.topic for place in self._cursors}))
        if anew and self.settled:
            self._change(Stand.ASSIGNED)
        return bool(anew)

    def _made_anew(self, ids: Mapping[str, bytes]) -> frozenset[str]:
        return frozenset(topic for topic, one in ids.items() if self._ids.get(topic, one) != one)

    async def _look_again(self) -> None:
        """Beside what goes on: nobody waits for a partition that is not to be found."""
        with suppress(RetryableError):
            if self.settled:
                await self._look(self._lacking, {})
        self._look_at = _now() + self._look_seconds

    def refuse_lost(self) -> None:
        """`LogChangedError` with the places that lost what was to be read, but for those that its reader paused."""
        lost = frozenset(self._lost.keys() - self._paused)
        if lost:
            raise LogChangedError("; ".join(str(self._lost[place].error) for place in sorted(lost)), places=lost)

    async def _found(
        self, fresh: frozenset[TopicPartition], wishes: dict[TopicPartition, int | None]
    ) -> Mapping[TopicPartition, Bounds]:
        """The bounds of those that can be read now, younger than what their reader wishes."""
        bounds = await self._catalog.bounds_found(fresh)
        unasked = frozenset(bounds) - wishes.keys()
        if self._start_at is None or not unasked:
            return bounds
        await self._ask(unasked, wishes)
        return await self._catalog.bounds_found(bounds)

    def _goes_on(self, place: TopicPartition, committed: Mapping[TopicPartition, int]) -> bool:
        cursor = self._cursors.get(place)
        return cursor is not None and cursor.goes_on(committed.get(place))

    async def _ask(self, places: frozenset[TopicPartition], wishes: dict[TopicPartition, int | None]) -> None:
        if self._start_at is not None and places:
            wanted = await self._start_at(places)
            wishes |= {place: wanted.get(place) for place in places}

    def _begin(
        self,
        fresh: frozenset[TopicPartition],
        committed: Mapping[TopicPartition, int],
        wishes: Mapping[TopicPartition, int | None],
        bounds: Mapping[TopicPartition, Bounds],
        anew: frozenset[str],
    ) -> None:
        for place in fresh:
            self._cursors.pop(place, None)
        for place, at in bounds.items():
            self._lost.pop(place, None)
            known = committed.get(place)
            try:
                start = _start(place, None if place.topic in anew else known, wishes.get(place), at)
            except LogChangedError as error:
                self._lost[place] = _Loss(committed=known, error=error)
            else:
                self._cursors[place] = Cursor(place=place, position=start, known=frozenset({known}))
        self._lacking = fresh - bounds.keys()
        self._go_on()

    def _go_on(self) -> None:
        try:
            for place, cursor in self._cursors.items():
                self._seek(place, cursor.position)
        except IllegalStateError:
            self._change(Stand.CHANGING)  # aiokafka knows of the next change already, and will say so
        else:
            self._change(Stand.SETTLED)

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
        return [KafkaPartition(one.topic, one.partition) for one in self._cursors if self._may_read(one)]

    def _may_read(self, place: TopicPartition) -> bool:
        return place not in self._paused and place not in self._lost

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
            if self._may_read(place) and cursor.accepts(records[0].offset):
                fitting = _fitting(records, left, whole=not taken)
            if fitting:
                cursor.position = fitting[-1].offset + 1
                taken += fitting
                left -= _bytes(fitting)
            if len(fitting) < len(records):
                self._move(place, cursor.position)
        return entries_of(taken)

    async def return_into_log(self, places: Iterable[TopicPartition]) -> None:
        """Goes to the first entry still there where retention was faster; what ends before is lost (`refuse_lost`)."""
        astray = [place for place in places if place in self._cursors]
        for place, bounds in (await self._catalog.bounds_of(astray)).items():
            cursor = self._cursors.get(place)
            if cursor is None:
                continue
            try:
                refuse_beyond(place, cursor.position, bounds)
            except LogChangedError as error:
                self._lost[place] = _Loss(committed=None, error=error)
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
        lost = self._lost.pop(place, None)
        if lost is not None and place not in self._cursors:
            self._cursors[place] = Cursor(place=place, position=offset, known=frozenset({lost.committed}))
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


def _start(place: TopicPartition, committed: int | None, wanted: int | None, bounds: Bounds) -> int:
    """Where to begin. What a group committed in a topic of that name that is no more does not count: give None."""
    start = start_of(place, committed=committed, wanted=wanted, bounds=bounds)
    if committed is not None and committed < bounds.first:
        _tell_gone(place, committed, bounds.first)
    return start


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


def _now() -> float:
    return asyncio.get_running_loop().time()
