"""Entries go by age or below an offset, a few at a time, and nothing else goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from broker.core.ports import Bounds, NewEntry
from broker.core.topics import TopicPartition, TopicSpec
from tests.unit.broker.log.conftest import LAZY, OpenLog

if TYPE_CHECKING:
    import asyncpg

    from broker.log.postgres import PostgresLog

SHORT, LONG, FOREVER = "custody.acme.messages.v1", "custody.acme.statuses.v1", "custody.acme.dead.v1"
TOPICS = [
    TopicSpec(name=SHORT, partitions=1, retention_seconds=3600),
    TopicSpec(name=LONG, partitions=1, retention_seconds=7200),
    TopicSpec(name=FOREVER, partitions=1, retention_seconds=None),
]


async def fill(log: PostgresLog, count: int) -> None:
    await log.append(
        [
            NewEntry(topic=spec.name, key=b"k", headers=(), value=b"%d" % number)
            for spec in TOPICS
            for number in range(count)
        ]
    )


async def bounds(log: PostgresLog) -> list[tuple[int, int]]:
    found = await log.bounds([spec.name for spec in TOPICS])
    return [(found[TopicPartition(spec.name, 0)].first, found[TopicPartition(spec.name, 0)].end) for spec in TOPICS]


async def test_entries_past_their_retention_go_and_the_others_stay(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    log = await open_log(replace(LAZY, trim_entries=3))
    await log.create_topics(TOPICS)
    await fill(log, 10)
    await admin.execute("UPDATE custody_log.entries SET appended_at = now() - interval '90 minutes'")
    await fill(log, 2)
    now = datetime.now(UTC)
    assert await log.expire(now, floors={}) == 10
    assert await bounds(log) == [(10, 12), (0, 12), (0, 12)]
    assert await log.expire(now, floors={}) == 0
    assert await log.expire(now + timedelta(hours=1.9), floors={}) == 12
    assert await bounds(log) == [(12, 12), (10, 12), (0, 12)]
    assert await log.expire(now + timedelta(days=9), floors={}) == 2
    assert await bounds(log) == [(12, 12), (12, 12), (0, 12)]
    assert await admin.fetchval("SELECT count(*) FROM custody_log.entries") == 12
    await fill(log, 1)
    assert (await log.read(TopicPartition(SHORT, 0), 0, max_entries=9))[0].offset == 12


async def test_expiring_is_by_age_even_before_a_group_has_read(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics(TOPICS)
    subscription = await log.subscribe("readers", ["messages"])
    await fill(log, 5)
    await log.expire(datetime.now(UTC) + timedelta(hours=1.5), floors={})
    await fill(log, 2)
    assert [one.offset for one in await subscription.fetch(max_entries=9, wait_seconds=5)] == [5, 6]


async def test_trimming_takes_many_small_steps(open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    log = await open_log(replace(LAZY, trim_entries=7))
    await log.create_topics(TOPICS)
    await fill(log, 100)
    await log.trim(TopicPartition(SHORT, 0), 64)
    assert await log.bounds([SHORT]) == {TopicPartition(SHORT, 0): Bounds(first=64, end=100)}
    assert await admin.fetchval("SELECT count(*) FROM custody_log.entries") == 236


async def test_a_topic_takes_the_retention_it_is_asked_to_have(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    log = await open_log()
    await log.create_topics(TOPICS)
    assert await log.create_topics([replace(TOPICS[0], retention_seconds=60, partitions=9)]) == []
    row = await admin.fetchrow("SELECT * FROM custody_log.topics WHERE name = $1", SHORT)
    assert row is not None
    assert (row["retention_seconds"], row["partition_count"]) == (60, 1)


async def test_trimming_what_is_not_there_does_nothing(open_log: OpenLog) -> None:
    log = await open_log()
    await log.trim(TopicPartition(SHORT, 0), 5)
    assert await log.topics() == []


async def test_what_a_reader_has_not_come_to_stays_however_old(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics(TOPICS)
    await fill(log, 5)
    late = datetime.now(UTC) + timedelta(hours=1.5)
    assert await log.expire(late, floors={TopicPartition(SHORT, 0): 2}) == 2
    assert (await bounds(log))[0] == (2, 5)
