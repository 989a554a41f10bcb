"""A slow transaction: an append that has its offset and is not committed must not be passed over by any reader."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import asyncpg
import pytest

from broker.core.ports import NewEntry
from broker.core.topics import TopicPartition, TopicSpec
from broker.log.postgres import PostgresLog, PostgresLogOptions, partition_of
from broker.log.postgres.appending import FEW_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import LogEntry
    from broker.log.postgres import PostgresSubscription

TOPIC = "custody.acme.messages.v1"
OPTIONS = PostgresLogOptions(allow_unsafe_server=True, poll_seconds=0.05)
GATE = 4711
SLOW = b"slow"

HOLD_SLOW_ENTRIES = f"""
CREATE FUNCTION custody_log.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({GATE});
    RETURN new;
END $$;
CREATE TRIGGER hold BEFORE INSERT ON custody_log.entries FOR EACH ROW
    WHEN (new.value = 'slow') EXECUTE FUNCTION custody_log.hold();
"""


def key_in(partition: int) -> bytes:
    return next(key for number in range(1000) if partition_of(key := b"%d" % number, 2) == partition)


def entries(partition: int, value: bytes, count: int = 1) -> list[NewEntry]:
    return [NewEntry(topic=TOPIC, key=key_in(partition), headers=(), value=value)] * count


async def waiting_for_locks(admin: asyncpg.Connection[asyncpg.Record], count: int) -> None:
    """Returns once so many appends of this database wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'custody-log' AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(60):
        while await admin.fetchval(query) < count:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def blocked_or_done(append: asyncio.Task[None], admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """Returns once a second append waits for the first, or, where it wrongly need not, is through."""
    waiting = asyncio.create_task(waiting_for_locks(admin, 2))
    await asyncio.wait([append, waiting], return_when="FIRST_COMPLETED")
    waiting.cancel()
    await asyncio.wait([waiting])


async def some_rounds(subscription: PostgresSubscription) -> list[LogEntry]:
    return [one for _ in range(5) for one in await subscription.fetch(max_entries=100, wait_seconds=0.05)]


async def all_of(subscription: PostgresSubscription, count: int, found: Sequence[LogEntry]) -> list[LogEntry]:
    taken = list(found)
    async with asyncio.timeout(60):
        while len(taken) < count:
            taken += await subscription.fetch(max_entries=100, wait_seconds=0.1)
    return taken


@pytest.mark.parametrize("slow_count", [1, FEW_ENTRIES + 1], ids=["one statement", "copy"])
@pytest.mark.parametrize("later_count", [1, FEW_ENTRIES + 1], ids=["one statement", "copy"])
async def test_no_reader_passes_an_append_that_is_not_committed_yet(
    database: str, fault_seed: int, slow_count: int, later_count: int
) -> None:
    chance = random.Random(fault_seed)
    await PostgresLog.migrate(database)
    logs = [await PostgresLog.open(database, options=OPTIONS) for _ in range(4)]
    slow, later, elsewhere, reading = logs
    await slow.create_topics([TopicSpec(name=TOPIC, partitions=2, retention_seconds=None)])
    reader = await reading.subscribe("readers", ["messages"])
    await slow.append(entries(0, b"first", chance.randint(1, 5)))
    before = (await slow.bounds([TOPIC]))[TopicPartition(TOPIC, 0)].end

    admin = await asyncpg.connect(database)
    await admin.execute(HOLD_SLOW_ENTRIES)
    await admin.execute(f"SELECT pg_advisory_lock({GATE})")
    held = asyncio.create_task(slow.append(entries(0, SLOW, slow_count)))
    await waiting_for_locks(admin, 1)
    behind = asyncio.create_task(later.append(entries(0, b"later", later_count)))
    await blocked_or_done(behind, admin)
    await elsewhere.append(entries(1, b"elsewhere", 3))  # other partitions go on

    found = await some_rounds(reader)
    assert [one.offset for one in found if one.partition == 0] == list(range(before)), "an offset was passed over"
    await reader.commit({one.place: one.offset + 1 for one in found})
    await admin.execute(f"SELECT pg_advisory_unlock({GATE})")
    await asyncio.gather(held, behind)
    found = await all_of(reader, before + 3 + slow_count + later_count, found)

    mine = [one for one in found if one.partition == 0]
    assert [one.offset for one in mine] == list(range(len(mine)))
    assert [one.value for one in mine[before:]] == [SLOW] * slow_count + [b"later"] * later_count
    assert [one.value for one in found if one.partition == 1] == [b"elsewhere"] * 3
    for log in logs:
        await log.close()
    await admin.close()
