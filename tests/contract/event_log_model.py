"""Any order of appends, fetches, commits, seeks, pauses and restarts, against a model of a few lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.core.ports import EventLog, Subscription
from broker.core.topics import Stream, TopicPartition
from tests.contract.event_log_kit import LogFactory, entry, make_topic, next_offsets, places, settle, values

if TYPE_CHECKING:
    from broker.core.ports import LogEntry

PARTITIONS = 3

_number = st.integers(0, PARTITIONS - 1)
_fraction = st.floats(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 7), min_size=1, max_size=30)),
        st.tuples(st.just("fetch"), st.integers(1, 20)),
        st.tuples(st.just("commit"), st.sets(_number, min_size=1)),
        st.tuples(st.just("seek"), _number, _fraction),
        st.tuples(st.just("pause"), st.sets(_number, min_size=1)),
        st.tuples(st.just("resume"), st.sets(_number, min_size=1)),
        st.tuples(st.just("restart")),
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Model:
    """What must be so: the entries of each partition, and where the one member and its group stand."""

    log: EventLog
    topic: str
    group: str
    subscription: Subscription
    entries: dict[TopicPartition, list[bytes]] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)
    appended: int = 0

    def __post_init__(self) -> None:
        for place in places(self.topic, PARTITIONS):
            self.entries[place] = []
            self.positions[place] = 0

    def some(self, numbers: set[int]) -> set[TopicPartition]:
        return {TopicPartition(self.topic, number) for number in numbers}

    @property
    def readable(self) -> int:
        """How many entries a fetch could hand out."""
        return sum(
            len(held) - self.positions[place] for place, held in self.entries.items() if place not in self.paused
        )

    async def append(self, keys: list[int]) -> None:
        new = [entry(self.topic, f"key-{key}", f"{self.appended + n}") for n, key in enumerate(keys)]
        self.appended += len(new)
        await self.log.append(new)
        found: list[bytes] = []
        for place, held in self.entries.items():
            more = [one.value for one in await self.log.read(place, len(held), max_entries=1000)]
            held.extend(more)
            found.extend(more)
        assert Counter(found) == Counter(one.value for one in new)

    async def fetch(self, count: int) -> None:
        batch = await self.subscription.fetch(max_entries=count, wait_seconds=5 if self.readable else 0)
        assert len(batch) <= count
        assert bool(batch) == bool(self.readable)
        for one in batch:
            self.received(one)

    def received(self, one: LogEntry) -> None:
        assert one.place not in self.paused
        assert one.offset == self.positions[one.place]
        assert one.value == self.entries[one.place][one.offset]
        self.positions[one.place] += 1

    async def commit(self, numbers: set[int]) -> None:
        offsets = {place: self.positions[place] for place in self.some(numbers)}
        await self.subscription.commit(offsets)
        self.committed |= offsets
        assert await self.log.committed(self.group, [self.topic]) == self.committed

    async def seek(self, number: int, fraction: float) -> None:
        place = TopicPartition(self.topic, number)
        self.positions[place] = int(len(self.entries[place]) * fraction)
        self.subscription.seek(place, self.positions[place])

    async def pause(self, numbers: set[int]) -> None:
        self.paused |= self.some(numbers)
        self.subscription.pause(frozenset(self.some(numbers)))

    async def resume(self, numbers: set[int]) -> None:
        self.paused -= self.some(numbers)
        self.subscription.resume(frozenset(self.some(numbers)))

    async def restart(self) -> None:
        await self.subscription.close()
        self.subscription = await self.log.subscribe(self.group, [Stream.MESSAGES])
        self.paused.clear()
        self.positions = {place: self.committed.get(place, 0) for place in self.positions}
        expected = places(self.topic, PARTITIONS)
        for one in await settle([self.subscription], lambda: self.subscription.assignment >= expected):
            self.received(one)

    async def finish(self) -> None:
        """What is left comes in full."""
        await self.resume(set(range(PARTITIONS)))
        left = {place: held[self.positions[place] :] for place, held in self.entries.items()}
        found: list[LogEntry] = []
        while self.readable:
            batch = await self.subscription.fetch(max_entries=9, wait_seconds=5)
            for one in batch:
                self.received(one)
            found += batch
        assert sorted(values(found)) == sorted(value.decode() for held in left.values() for value in held)
        if found:
            await self.subscription.commit(next_offsets(found))

    async def clear(self) -> None:
        """Leaves nothing to read for the next example, whose member reads every tenant."""
        for place, held in self.entries.items():
            await self.log.trim(place, len(held))


class ModelCases:
    examples = 0

    @given(steps=steps)
    @settings(
        max_examples=15,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,  # one run holds several logs against the same model
        ],
    )
    async def test_any_order_of_calls_agrees_with_the_model(
        self, logs: LogFactory, steps: list[tuple[str, ...]]
    ) -> None:
        ModelCases.examples += 1
        name = f"tenant-{ModelCases.examples}"
        log = await logs.open()
        topic = await make_topic(log, tenant=name, partitions=PARTITIONS)
        subscription = await log.subscribe(name, [Stream.MESSAGES])
        model = Model(log=log, topic=topic, group=name, subscription=subscription)
        try:
            for action, *arguments in steps:
                await getattr(model, action)(*arguments)
            await model.finish()
        finally:
            await model.clear()
            await log.close()
