"""What a subscription on Postgres does beyond the contract: hands over gently, reads fairly, wakes without polling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay

from broker.core.errors import (
    LogChangedError,
    LogUnavailableError,
    OwnershipLostError,
    RetryableError,
    StoreUnavailableError,
)
from broker.core.ports import NewEntry
from broker.core.topics import TopicPartition, TopicSpec
from broker.log.postgres import partition_of
from broker.log.postgres.connections import ENDS_OLD_TRANSACTIONS
from tests.unit.broker.log.conftest import LAZY, OpenLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import asyncpg

    from broker.core.ports import LogEntry
    from broker.log.postgres import PostgresLog, PostgresSubscription

TOPIC = "custody.acme.messages.v1"


def place(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


async def make(log: PostgresLog, partitions: int) -> None:
    await log.create_topics([TopicSpec(name=TOPIC, partitions=partitions, retention_seconds=None)])


async def fill(log: PostgresLog, *counts: int, size: int = 1) -> None:
    """So many entries in each partition."""
    keys: dict[int, bytes] = {}
    number = 0
    while len(keys) < len(counts):
        key = b"%d" % number
        keys.setdefault(partition_of(key, len(counts)), key)
        number += 1
    await log.append(
        [
            NewEntry(topic=TOPIC, key=keys[index], headers=(), value=bytes(size))
            for index, count in enumerate(counts)
            for _ in range(count)
        ]
    )


def ends(batch: Sequence[LogEntry]) -> Mapping[TopicPartition, int]:
    return {one.place: one.offset + 1 for one in batch}


async def until(condition: Callable[[], bool], *members: PostgresSubscription) -> list[LogEntry]:
    found: list[LogEntry] = []
    async with asyncio.timeout(60):
        while not condition():
            for one in members:
                found += await one.fetch(max_entries=100, wait_seconds=0.01)
    return found


async def test_a_newcomer_gets_a_partition_only_once_nothing_of_it_is_in_hand(open_log: OpenLog) -> None:
    log, second = await open_log(), await open_log()
    await make(log, 2)
    old = await log.subscribe("readers", ["messages"])
    await fill(log, 20, 20)
    batch = list(await old.fetch(max_entries=20, wait_seconds=5))
    newcomer = await second.subscribe("readers", ["messages"])
    for _ in range(3):
        batch += await old.fetch(max_entries=1, wait_seconds=0)
        assert await newcomer.fetch(max_entries=50, wait_seconds=0.01) == []
        assert newcomer.assignment == frozenset()
    assert len(old.assignment) == 2
    await old.commit(ends(batch))
    while not newcomer.assignment:
        batch += await old.fetch(max_entries=50, wait_seconds=0.01)
        theirs = list(await newcomer.fetch(max_entries=50, wait_seconds=0.01))
    assert old.assignment.isdisjoint(newcomer.assignment)
    theirs += await newcomer.fetch(max_entries=50, wait_seconds=0.1)
    batch += await old.fetch(max_entries=50, wait_seconds=0.1)
    everything = [(one.partition, one.offset) for one in [*batch, *theirs]]
    assert sorted(everything) == [(partition, offset) for partition in range(2) for offset in range(20)]


async def test_a_paused_partition_stays_when_a_newcomer_comes(open_log: OpenLog) -> None:
    log, second = await open_log(), await open_log()
    await make(log, 2)
    old = await log.subscribe("readers", ["messages"])
    old.pause(frozenset({place(0)}))
    newcomer = await second.subscribe("readers", ["messages"])
    await until(lambda: bool(newcomer.assignment), old, newcomer)
    assert old.assignment == {place(0)}
    assert newcomer.assignment == {place(1)}


async def test_an_idle_member_wakes_for_news_without_polling(open_log: OpenLog) -> None:
    log, second = await open_log(), await open_log()
    await make(log, 2)
    subscription = await log.subscribe("readers", ["messages"])
    await subscription.fetch(max_entries=1, wait_seconds=0)
    for _ in range(3):
        fetching = asyncio.create_task(subscription.fetch(max_entries=100, wait_seconds=600))
        await fill(second, 1, 1)
        async with asyncio.timeout(60):
            assert await fetching


async def test_a_waiting_member_takes_over_at_once_from_one_that_leaves(open_log: OpenLog) -> None:
    log, second = await open_log(), await open_log()
    await make(log, 1)
    leaving = await log.subscribe("readers", ["messages"])
    waiting = await second.subscribe("readers", ["messages"])
    await fill(log, 3)
    fetching = asyncio.create_task(waiting.fetch(max_entries=10, wait_seconds=600))
    await asyncio.sleep(0.1)
    await leaving.close()
    async with asyncio.timeout(60):
        assert len(await fetching) == 3


async def test_a_full_partition_does_not_hold_up_the_others(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 4)
    await fill(log, 500, 3, 500, 3)
    subscription = await log.subscribe("readers", ["messages"])
    batch = await subscription.fetch(max_entries=40, wait_seconds=5)
    counts = [sum(one.partition == number for one in batch) for number in range(4)]
    assert sum(counts) == 40
    assert (counts[1], counts[3]) == (3, 3)
    assert abs(counts[0] - counts[2]) <= 1


async def test_every_partition_has_its_turn_even_one_entry_at_a_time(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 4)
    await fill(log, 50, 50, 50, 50)
    subscription = await log.subscribe("readers", ["messages"])
    seen = [one.partition for _ in range(8) for one in await subscription.fetch(max_entries=1, wait_seconds=5)]
    assert sorted(seen) == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_a_fetch_is_bounded_in_bytes_but_never_empty(open_log: OpenLog) -> None:
    log = await open_log(replace(LAZY, fetch_bytes=2500))
    await make(log, 2)
    await fill(log, 10, 10, size=1000)
    subscription = await log.subscribe("readers", ["messages"])
    sizes: list[int] = []
    while sum(sizes) < 20:
        sizes.append(len(await subscription.fetch(max_entries=20, wait_seconds=5)))
        assert 1 <= sizes[-1] <= 3
    await fill(log, 1, 0, size=100_000)
    await fill(log, 0, 5, size=10)
    found: list[LogEntry] = []
    async with asyncio.timeout(60):
        while len(found) < 6:
            found += await subscription.fetch(max_entries=20, wait_seconds=5)
    assert sorted(len(one.value) for one in found) == [10] * 5 + [100_000]


async def test_who_comes_back_from_an_outage_does_not_drive_out_the_others(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """All leases run out during an outage; the first one back finds the others' over, and leaves them be."""
    log, second = await open_log(), await open_log()
    await make(log, 4)
    one, other = await log.subscribe("readers", ["messages"]), await second.subscribe("readers", ["messages"])
    await until(lambda: len(one.assignment) == len(other.assignment) == 2, one, other)
    before = one.assignment, other.assignment
    await admin.execute("UPDATE custody_log.members SET lease_until = now() - interval '1 hour'")
    for subscription in (one, other):
        subscription._lease_until = float("-inf")
    for subscription in (one, other, one, other):
        await subscription.fetch(max_entries=1, wait_seconds=0)
    assert (one.assignment, other.assignment) == before


async def test_a_reader_that_hangs_loses_its_partitions_though_its_process_lives(open_log: OpenLog) -> None:
    brisk = replace(LAZY, lease_seconds=1, idle_seconds=0.1)
    log, second = await open_log(brisk), await open_log(replace(LAZY, lease_seconds=1))
    await make(log, 1)
    hanging = await log.subscribe("readers", ["messages"])
    await fill(log, 3)
    batch = await hanging.fetch(max_entries=10, wait_seconds=5)
    heir = await second.subscribe("readers", ["messages"])
    found = await until(lambda: bool(heir.assignment), heir)
    found += await heir.fetch(max_entries=10, wait_seconds=0.1)
    assert len(found) == 3
    with pytest.raises(OwnershipLostError):
        await hanging.commit(ends(batch))


async def test_a_process_that_hangs_with_a_group_locked_is_waited_for_no_longer_than_a_transaction_may_take(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Between preparing a statement and running it: no other of the server's timeouts runs there."""
    if admin.get_server_version().major < ENDS_OLD_TRANSACTIONS:
        pytest.skip("this server can't tell how old a transaction is")
    brief = replace(LAZY, timeout_seconds=1)
    hanging, log = await open_log(brief), await open_log(brief)
    await make(log, 1)
    await (await hanging.subscribe("readers", ["messages"])).close()
    stuck = await hanging._connections.dedicate()
    await stuck.execute("BEGIN; SELECT FROM custody_log.groups FOR NO KEY UPDATE")
    await stuck.prepare("SELECT $1::integer")
    patiently = AsyncRetrying(
        retry=retry_if_exception_type(LogUnavailableError), stop=stop_after_delay(60), reraise=True
    )
    subscription: PostgresSubscription = await patiently(log.subscribe, "readers", ["messages"])
    assert subscription.assignment
    stuck.terminate()


async def test_what_is_owned_again_cannot_be_committed_to_by_an_old_batch(open_log: OpenLog) -> None:
    log, second = await open_log(replace(LAZY, lease_seconds=1)), await open_log(replace(LAZY, lease_seconds=1))
    await make(log, 1)
    await fill(log, 10)
    first = await log.subscribe("readers", ["messages"])
    old = await first.fetch(max_entries=4, wait_seconds=5)
    assert first._heartbeat is not None
    first._heartbeat.cancel()
    between = await second.subscribe("readers", ["messages"])
    await until(lambda: bool(between.assignment), between)
    await between.commit({place(0): 10})
    await between.close()
    await until(lambda: first._cursors != {} and all(one.position == 10 for one in first._cursors.values()), first)
    with pytest.raises(OwnershipLostError):
        await first.commit(ends(old))
    assert await log.committed("readers", [TOPIC]) == {place(0): 10}


async def test_a_commit_of_which_one_claim_was_lost_unnoticed_moves_nothing(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    log = await open_log()
    await make(log, 2)
    await fill(log, 5, 5)
    subscription = await log.subscribe("readers", ["messages"])
    batch = await subscription.fetch(max_entries=10, wait_seconds=5)
    await admin.execute(
        "UPDATE custody_log.claims SET owner = gen_random_uuid(), epoch = epoch + 1"
        " WHERE partition_id = (SELECT max(partition_id) FROM custody_log.claims)"
    )
    with pytest.raises(OwnershipLostError):
        await subscription.commit(ends(batch))
    assert await log.committed("readers", [TOPIC]) == {}
    await subscription.commit({place(0): 5})
    assert await log.committed("readers", [TOPIC]) == {place(0): 5}


async def test_a_start_beyond_the_end_means_that_the_log_lost_entries(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 1)
    await fill(log, 5)

    async def start_at(partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 6)

    subscription = await log.subscribe("readers", ["messages"], start_at=start_at)
    with pytest.raises(LogChangedError, match="ends at 5"):
        await subscription.fetch(max_entries=1, wait_seconds=0)


async def test_a_partition_that_lost_entries_is_named_and_the_others_go_on(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 2)
    await fill(log, 5, 5)

    async def start_at(partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {one: 6 if one == place(0) else 0 for one in partitions}

    subscription = await log.subscribe("readers", ["messages"], start_at=start_at)
    for _ in range(2):
        with pytest.raises(LogChangedError, match="ends at 5") as refusal:
            await subscription.fetch(max_entries=9, wait_seconds=0)
        assert refusal.value.places == {place(0)}
    subscription.pause(frozenset({place(0)}))
    assert ends(await subscription.fetch(max_entries=9, wait_seconds=5)) == {place(1): 5}
    assert subscription.assignment == {place(0), place(1)}
    subscription.seek(place(0), 3)
    subscription.resume(frozenset({place(0)}))
    assert ends(await subscription.fetch(max_entries=9, wait_seconds=5)) == {place(0): 5}


async def test_a_start_that_cannot_be_told_yet_is_asked_for_again(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 1)
    await fill(log, 5)
    answers: list[RetryableError | Mapping[TopicPartition, int]] = [StoreUnavailableError("down"), {place(0): 3}]

    async def start_at(_: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        answer = answers.pop(0)
        if isinstance(answer, RetryableError):
            raise answer
        return answer

    subscription = await log.subscribe("readers", ["messages"], start_at=start_at)
    with pytest.raises(StoreUnavailableError):
        await subscription.fetch(max_entries=9, wait_seconds=0)
    assert [one.offset for one in await subscription.fetch(max_entries=9, wait_seconds=5)] == [3, 4]


async def test_what_another_member_owns_now_can_be_paused_and_sought_without_harm(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 1)
    await fill(log, 2)
    subscription = await log.subscribe("readers", ["messages"])
    subscription.pause(frozenset({place(7)}))
    subscription.seek(place(7), 3)
    subscription.resume(frozenset({place(7)}))
    assert len(await subscription.fetch(max_entries=9, wait_seconds=5)) == 2


async def test_calls_that_make_no_sense_are_refused(open_log: OpenLog) -> None:
    log = await open_log()
    await make(log, 1)
    subscription = await log.subscribe("readers", ["messages"])
    with pytest.raises(ValueError, match="max_entries"):
        await subscription.fetch(max_entries=0, wait_seconds=0)
    with pytest.raises(ValueError, match="offset"):
        subscription.seek(place(0), -1)
