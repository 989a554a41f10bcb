"""Appends of many callers: together in one transaction, and each whole or absent."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from broker.core.errors import LogUnavailableError, TooLargeError
from broker.core.ports import NewEntry
from broker.core.topics import TopicPartition, TopicSpec
from broker.log.postgres import PostgresLog
from broker.log.postgres.appending import FEW_ENTRIES
from tests.unit.broker.log.conftest import LAZY, OpenLog

if TYPE_CHECKING:
    import asyncpg

    from broker.core.metrics import CounterName, GaugeName

TOPIC = "custody.acme.messages.v1"


def new(value: bytes, key: bytes = b"k") -> NewEntry:
    return NewEntry(topic=TOPIC, key=key, headers=(), value=value)


async def make(log: PostgresLog) -> None:
    await log.create_topics([TopicSpec(name=TOPIC, partitions=1, retention_seconds=None)])


async def written(log: PostgresLog) -> list[bytes]:
    return [one.value for one in await log.read(TopicPartition(TOPIC, 0), 0, max_entries=100_000)]


@pytest.mark.parametrize("count", [2, FEW_ENTRIES, FEW_ENTRIES + 1, 500])
async def test_a_refused_append_leaves_nothing_and_does_not_fail_its_neighbours(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record], count: int
) -> None:
    log = await open_log()
    await make(log)
    await admin.execute("ALTER TABLE custody_log.entries ADD CHECK (value <> 'canary4711')")
    await log.append([new(b"first")])
    bad = [new(b"bad")] * (count - 1) + [new(b"canary4711")]
    good = [[new(b"%d-%d" % (caller, number)) for number in range(3)] for caller in range(4)]
    appends = [log.append(good[0]), log.append(bad), *map(log.append, good[1:])]
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(one) for one in results] == [type(None), LogUnavailableError, *[type(None)] * 3]
    assert "canary4711" not in str(results[1])
    await log.append([new(b"last")])
    assert await written(log) == [b"first", *(one.value for batch in good for one in batch), b"last"]
    assert (await log.bounds([TOPIC]))[TopicPartition(TOPIC, 0)].end == 14


async def test_waiting_callers_share_a_transaction(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    log = await open_log()
    await make(log)
    await log.append([new(b"0")])
    await asyncio.gather(*(log.append([new(b"%d" % number)]) for number in range(1, 300)))
    assert await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM custody_log.entries") < 30
    assert await written(log) == [b"%d" % number for number in range(300)]


@pytest.mark.parametrize(("entries", "size"), [(10, 2**20), (10_000, 1_000)])
async def test_a_group_is_bounded(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record], entries: int, size: int
) -> None:
    log = await open_log(replace(LAZY, group_entries=entries, group_bytes=size))
    await make(log)
    callers = [log.append([new(bytes(100))] * 4) for _ in range(10)]
    await asyncio.gather(log.append([new(bytes(100))] * 30), *callers)
    sizes = await admin.fetch("SELECT count(*) FROM custody_log.entries GROUP BY xmin::text ORDER BY 1 DESC")
    assert sizes[0][0] == 30
    assert all(count <= 8 for (count,) in sizes[1:])


async def test_an_append_over_the_bound_is_refused_and_one_below_it_is_whole(open_log: OpenLog) -> None:
    log = await open_log(replace(LAZY, append_bytes=100_000, group_bytes=1_000))
    await make(log)
    with pytest.raises(TooLargeError, match="100000 at once"):
        await log.append([new(bytes(50_000)), new(bytes(50_000))])
    await log.append([new(bytes(50_000)), new(bytes(40_000))])
    assert [len(one) for one in await written(log)] == [50_000, 40_000]


async def test_a_caller_that_gives_up_hurts_nobody(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log)
    appends = [asyncio.create_task(log.append([new(b"%d" % number)])) for number in range(20)]
    await asyncio.sleep(0)
    for one in appends[5:15]:
        one.cancel()
    results = await asyncio.gather(*appends, return_exceptions=True)
    kept = {b"%d" % number for number in (*range(5), *range(15, 20))}
    assert kept <= set(await written(log))
    assert sum(one is None for one in results) == 10


async def test_closing_writes_what_callers_wait_for(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log)
    await log.append([new(b"first")])
    waiting = asyncio.create_task(log.append([new(b"last")]))
    await asyncio.sleep(0)
    await log.close()
    await waiting
    with pytest.raises(LogUnavailableError):
        await log.append([new(b"late")])
    assert await written(await open_log()) == [b"first", b"last"]


async def test_a_lost_connection_is_replaced(open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    log = await open_log()
    await make(log)
    await log.append([new(b"before")])
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'custody-log' AND datname = current_database()"
    )
    with suppress(LogUnavailableError):  # whichever of the two notices first
        await log.append([new(b"maybe")])
    await log.append([new(b"after")])
    assert [one for one in await written(log) if one != b"maybe"] == [b"before", b"after"]


async def test_appends_are_counted_by_stream(database: str) -> None:
    counted: Counter[tuple[str, str]] = Counter()

    class Counting:
        def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
            counted[name, labels["stream"]] += amount

        def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
            raise NotImplementedError

    await PostgresLog.migrate(database)
    log = await PostgresLog.open(database, options=LAZY, metrics=Counting())
    await make(log)
    await log.append([new(b"a"), new(b"b")])
    await log.close()
    assert counted == {("custody.log.appended", "messages"): 2}
