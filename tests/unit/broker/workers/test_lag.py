"""How far the workers are behind: on a real log and a store, told as metrics and by the command's words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from backends.memory import MemoryRecords
from broker.core.errors import StoreUnavailableError
from broker.core.seal import entry_of
from broker.core.topics import Stream, TopicPartition, TopicSpec, topic_name
from broker.log.postgres import PostgresLog, PostgresLogOptions
from broker.workers.archive import GROUP
from broker.workers.lag import LagWatch, look
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from broker.core.lag import PartitionLag
    from broker.core.metrics import CounterName, GaugeName

TOPIC = topic_name(TENANT, Stream.MESSAGES)
PLACE = TopicPartition(TOPIC, 0)


@dataclass
class Gauges:
    """The last value of each gauge, by name, tenant and stream."""

    values: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        raise AssertionError(name, amount, labels)

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        self.values[name, labels["tenant"], labels["stream"]] = value


@dataclass
class Scene:
    """A log with one partition of messages, and a store that keeps as many of them as it is told."""

    log: PostgresLog
    desk: Desk
    store: MemoryRecords = field(init=False)

    def __post_init__(self) -> None:
        self.desk.log = self.log.identity
        self.store = MemoryRecords(self.desk.time)

    async def send(self, count: int) -> None:
        await self.log.append([entry_of(self.desk.text()) for _ in range(count)])

    async def keep(self, count: int) -> None:
        await self.store.keep([self.desk.arrive(self.desk.text()) for _ in range(count)])

    async def look(self) -> PartitionLag:
        (found,) = await look(self.log, self.store, GROUP, [TOPIC])
        return found


@pytest_asyncio.fixture
async def scene(database: str, seed: int) -> AsyncIterator[Scene]:
    await PostgresLog.migrate(database)
    log = await PostgresLog.open(database, options=PostgresLogOptions(allow_unsafe_server=True))
    await log.create_topics([TopicSpec(name=TOPIC, partitions=1, retention_seconds=None)])
    yield Scene(log, Desk(seed))
    await log.close()


async def test_nothing_is_behind_at_first(scene: Scene) -> None:
    found = await scene.look()
    assert (found.end, found.kept_to, found.committed, found.entries, found.oldest_at) == (0, 0, None, 0, None)


async def test_what_is_not_kept_yet_is_counted_from_the_store(scene: Scene) -> None:
    await scene.send(5)
    first = await scene.look()
    assert (first.entries, first.kept_to) == (5, 0)
    await scene.keep(3)
    found = await scene.look()
    assert (found.end, found.kept_to, found.entries, found.lost, found.stopped) == (5, 3, 2, 0, None)
    (oldest,) = await scene.log.read(PLACE, 3, max_entries=1)
    assert found.oldest_at == oldest.appended_at
    assert found.age_seconds(oldest.appended_at + timedelta(seconds=40)) == 40


async def test_what_the_log_lost_is_told_as_what_stops_it(scene: Scene) -> None:
    await scene.send(9)
    await scene.keep(2)
    await scene.log.trim(PLACE, 6)
    found = await scene.look()
    assert (found.entries, found.lost, found.stopped) == (7, 4, "offset_gap")
    await scene.log.trim(PLACE, 9)
    found = await scene.look()
    assert (found.entries, found.lost, found.stopped, found.oldest_at) == (7, 7, "offset_gap", None)


async def test_what_the_log_lost_before_anything_was_kept_is_told_too(scene: Scene) -> None:
    await scene.send(5)
    await scene.log.trim(PLACE, 2)
    found = await scene.look()
    assert (found.kept_to, found.entries, found.lost, found.stopped) == (0, 5, 2, "offset_gap")


async def test_a_log_that_is_behind_its_store_is_another_one(scene: Scene) -> None:
    await scene.send(2)
    await scene.keep(4)
    found = await scene.look()
    assert (found.entries, found.stopped) == (0, "log_changed")


async def test_other_groups_are_measured_by_what_they_committed(scene: Scene) -> None:
    await scene.send(5)
    subscription = await scene.log.subscribe("media", [Stream.MESSAGES])
    assert len(await subscription.fetch(max_entries=9, wait_seconds=10)) == 5
    await subscription.commit({PLACE: 2})
    (found,) = await look(scene.log, scene.store, "media", [TOPIC])
    assert (found.committed, found.kept_to, found.entries) == (2, None, 3)
    owners = await scene.log.members("media")
    assert set(owners) == {PLACE}
    await subscription.close()
    assert await scene.log.members("media") == {}


async def test_a_worker_tells_of_its_own_partitions_and_of_dead_letters(scene: Scene) -> None:
    gauges, places = Gauges(), frozenset({PLACE})
    watch = watching(scene, gauges, lambda: places)
    await scene.send(5)
    await scene.keep(1)
    await scene.store.keep([scene.desk.die(scene.desk.text())])
    (oldest,) = await scene.log.read(PLACE, 2, max_entries=1)
    scene.desk.time.now = oldest.appended_at + timedelta(seconds=30)
    await watch.look()
    of = (TENANT, str(Stream.MESSAGES))
    assert gauges.values == {
        ("custody.log.lag_entries", *of): 3,
        ("custody.log.oldest_unkept_seconds", *of): 30,
        ("custody.dead.open", *of): 1,
    }
    places = frozenset()
    await watch.look()
    assert gauges.values["custody.log.lag_entries", *of] == 0, "another worker tells of it now"


async def test_an_alarm_is_raised_once_entries_wait_for_long_and_again_if_they_do_so_again(scene: Scene) -> None:
    watch = watching(scene, Gauges(), lambda: frozenset({PLACE}))
    await scene.send(2)
    (oldest,) = await scene.log.read(PLACE, 0, max_entries=1)
    scene.desk.time.now = oldest.appended_at + timedelta(seconds=99)
    assert await alarms(watch) == []
    scene.desk.time.pass_(seconds=2)
    assert await alarms(watch) == [(TOPIC, 0, 2)]
    assert await alarms(watch) == []
    await scene.keep(2)
    assert await alarms(watch) == []
    await scene.send(1)
    scene.desk.time.pass_(days=1)
    assert await alarms(watch) == [(TOPIC, 0, 1)]


async def test_an_alarm_is_raised_also_while_the_store_is_away(scene: Scene) -> None:
    watch = watching(scene, Gauges(), lambda: frozenset({PLACE}))
    await scene.send(3)
    await scene.keep(1)
    (oldest,) = await scene.log.read(PLACE, 0, max_entries=1)
    scene.desk.time.now = oldest.appended_at + timedelta(seconds=101)
    watch.store = _Away(scene.desk.time)
    with capture_logs() as logs, pytest.raises(StoreUnavailableError):
        await watch.look()
    assert [one["entries"] for one in logs if one.get("action") == "lag.alarm"] == [3], "nothing is committed yet"


class _Away(MemoryRecords):
    """A store that does not answer."""

    async def other_logs(self, log: str, topics: Sequence[str]) -> NoReturn:
        raise StoreUnavailableError(f"{log}, {topics}: the store is away")

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> NoReturn:
        raise StoreUnavailableError(f"{tenant}, {settled}: the store is away")


def watching(scene: Scene, gauges: Gauges, assignment: Callable[[], frozenset[TopicPartition]]) -> LagWatch:
    return LagWatch(
        log=scene.log,
        store=scene.store,
        metrics=gauges,
        clock=scene.desk.time,
        assignment=assignment,
        stop=asyncio.Event(),
        alarm_seconds=100,
    )


async def alarms(watch: LagWatch) -> Sequence[tuple[str, int, int]]:
    with capture_logs() as logs:
        await watch.look()
    return [(one["topic"], one["partition"], one["entries"]) for one in logs if one.get("action") == "lag.alarm"]
