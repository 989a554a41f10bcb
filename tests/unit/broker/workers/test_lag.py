"""How far the workers are behind: on a real log and a store, told as metrics and by the command's words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest_asyncio
from structlog.testing import capture_logs

from backends.memory import MemoryRecords
from broker.core.errors import LogUnavailableError, StoreUnavailableError
from broker.core.seal import entry_of
from broker.core.topics import Stream, TopicPartition, TopicSpec, topic_name
from broker.log.postgres import PostgresLog, PostgresLogOptions
from broker.workers.archive import GROUP
from broker.workers.lag import LagWatch, look
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from broker.core.lag import PartitionLag
    from broker.core.metrics import CounterName, GaugeName
    from broker.core.ports import DeadEntry, Progress

TOPIC = topic_name(TENANT, Stream.MESSAGES)
PLACE = TopicPartition(TOPIC, 0)


@dataclass
class Gauges:
    """The last value of each gauge, by name, tenant, stream and, where there is one, group and code."""

    values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        raise AssertionError(name, amount, labels)

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        self.values[name, *(labels[one] for one in ("tenant", "stream", "group", "code") if one in labels)] = value


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


OF = (TENANT, str(Stream.MESSAGES), GROUP)


async def test_a_worker_tells_of_its_own_partitions_and_of_dead_letters(scene: Scene) -> None:
    gauges, places = Gauges(), frozenset({PLACE})
    watch = watching(scene, gauges, lambda: places)
    await scene.send(5)
    await scene.keep(1)
    await scene.store.keep([scene.desk.die(scene.desk.text())])
    (oldest,) = await scene.log.read(PLACE, 2, max_entries=1)
    scene.desk.time.now = oldest.appended_at + timedelta(seconds=30)
    await watch.look()
    assert gauges.values == {
        ("custody.log.lag_entries", *OF): 3,
        ("custody.log.oldest_unkept_seconds", *OF): 30,
        ("custody.dead.open", *OF[:2]): 1,
    }
    places = frozenset()
    other = await scene.log.subscribe(GROUP, [Stream.MESSAGES])
    await watch.look()
    assert gauges.values["custody.log.lag_entries", *OF] == 0, "another worker tells of it now"
    await other.close()
    await watch.look()
    assert gauges.values["custody.log.lag_entries", *OF] == 3, "nobody reads it: each one tells of it"


async def test_what_a_partition_stopped_at_or_waits_for_is_told_until_it_goes_on(scene: Scene) -> None:
    gauges = Gauges()
    watch = watching(scene, gauges, lambda: frozenset({PLACE}))
    await scene.send(9)
    waits, stopped, lost = (
        ("custody.log.waiting_partitions", *OF, "log_unavailable"),
        ("custody.log.stopped_partitions", *OF, "dead_letter_limit"),
        ("custody.log.stopped_partitions", *OF, "offset_gap"),
    )
    watch.pulse.waiting_for = "log_unavailable"
    await watch.look()
    assert (gauges.values[waits], stopped in gauges.values) == (1, False)
    watch.pulse.waiting_for = None
    watch.pulse.stopped[PLACE] = "dead_letter_limit"
    await watch.look()
    assert (gauges.values[waits], gauges.values[stopped]) == (0, 1)
    watch.pulse.stopped.clear()
    await scene.keep(2)
    await scene.log.trim(PLACE, 6)
    await watch.look()
    assert (gauges.values[stopped], gauges.values[lost]) == (0, 1)


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


async def test_a_store_that_is_away_silences_nothing(scene: Scene) -> None:
    gauges = Gauges()
    watch = watching(scene, gauges, lambda: frozenset({PLACE}), store=Away(scene.desk.time))
    await scene.send(5)
    await commit(scene, GROUP, 2)
    (oldest,) = await scene.log.read(PLACE, 2, max_entries=1)
    scene.desk.time.now = oldest.appended_at + timedelta(seconds=101)
    with capture_logs() as logs:
        await until_looked(watch)
    assert [one["entries"] for one in logs if one.get("action") == "lag.alarm"] == [3]
    assert gauges.values["custody.log.lag_entries", *OF] == 3
    assert gauges.values["custody.log.oldest_unkept_seconds", *OF] == 101


async def test_a_member_that_has_lost_its_partitions_goes_on_telling_of_what_nobody_reads(scene: Scene) -> None:
    gauges, places = Gauges(), frozenset({PLACE})
    watch = watching(scene, gauges, lambda: places)
    await scene.send(2)
    scene.desk.time.now += timedelta(days=400)
    assert await alarms(watch) == [(TOPIC, 0, 2)]
    places = frozenset()
    assert await alarms(watch) == [], "it is still the same alarm"
    assert gauges.values["custody.log.lag_entries", *OF] == 2


async def test_a_look_that_failed_takes_nothing_back(scene: Scene) -> None:
    gauges = Gauges()
    watch = watching(scene, gauges, lambda: frozenset({PLACE}))
    await scene.send(2)
    scene.desk.time.now += timedelta(days=400)
    assert await alarms(watch) == [(TOPIC, 0, 2)]
    there, watch.log = watch.log, AwayLog()  # type: ignore[assignment]  # a log that does not answer
    with capture_logs() as logs:
        await until_looked(watch)
    assert [one["action"] for one in logs] == ["lag.waiting"]
    assert gauges.values["custody.log.lag_entries", *OF] == 2
    watch.log = there
    assert await alarms(watch) == [], "it is still the same alarm"


async def test_every_group_has_its_alarm(scene: Scene) -> None:
    gauges = Gauges()
    watch = watching(scene, gauges, lambda: frozenset({PLACE}), group="media")
    await scene.send(5)
    await scene.keep(5)
    await commit(scene, "media", 1)
    scene.desk.time.now += timedelta(days=400)
    assert await alarms(watch) == [(TOPIC, 0, 4)]
    assert gauges.values["custody.log.lag_entries", *OF[:2], "media"] == 4


@dataclass
class Away(MemoryRecords):
    """A store that does not answer."""

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        raise StoreUnavailableError(f"asked for {len(topics)} topics of {log}")

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        raise StoreUnavailableError(f"asked for {tenant} {settled}")


class AwayLog:
    """A log that does not answer."""

    async def topics(self) -> Sequence[str]:
        raise LogUnavailableError("asked for topics")


async def commit(scene: Scene, group: str, offset: int) -> None:
    """As a member that then leaves."""
    subscription = await scene.log.subscribe(group, [Stream.MESSAGES])
    assert await subscription.fetch(max_entries=9, wait_seconds=10)
    await subscription.commit({PLACE: offset})
    await subscription.close()


async def until_looked(watch: LagWatch) -> None:
    """One turn of its loop, in which it says what it could not see."""
    watch.stop.clear()
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    watch.stop.set()
    await running
    watch.stop.clear()


def watching(
    scene: Scene,
    gauges: Gauges,
    assignment: Callable[[], frozenset[TopicPartition]],
    *,
    group: str = GROUP,
    store: MemoryRecords | None = None,
) -> LagWatch:
    return LagWatch(
        log=scene.log,
        group=group,
        store=None if group != GROUP else store or scene.store,
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
