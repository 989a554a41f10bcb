"""Where the archive worker starts: where its store stands, whatever its group committed, and never past a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.memory import MemoryRecords
from broker.core.errors import LogChangedError, OffsetGapError
from broker.core.metrics import NoMetrics
from broker.core.ports import Adoption
from broker.core.registry import Registry
from broker.core.seal import entry_of
from broker.core.topics import Stream, TopicPartition, TopicSpec, topic_name
from broker.core.values import replace
from broker.log.postgres import PostgresLog, PostgresLogOptions
from broker.workers.archive import GROUP, Archive
from tests.kept import both
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPIC = topic_name(TENANT, Stream.MESSAGES)
PLACE = TopicPartition(TOPIC, 0)
PLACES = frozenset({PLACE})


class Scene:
    """A worker between a real log with one partition of messages and a store in memory."""

    def __init__(self, log: PostgresLog, desk: Desk) -> None:
        self.log, self.desk, self.store = log, desk, MemoryRecords(desk.time)
        self.archive = Archive(
            log=log,
            store=self.store,
            registry=lambda: Registry(tenants={}, apps={}, accounts={}),
            capabilities={},
            metrics=NoMetrics(),
            clock=desk.time,
            entropy=desk.random.randbytes,
        )

    async def send(self, count: int) -> None:
        """Entries that the group has read all of, whatever the store says."""
        await self.log.append([entry_of(self.desk.text()) for _ in range(count)])
        member = await self.log.subscribe(GROUP, [Stream.MESSAGES])
        while await member.fetch(max_entries=9, wait_seconds=0):
            pass
        await member.commit({PLACE: count})
        await member.close()


@pytest_asyncio.fixture
async def scene(database: str, seed: int) -> AsyncIterator[Scene]:
    await PostgresLog.migrate(database)
    log = await PostgresLog.open(database, options=PostgresLogOptions(allow_unsafe_server=True))
    await log.create_topics([TopicSpec(name=TOPIC, partitions=1, retention_seconds=None)])
    yield Scene(log, Desk(seed))
    await log.close()


async def test_a_store_that_kept_nothing_starts_at_0(scene: Scene) -> None:
    await scene.send(3)
    assert await scene.archive.stands_at(PLACES) == {PLACE: 0}


async def test_what_the_log_lost_before_the_first_keep_stops_its_partition(scene: Scene) -> None:
    await scene.send(3)
    await scene.log.trim(PLACE, 2)
    with pytest.raises(OffsetGapError) as refused:
        await scene.archive.stands_at(PLACES)
    assert (refused.value.expected, refused.value.found) == (0, 2)
    assert await scene.archive.mended(PLACES) == {}


async def test_of_two_stores_the_one_behind_says_where_and_the_log_has_to_be_that_of_both(scene: Scene) -> None:
    await scene.send(3)
    main, other, desk = scene.store, MemoryRecords(scene.desk.time), scene.desk
    scene.archive = replace(scene.archive, store=both(main, other))
    assert await scene.archive.stands_at(PLACES) == {PLACE: 0}
    desk.log = scene.log.identity
    entries = await scene.log.read(PLACE, 0, max_entries=3)
    kept = [replace(desk.arrive(desk.text()), event_id=one.event_id) for one in entries]
    await main.keep(kept[:2])
    await other.keep(kept[:1])
    assert await scene.archive.stands_at(PLACES) == {PLACE: 1}
    await main.keep([replace(kept[2], event_id="an entry that this log does not have")])
    with pytest.raises(LogChangedError):
        await scene.archive.stands_at(PLACES)


async def test_a_log_to_be_adopted_stops_its_partitions_and_goes_on_from_its_first_entry(scene: Scene) -> None:
    scene.desk.log = "another"
    await scene.store.keep([scene.desk.arrive(scene.desk.text())])
    await scene.send(3)
    await scene.log.trim(PLACE, 2)
    with pytest.raises(LogChangedError):
        await scene.archive.stands_at(PLACES)
    assert await scene.archive.mended(PLACES) == {}
    await scene.store.adopt(Adoption(tenant=TENANT, log=scene.log.identity, predecessor="another", starts={PLACE: 2}))
    assert await scene.archive.mended(PLACES) == {PLACE: 2}
    assert await scene.archive.stands_at(PLACES) == {PLACE: 2}
