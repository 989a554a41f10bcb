"""What the contract cannot ask of every log: rebalances, static members, and offsets that are not there.

Static members keep their place when they close: each test of theirs has a group of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from broker.core.errors import LogChangedError, LogUnavailableError, OwnershipLostError
from broker.core.topics import Stream, TopicPartition, TopicSpec
from broker.log.kafka import KafkaSubscription
from tests.contract.event_log_groups import pair
from tests.contract.event_log_kit import (
    SHORT_LEASE_SECONDS,
    insist,
    make_topic,
    many,
    member,
    next_offsets,
    places,
    rest,
    settle,
    take,
    values,
)
from tests.contract.event_log_positions import starting
from tests.kafka_logs import until_not

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.ports import LogEntry, Subscription
    from broker.log.kafka import KafkaLog
    from tests.kafka_logs import KafkaLogs
    from tests.kafka_servers import SharedKafka


async def is_there(log: KafkaLog, topic: str) -> bool:
    return topic in await log.topics()


async def delete_topic(kafka_server: SharedKafka, log: KafkaLog, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(kafka_server.bootstrap))
    await admin.start()
    try:
        await admin.delete_topics([topic])
        await until_not(lambda: is_there(log, topic))
    finally:
        await admin.close()


async def test_a_fetch_that_is_cancelled_at_any_moment_has_taken_nothing(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    subscription = await member(log, topic, partitions=1)
    appended, found = 0, list[str]()
    for turn in range(40):
        fetching = asyncio.create_task(subscription.fetch(max_entries=100, wait_seconds=5))
        await log.append(many(topic, 3, mark=f"{turn}-"))
        appended += 3
        for _ in range(turn):
            await asyncio.sleep(0)
        fetching.cancel()
        await asyncio.wait({fetching})
        if not fetching.cancelled():
            found += values(fetching.result())
    found += values(await take(subscription, appended - len(found)))
    assert found == [f"{turn}-{number}" for turn in range(40) for number in range(3)]


async def test_what_was_in_hand_of_a_lost_partition_comes_again_elsewhere_and_the_rest_goes_on(
    logs: KafkaLogs,
) -> None:
    log = await logs.open()
    topic = await make_topic(log)
    one = await member(log, topic)
    await log.append(many(topic, 80))
    in_hand = await take(one, 80)
    other = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    found = await settle([one, other], lambda: len(one.assignment) == len(other.assignment) == 2)
    found += await rest(one) + await rest(other)
    lost = [entry for entry in in_hand if entry.place in other.assignment]
    assert lost
    assert sorted(values(found)) == sorted(values(lost))
    kept = [entry for entry in in_hand if entry.place in one.assignment]
    await one.commit(next_offsets(kept))
    assert await log.committed("readers", [topic]) == next_offsets(kept)


async def test_a_commit_that_is_refused_brings_back_what_it_was_for(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log)
    one = await member(log, topic)
    await log.append(many(topic, 80))
    in_hand = await take(one, 80)
    other = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    await settle([other], lambda: len(other.assignment) == 2)
    with pytest.raises(OwnershipLostError):
        await one.commit(next_offsets(in_hand))
    kept = [entry for entry in in_hand if entry.place in one.assignment]
    assert sorted(values(await rest(one))) == sorted(values(kept))


async def test_a_member_that_was_away_unnoticed_takes_back_nothing_that_others_did_meanwhile(logs: KafkaLogs) -> None:
    away = await logs.open(lease_seconds=SHORT_LEASE_SECONDS)
    topic = await make_topic(away, partitions=1)
    place = TopicPartition(topic, 0)
    await away.append(many(topic, 40))
    former = await member(away, topic, partitions=1)
    await former.commit(next_offsets(await take(former, 10)))
    in_hand = await take(former, 5)
    logs.stall(away)
    heir = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    found = await settle([heir], lambda: heir.assignment == {place})
    found += await take(heir, 30 - len(found))
    await heir.commit(next_offsets(found))
    await heir.close()
    assert former.assignment == {place}  # it never saw that it lost anything
    assert isinstance(former, KafkaSubscription)
    seen = former._holdings.round

    async def has_not_rejoined() -> bool:
        return former._holdings.round < seen + 2

    logs.wire(away).revive()
    await until_not(has_not_rejoined)
    assert await rest(former) == []
    with pytest.raises(OwnershipLostError):
        await former.commit(next_offsets(in_hand))
    assert await away.committed("readers", [topic]) == {place: 40}
    await away.append(many(topic, 1, mark="later-"))
    assert values(await take(former, 1)) == ["later-0"]


async def test_a_member_that_was_away_unnoticed_moves_no_offset_back(logs: KafkaLogs) -> None:
    """Its place came back to it, and it has not looked yet where that stands now."""
    away = await logs.open(lease_seconds=SHORT_LEASE_SECONDS)
    topic = await make_topic(away, partitions=1)
    place = TopicPartition(topic, 0)
    await away.append(many(topic, 40))
    former = await member(away, topic, partitions=1)
    in_hand = await take(former, 5)
    logs.stall(away)
    heir = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    found = await settle([heir], lambda: heir.assignment == {place})
    found += await take(heir, 40 - len(found))
    await heir.commit(next_offsets(found))
    await heir.close()
    assert isinstance(former, KafkaSubscription)
    seen = former._holdings.round

    async def has_not_rejoined() -> bool:
        return former._holdings.round < seen + 2

    logs.wire(away).revive()
    await until_not(has_not_rejoined)
    with pytest.raises(OwnershipLostError):
        await former.commit(next_offsets(in_hand))
    assert await away.committed("readers", [topic]) == {place: 40}


async def test_a_commit_during_a_rebalance_waits_for_its_end(logs: KafkaLogs) -> None:
    """However it falls, what is committed is what was read, and nothing that others own."""
    log = await logs.open()
    topic = await make_topic(log)
    one = await member(log, topic)
    for number in range(6):
        await log.append(many(topic, 40, mark=f"{number}-"))
        batch = await take(one, 40)
        guest_log = await logs.open()
        joining = asyncio.create_task(guest_log.subscribe("readers", [Stream.MESSAGES]))
        await asyncio.sleep(0.02 * number)
        mine = next_offsets(batch)
        try:
            await one.commit(mine)
        except OwnershipLostError:
            pass
        else:
            assert (await log.committed("readers", [topic])).items() >= mine.items()
        await (await joining).close()
        await settle([one], lambda: one.assignment == places(topic))
        await rest(one)
        await one.commit(await _ends(log, topic))


async def _ends(log: KafkaLog, topic: str) -> Mapping[TopicPartition, int]:
    return {place: at.end for place, at in (await log.bounds([topic])).items()}


async def test_a_pause_outlasts_the_loss_and_return_of_its_partition(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log)
    one, other = await pair(logs, topic)
    theirs = other.assignment
    one.pause(places(topic))
    await log.append(many(topic, 40))
    await other.close()
    assert await settle([one], lambda: one.assignment == places(topic)) == []
    assert await rest(one) == []
    one.resume(theirs)
    assert {entry.place for entry in await rest(one)} <= theirs


async def test_a_reader_that_calls_nothing_for_long_loses_its_partitions(logs: KafkaLogs) -> None:
    log = await logs.open(idle_seconds=0.5)
    topic = await make_topic(log)
    await log.append(many(topic, 20))
    hanging = await member(log, topic)
    batch = await take(hanging, 20)
    heir = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    found = await settle([heir], lambda: heir.assignment == places(topic))
    with pytest.raises(OwnershipLostError):
        await hanging.commit(next_offsets(batch))
    found += await rest(heir)
    assert sorted(values(found)) == sorted(values(batch))
    await settle([hanging, heir], lambda: len(hanging.assignment) == 2)  # it comes back with its next fetch


async def test_a_reader_that_waits_for_entries_does_not_hang(logs: KafkaLogs) -> None:
    log = await logs.open(idle_seconds=0.2)
    topic = await make_topic(log)
    waiting = await member(log, topic)
    assert list(await waiting.fetch(max_entries=1, wait_seconds=1)) == []
    assert waiting.assignment == places(topic)


async def test_a_static_member_gets_its_partitions_back_after_a_restart_and_nobody_else_does(
    logs: KafkaLogs,
) -> None:
    log = await logs.open(instance="worker-1")
    await make_topic(log)
    first = await log.subscribe("restarted", [Stream.MESSAGES])
    neighbour = await (await logs.open(instance="worker-2")).subscribe("restarted", [Stream.MESSAGES])
    await settle([first, neighbour], lambda: len(first.assignment) == len(neighbour.assignment) == 2)
    mine, theirs, seen = first.assignment, neighbour.assignment, neighbour._holdings.round
    await log.close()
    again = await (await logs.open(instance="worker-1")).subscribe("restarted", [Stream.MESSAGES])
    await settle([again, neighbour], lambda: again.assignment == mine)
    assert neighbour.assignment == theirs
    assert neighbour._holdings.round == seen  # it never noticed


async def test_members_of_one_process_have_names_of_their_own(logs: KafkaLogs) -> None:
    log = await logs.open(instance="worker-1")
    topic = await make_topic(log)
    one, other = [await log.subscribe("siblings", [Stream.MESSAGES]) for _ in range(2)]
    await settle([one, other], lambda: len(one.assignment) == len(other.assignment) == 2)
    await log.append(many(topic, 40))
    assert len(await rest(one)) + len(await rest(other)) == 40


async def test_two_processes_of_one_name_lose_nothing(logs: KafkaLogs) -> None:
    """The later one takes over; the earlier one's commit moves nothing, and says what to look at."""
    log = await logs.open(instance="worker-1")
    topic = await make_topic(log)
    earlier = await member(log, topic, group="namesakes")
    await log.append(many(topic, 40))
    batch = await take(earlier, 40)
    logs.stall(log)  # or it would fight back
    later = await (await logs.open(instance="worker-1")).subscribe("namesakes", [Stream.MESSAGES])
    found = await settle([later], lambda: later.assignment == places(topic))
    with pytest.raises(OwnershipLostError, match=r"log\.instance"):
        await earlier.commit(next_offsets(batch))
    found += await rest(later)
    assert sorted(values(found)) == sorted(values(batch))


async def test_retention_that_passed_a_reader_leads_to_the_first_entry_left(logs: KafkaLogs) -> None:
    """Also where another process trimmed, and nothing of it was in hand."""
    log, operator = await logs.open(), await logs.open()
    topic = await make_topic(log, partitions=1)
    place = TopicPartition(topic, 0)
    await log.append(many(topic, 20))
    reader = await member(log, topic, partitions=1)
    await take(reader, 20)
    reader.pause(places(topic, 1))
    reader.seek(place, 5)
    await operator.trim(place, 12)
    reader.seek(place, 5)
    reader.resume(places(topic, 1))
    assert values(await take(reader, 8)) == [str(number) for number in range(12, 20)]


async def test_a_group_whose_offset_is_gone_starts_at_the_first_entry_left(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    await log.append(many(topic, 20))
    reader = await member(log, topic, partitions=1)
    await reader.commit({TopicPartition(topic, 0): 4})
    await reader.close()
    await log.trim(TopicPartition(topic, 0), 12)
    again = await log.subscribe("readers", [Stream.MESSAGES])
    assert values(await take(again, 8)) == [str(number) for number in range(12, 20)]


async def test_a_topic_made_anew_under_its_reader_is_begun_at_its_first_entry(
    logs: KafkaLogs, kafka_server: SharedKafka
) -> None:
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    await log.append(many(topic, 20))
    reader = await member(log, topic, partitions=1)
    await reader.commit(next_offsets(await take(reader, 20)))
    await _make_anew(kafka_server, log, topic)
    await insist(lambda: log.append(many(topic, 3)))
    assert values(await take(reader, 3)) == ["0", "1", "2"]


async def test_a_place_is_sought_again_when_the_assignment_is_gone_before_it_is_told(logs: KafkaLogs) -> None:
    """When topics come or go, aiokafka drops the assignment first and tells of it later."""
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    await log.append(many(topic, 20))
    reader = await member(log, topic, partitions=1)
    await take(reader, 20)
    assert isinstance(reader, KafkaSubscription)
    reader._membership.consumer._subscription.subscribe_from_pattern({topic})
    reader.seek(TopicPartition(topic, 0), 5)
    assert values(await take(reader, 15)) == [str(number) for number in range(5, 20)]


async def test_a_topic_made_anew_unnoticed_is_told_by_its_id(logs: KafkaLogs, kafka_server: SharedKafka) -> None:
    """Where the new topic has as many entries as were read of the old one, no broker and no offset tells."""
    log = await logs.open(metadata_seconds=3_600.0)
    topic = await make_topic(log, partitions=1)
    place = TopicPartition(topic, 0)
    asked: list[TopicPartition] = []
    await log.append(many(topic, 20))
    reader = await log.subscribe("readers", [Stream.MESSAGES], start_at=starting({}, asked))
    await reader.commit(next_offsets(await take(reader, 10)))  # the consumer has the rest in hand, and asks no broker
    assert not await reader._holdings.notice_new_topics()
    assert asked == [place]
    await _make_anew(kafka_server, log, topic)
    await insist(lambda: log.append(many(topic, 40, mark="new ")))
    assert await reader._holdings.notice_new_topics()
    assert values(await take(reader, 40)) == [f"new {number}" for number in range(40)]
    assert asked == [place, place]
    assert not await reader._holdings.notice_new_topics()


async def test_a_wish_past_the_end_is_named(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    await log.append(many(topic, 3))

    async def start_at(wanted: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(wanted, 4)

    reader = await log.subscribe("readers", [Stream.MESSAGES], start_at=start_at)
    assert list(reader._holdings.readable()) == []
    with pytest.raises(LogChangedError, match="ends at 3, before offset 4"):
        await _until_it_raises(reader)


async def test_what_start_at_raises_reaches_who_fetches_and_nothing_is_handed_out_before(logs: KafkaLogs) -> None:
    log = await logs.open()
    topic = await make_topic(log)
    await log.append(many(topic, 10))
    down = True

    async def start_at(wanted: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        if down:
            raise LogUnavailableError("the store's progress can't be read")
        return dict.fromkeys(wanted, 0)

    reader = await log.subscribe("readers", [Stream.MESSAGES], start_at=start_at)
    with pytest.raises(LogUnavailableError, match="progress"):
        await reader.fetch(max_entries=10, wait_seconds=1)
    assert reader.assignment == frozenset()
    down = False
    assert len(await take(reader, 10)) == 10


async def test_a_fetch_in_an_outage_says_so_and_goes_on_after_it(logs: KafkaLogs) -> None:
    log = await logs.open(request_seconds=2.0)
    topic = await make_topic(log)
    await log.append(many(topic, 20))
    reader = await member(log, topic)
    async with logs.outage():
        with pytest.raises(LogUnavailableError):
            await _until_it_raises(reader)
    found: list[str] = []
    while len(found) < 20:
        found += values(await insist(lambda: reader.fetch(max_entries=100, wait_seconds=1)))
    assert sorted(found, key=int) == [str(number) for number in range(20)]


async def test_one_fetch_brings_no_more_bytes_than_asked_for_and_loses_none(logs: KafkaLogs) -> None:
    log = await logs.open(fetch_bytes=10_000)
    topic = await make_topic(log, partitions=2)
    await log.append(many(topic, 60, mark="x" * 2000))
    reader = await member(log, topic, partitions=2)
    found: list[LogEntry] = []
    while len(found) < 60:
        batch = await reader.fetch(max_entries=500, wait_seconds=1)
        assert sum(len(entry.value) for entry in batch) <= 10_000
        found += batch
    assert len({(entry.place, entry.offset) for entry in found}) == len(found) == 60


async def test_closing_in_an_outage_ends(logs: KafkaLogs) -> None:
    log = await logs.open(request_seconds=2.0)
    topic = await make_topic(log)
    await member(log, topic)
    async with logs.outage():
        with pytest.raises(LogUnavailableError):
            await log.append(many(topic, 3))
        async with asyncio.timeout(30):
            await log.close()


async def _until_it_raises(reader: Subscription) -> Sequence[LogEntry]:
    async with asyncio.timeout(60):
        while True:
            await reader.fetch(max_entries=100, wait_seconds=0.1)


async def _make_anew(kafka_server: SharedKafka, log: KafkaLog, topic: str) -> None:
    await delete_topic(kafka_server, log, topic)
    await insist(lambda: log.create_topics([_spec(topic)]))


def _spec(topic: str) -> TopicSpec:
    return TopicSpec(name=topic, partitions=1, retention_seconds=None)
