"""The delivery loop: nothing handed over is passed by, whatever the handler does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from broker.core.delivery import DeliveryPolicy
from broker.core.errors import (
    LogChangedError,
    LogUnavailableError,
    OffsetGapError,
    OwnershipLostError,
    SchemaError,
    StoreUnavailableError,
    UnstorableError,
)
from broker.core.metrics import NoMetrics
from broker.core.ports import LogEntry
from broker.core.topics import TopicPartition
from broker.workers.deliver import Delivery
from tests.scripted_log import ScriptedSubscription, entry

LEFT = TopicPartition("custody.acme.messages.v1", 0)
RIGHT = TopicPartition("custody.acme.messages.v1", 1)
FAST = DeliveryPolicy(first_wait_seconds=0.001, most_wait_seconds=0.002, dead_letters_in_a_row=3, batch_entries=8)


def entries(count: int, place: TopicPartition = LEFT) -> list[LogEntry]:
    return [entry(place.topic, offset, partition=place.partition) for offset in range(count)]


@dataclass
class Harness:
    """A delivery over scripted entries; `fault` may raise for a batch."""

    served: Sequence[LogEntry]
    fault: Callable[[Sequence[LogEntry]], None] = lambda _batch: None
    policy: DeliveryPolicy = FAST
    handled: list[tuple[TopicPartition, int]] = field(default_factory=list)
    aside: list[tuple[TopicPartition, int, str]] = field(default_factory=list)
    aside_faults: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = asyncio.Event()
        self.subscription = ScriptedSubscription(self.served)
        self.delivery = Delivery(
            worker="test",
            subscription=self.subscription,
            handler=self.handle,
            set_aside=self.set_aside,
            policy=self.policy,
            metrics=NoMetrics(),
            stop=self.stop,
            idle_wait_seconds=0.01,
        )

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        self.fault(batch)
        self.handled += [(one.place, one.offset) for one in batch]

    async def set_aside(self, one: LogEntry, error: Exception, attempts: int) -> None:
        assert attempts >= 1
        if self.aside_faults:
            raise self.aside_faults.pop(0)
        self.aside.append((one.place, one.offset, type(error).__name__))

    async def run_until(self, condition: Callable[[], bool]) -> None:
        running = asyncio.create_task(self.delivery.run())
        async with asyncio.timeout(20):
            while not condition() and not running.done():  # noqa: ASYNC110 - the condition is any of the test's own
                await asyncio.sleep(0.001)
        self.stop.set()
        await running
        assert self.subscription.closed


async def test_offsets_move_past_what_is_handled() -> None:
    harness = Harness(entries(20))
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 20)
    assert [offset for _, offset in harness.handled] == list(range(20))


async def test_an_outage_moves_no_offset_and_writes_no_dead_letter() -> None:
    failures = 25

    def outage(_batch: Sequence[LogEntry]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            assert not harness.subscription.committed
            raise StoreUnavailableError("the store is down")

    harness = Harness(entries(5), outage)
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 5)
    assert harness.aside == []
    assert [offset for _, offset in harness.handled] == list(range(5))
    assert harness.subscription.signs_of_life >= 25, "it is not taken for hanging meanwhile"


@pytest.mark.parametrize("poison", [0, 3, 7])
async def test_one_poison_entry_is_set_aside_and_the_others_are_handled(poison: int) -> None:
    def refuse(batch: Sequence[LogEntry]) -> None:
        if any(one.offset == poison for one in batch):
            raise UnstorableError("one of these")

    harness = Harness(entries(8), refuse)
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 8)
    assert harness.aside == [(LEFT, poison, "UnstorableError")]
    assert sorted(offset for _, offset in harness.handled) == [one for one in range(8) if one != poison]


async def test_setting_aside_waits_out_an_outage() -> None:
    def refuse(_batch: Sequence[LogEntry]) -> None:
        raise UnstorableError("all")

    harness = Harness(entries(1), refuse)
    harness.aside_faults = [LogUnavailableError("down"), StoreUnavailableError("down")]
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 1)
    assert len(harness.aside) == 1


async def test_too_many_dead_letters_in_a_row_stop_the_partition_and_only_it() -> None:
    def bug(batch: Sequence[LogEntry]) -> None:
        if any(one.place == LEFT for one in batch):
            raise ValueError

    harness = Harness([*entries(8), *entries(8, RIGHT)], bug)
    await harness.run_until(
        lambda: bool(harness.delivery.pulse.stopped) and harness.subscription.committed.get(RIGHT) == 8
    )
    assert len(harness.aside) == 3
    assert harness.subscription.committed == {LEFT: 3, RIGHT: 8}
    assert harness.delivery.pulse.stopped == {LEFT: "dead_letter_limit"}
    assert harness.subscription.positions[LEFT] == 3


async def test_a_gap_stops_its_partition_and_the_others_go_on() -> None:
    def gap(batch: Sequence[LogEntry]) -> None:
        if any(one.place == LEFT for one in batch):
            raise OffsetGapError(topic=LEFT.topic, partition=0, expected=0, found=4)

    mixed = [one for pair in zip(entries(6), entries(6, RIGHT), strict=True) for one in pair]
    harness = Harness(mixed, gap)
    await harness.run_until(lambda: harness.subscription.committed.get(RIGHT) == 6)
    assert harness.delivery.pulse.stopped == {LEFT: "offset_gap"}
    assert LEFT not in harness.subscription.committed


async def test_what_lies_before_a_hole_is_handled_and_the_partition_stops_at_it() -> None:
    holed = [one for one in entries(8) if one.offset != 5]

    def gap(batch: Sequence[LogEntry]) -> None:
        known = max([offset for _, offset in harness.handled], default=-1) + 1
        for one in batch:
            if one.offset > known:
                raise OffsetGapError(topic=LEFT.topic, partition=0, expected=known, found=one.offset)
            known = one.offset + 1

    harness = Harness(holed, gap)
    await harness.run_until(lambda: bool(harness.delivery.pulse.stopped))
    assert [offset for _, offset in harness.handled] == [0, 1, 2, 3, 4]
    assert harness.subscription.committed == {LEFT: 5}
    assert harness.subscription.positions[LEFT] == 6


@pytest.mark.parametrize("code", [OffsetGapError.code, LogChangedError.code])
async def test_a_partition_goes_on_by_itself_once_its_log_is_as_it_should_be(code: str) -> None:
    lost, asked = True, 0

    def gap(batch: Sequence[LogEntry]) -> None:
        if lost and any(one.place == LEFT for one in batch):
            if code == LogChangedError.code:
                raise LogChangedError("another log")
            raise OffsetGapError(topic=LEFT.topic, partition=0, expected=0, found=3)

    async def mended(places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        nonlocal lost, asked
        assert places == {LEFT}
        assert harness.delivery.pulse.stopped == {LEFT: code}
        asked += 1
        if asked == 2:
            raise StoreUnavailableError("down")
        lost = asked < 4
        return {} if lost else {LEFT: 3}

    harness = Harness([*entries(6), *entries(6, RIGHT)], gap)
    harness.delivery.mended = mended
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 6)
    assert harness.delivery.pulse.stopped == {}
    assert [offset for place, offset in harness.handled if place == LEFT] == [3, 4, 5]


async def test_a_partition_that_ends_before_what_is_to_be_read_stops_alone() -> None:
    harness = Harness(entries(6, RIGHT))
    harness.subscription.lost = frozenset({LEFT})
    await harness.run_until(lambda: harness.subscription.committed.get(RIGHT) == 6)
    assert harness.delivery.pulse.stopped == {LEFT: "log_changed"}


async def test_another_log_altogether_ends_the_worker() -> None:
    harness = Harness(entries(6))
    harness.subscription.fetch_fault = LogChangedError("another log")
    with pytest.raises(LogChangedError):
        await harness.run_until(lambda: False)


async def test_a_stopped_partition_that_was_anothers_meanwhile_is_looked_at_afresh() -> None:
    broken, away = True, False

    class Wandering(ScriptedSubscription):
        """Loses its partition for a while, and gets it back where the other member left it."""

        @property
        def assignment(self) -> frozenset[TopicPartition]:
            return frozenset() if away else super().assignment

    def bug(_batch: Sequence[LogEntry]) -> None:
        if broken:
            raise ValueError

    harness = Harness(entries(8), bug)
    harness.subscription = harness.delivery.subscription = Wandering(entries(8))
    running = asyncio.create_task(harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 8))
    async with asyncio.timeout(20):
        while not harness.delivery.pulse.stopped:  # noqa: ASYNC110 - a condition
            await asyncio.sleep(0.001)
        broken, away = False, True
        harness.subscription.seek(LEFT, 5)
        while harness.delivery.pulse.stopped and not running.done():  # noqa: ASYNC110 - a condition
            await asyncio.sleep(0.001)
        away = False
        await running
    assert [offset for _, offset in harness.handled] == [5, 6, 7]


async def test_other_stops_wait_for_a_person() -> None:
    asked = 0

    async def mended(_places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        nonlocal asked
        asked += 1
        return {}

    def unknown(_batch: Sequence[LogEntry]) -> None:
        raise SchemaError("a newer one")

    harness = Harness(entries(8), unknown)
    harness.delivery.mended = mended
    await harness.run_until(lambda: harness.delivery.pulse.beats > 20)
    assert (harness.delivery.pulse.stopped, asked) == ({LEFT: "schema"}, 0)


async def test_a_partition_with_too_many_dead_letters_is_tried_again_without_setting_more_aside() -> None:
    tries = 0

    def bug(batch: Sequence[LogEntry]) -> None:
        nonlocal tries
        if batch[0] is harness.served[3] and len(batch) == 1:
            tries += 1
        if tries < 4 and any(one.place == LEFT for one in batch):
            raise ValueError

    harness = Harness([*entries(8), *entries(8, RIGHT)], bug)
    with capture_logs() as logs:
        await harness.run_until(lambda: harness.subscription.committed == {LEFT: 8, RIGHT: 8})
    assert harness.delivery.pulse.stopped == {}
    assert [offset for _, offset, _ in harness.aside] == [0, 1, 2]
    assert [offset for place, offset in harness.handled if place == LEFT] == [3, 4, 5, 6, 7]
    stops = [one["log_level"] for one in logs if one.get("action") == "delivery.stopped"]
    assert stops == ["error", "info", "info"], "a person is called once"


async def test_lost_ownership_leaves_the_batch_and_reads_it_again_if_it_is_ours() -> None:
    yielded = False

    def lose(_batch: Sequence[LogEntry]) -> None:
        nonlocal yielded
        if not yielded:
            yielded = True
            raise OwnershipLostError("elsewhere")

    harness = Harness(entries(20), lose)
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 20)
    assert [offset for _, offset in harness.handled] == list(range(20))


async def test_lost_ownership_rewinds_every_partition_of_the_batch() -> None:
    losses = 3

    def lose(_batch: Sequence[LogEntry]) -> None:
        nonlocal losses
        if losses:
            losses -= 1
            raise OwnershipLostError("elsewhere")

    mixed = [one for pair in zip(entries(6), entries(6, RIGHT), strict=True) for one in pair]
    harness = Harness(mixed, lose)
    await harness.run_until(lambda: harness.subscription.committed == {LEFT: 6, RIGHT: 6})
    assert sorted(harness.handled, key=lambda one: (one[0], one[1])) == [
        *((LEFT, offset) for offset in range(6)),
        *((RIGHT, offset) for offset in range(6)),
    ]


async def test_a_failed_commit_is_made_up_for() -> None:
    harness = Harness(entries(3))
    harness.subscription.commit_fault = LogUnavailableError("down")
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 3)


async def test_a_refused_offset_is_not_committed_again_and_the_others_are() -> None:
    refused: list[Mapping[TopicPartition, int]] = []

    class Refusing(ScriptedSubscription):
        """Was another's for a while: what was done of it before may not be committed."""

        async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
            if positions.get(LEFT, 9) < 6:
                refused.append(positions)
                raise OwnershipLostError("another's meanwhile")
            await super().commit(positions)

    served = [*entries(4), *entries(4, RIGHT), *(one for one in entries(8) if one.offset > 3)]
    harness = Harness(served)
    harness.subscription = harness.delivery.subscription = Refusing(served)
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 8)
    assert harness.subscription.committed == {LEFT: 8, RIGHT: 4}
    assert refused == [{LEFT: 4, RIGHT: 4}, {LEFT: 4}]


async def test_a_failed_fetch_is_tried_again() -> None:
    harness = Harness(entries(3))
    harness.subscription.fetch_fault = LogUnavailableError("down")
    await harness.run_until(lambda: harness.subscription.committed.get(LEFT) == 3)


async def test_an_outage_of_the_log_is_waited_for_no_longer_than_it_lasts() -> None:
    harness = Harness([])
    harness.subscription.fetch_fault = LogUnavailableError("down")
    seen: list[str | None] = []

    def noticed() -> bool:
        seen.append(harness.delivery.pulse.waiting_for)
        return "log_unavailable" in seen and seen[-1] is None

    await harness.run_until(noticed)


async def test_an_outage_while_handling_is_not_over_because_the_log_answers() -> None:
    def outage(_batch: Sequence[LogEntry]) -> None:
        raise StoreUnavailableError("down")

    harness = Harness(entries(3), outage)
    seen: list[str] = []

    def long_enough() -> bool:
        waits = harness.delivery.pulse.waiting_for
        if waits is not None or seen:
            seen.append(str(waits))
        return harness.delivery.pulse.beats > 50

    await harness.run_until(long_enough)
    assert set(seen) == {"store_unavailable"}


async def test_a_stop_during_an_outage_leaves_the_offsets_alone() -> None:
    def outage(_batch: Sequence[LogEntry]) -> None:
        raise StoreUnavailableError("down")

    harness = Harness(entries(3), outage, policy=DeliveryPolicy(first_wait_seconds=60, most_wait_seconds=60))
    await harness.run_until(lambda: harness.delivery.pulse.waiting_for == "store_unavailable")
    assert harness.subscription.committed == {}
