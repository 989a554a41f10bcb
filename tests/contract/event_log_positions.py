"""Positions: what a member is handed, and what a commit moves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from broker.core.topics import Stream, TopicPartition
from tests.contract.event_log_kit import (
    LogFactory,
    by_partition,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.ports import EventLog, StartAt, Subscription


def starting(offsets: Mapping[TopicPartition, int], asked: list[TopicPartition] | None = None) -> StartAt:
    """A `start_at` with these answers, noting what it was asked about."""

    async def start_at(partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        if asked is not None:
            asked.extend(sorted(partitions))
        await asyncio.sleep(0)
        return {place: offset for place, offset in offsets.items() if place in partitions}

    return start_at


async def first_of(log: EventLog, topic: str, start_at: StartAt) -> Mapping[TopicPartition, int]:
    """Where a member of `readers` begins in each partition; every partition has entries past that."""
    subscription = await log.subscribe("readers", [Stream.MESSAGES], start_at=start_at)
    found = await settle([subscription], lambda: subscription.assignment == places(topic, 2))
    found += await rest(subscription)
    return {place: entries[0].offset for place, entries in by_partition(found).items()}


class PositionCases:
    async def test_a_group_that_comes_late_gets_everything(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 60))
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        found = await take(subscription, 60)
        assert sorted(values(found), key=int) == [str(number) for number in range(60)]
        assert await rest(subscription) == []

    async def test_fetching_goes_on_without_a_commit(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 30))
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        first, second = await take(subscription, 12), await take(subscription, 18)
        assert sorted(values(first + second), key=int) == [str(number) for number in range(30)]
        assert await log.committed("readers", [topic]) == {}

    async def test_a_fetch_hands_out_no_more_than_asked_for(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 40))
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        sizes: list[int] = []
        while sum(sizes) < 40:
            sizes.append(len(await subscription.fetch(max_entries=3, wait_seconds=1)))
        assert max(sizes) <= 3

    async def test_a_waiting_fetch_wakes_for_an_append(self, logs: LogFactory) -> None:
        log, writer = await logs.open(), await logs.open()
        topic = await make_topic(log)
        subscription = await member(log, topic)
        fetching = asyncio.create_task(subscription.fetch(max_entries=10, wait_seconds=600))
        await writer.append(many(topic, 1))
        async with asyncio.timeout(60):
            assert values(await fetching) == ["0"]

    async def test_what_was_not_committed_comes_again_and_what_was_does_not(self, logs: LogFactory) -> None:
        log, successor = await logs.open(), await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 40))
        subscription = await member(log, topic)
        done = await take(subscription, 15)
        await subscription.commit(next_offsets(done))
        undone = await take(subscription, 25)
        await subscription.close()
        again = await successor.subscribe("readers", [Stream.MESSAGES])
        found = await take(again, 25)
        assert sorted(values(found)) == sorted(values(undone))
        assert await rest(again) == []

    async def test_a_commit_moves_only_the_partitions_it_is_given(self, logs: LogFactory) -> None:
        log, successor = await logs.open(), await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 80))
        subscription = await member(log, topic)
        batch = await take(subscription, 80)
        offsets = next_offsets(batch)
        assert len(offsets) > 1
        chosen = min(offsets)
        await subscription.commit({chosen: offsets[chosen]})
        assert await log.committed("readers", [topic]) == {chosen: offsets[chosen]}
        await subscription.close()
        again = await successor.subscribe("readers", [Stream.MESSAGES])
        expected = [one for one in batch if one.place != chosen]
        assert sorted(values(await take(again, len(expected)))) == sorted(values(expected))
        assert await rest(again) == []

    async def test_a_commit_may_stop_within_a_batch(self, logs: LogFactory) -> None:
        log, successor = await logs.open(), await logs.open()
        topic = await make_topic(log, partitions=1)
        await log.append(many(topic, 10))
        subscription = await member(log, topic, partitions=1)
        await take(subscription, 10)
        await subscription.commit({TopicPartition(topic, 0): 4})
        await subscription.commit({})
        await subscription.close()
        again = await successor.subscribe("readers", [Stream.MESSAGES])
        assert values(await take(again, 6)) == ["4", "5", "6", "7", "8", "9"]

    async def test_groups_do_not_move_each_other(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 20))
        one, other = await member(log, topic, group="one"), await member(log, topic, group="other")
        offsets = next_offsets(await take(one, 20))
        await one.commit(offsets)
        assert len(await take(other, 20)) == 20
        assert await log.committed("one", [topic]) == offsets
        assert await log.committed("other", [topic]) == {}
        assert await log.committed("nobody", [topic]) == {}

    async def test_a_member_reads_its_streams_of_every_tenant_and_no_others(self, logs: LogFactory) -> None:
        log = await logs.open()
        wanted = [
            await make_topic(log, tenant="acme", stream=Stream.MESSAGES, partitions=2),
            await make_topic(log, tenant="acme", stream=Stream.STATUSES, partitions=2),
            await make_topic(log, tenant="beta", stream=Stream.MESSAGES, partitions=2),
        ]
        unwanted = await make_topic(log, tenant="acme", stream=Stream.KEPT, partitions=2)
        await log.append([one for topic in [*wanted, unwanted] for one in many(topic, 10)])
        subscription = await log.subscribe("readers", [Stream.MESSAGES, Stream.STATUSES])
        found = await take(subscription, 30)
        assert {one.topic for one in found} == set(wanted)
        assert await rest(subscription) == []

    async def test_a_paused_partition_is_not_fetched_until_resumed(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        subscription = await member(log, topic)
        held = frozenset({TopicPartition(topic, 1), TopicPartition(topic, 2)})
        subscription.pause(held)
        await log.append(many(topic, 80))
        found = await rest(subscription)
        assert found
        assert {one.place for one in found}.isdisjoint(held)
        assert subscription.assignment == places(topic)
        subscription.resume(frozenset({TopicPartition(topic, 1)}))
        later = await rest(subscription)
        assert {one.place for one in later} == {TopicPartition(topic, 1)}
        subscription.resume(held)
        found += later + await take(subscription, 80 - len(found) - len(later))
        assert sorted(values(found), key=int) == [str(number) for number in range(80)]

    async def test_a_partition_paused_half_way_goes_on_where_it_was(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        subscription = await member(log, topic, partitions=1)
        await log.append(many(topic, 10))
        first = await take(subscription, 4)
        subscription.pause(places(topic, 1))
        assert await rest(subscription) == []
        subscription.resume(places(topic, 1))
        assert values(first + await take(subscription, 6)) == [str(number) for number in range(10)]

    async def test_a_pause_outlasts_a_change_in_what_is_owned(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        subscription = await member(log, topic)
        subscription.pause(places(topic))
        await log.append(many(topic, 20))
        other = await make_topic(log, tenant="beta")
        found = await settle([subscription], lambda: subscription.assignment == places(topic) | places(other))
        assert found == []
        await log.append(many(other, 20))
        assert {one.topic for one in await take(subscription, 20)} == {other}
        assert await rest(subscription) == []
        subscription.resume(places(topic))
        assert {one.topic for one in await take(subscription, 20)} == {topic}

    async def test_seeking_goes_back_and_forth(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        place = TopicPartition(topic, 0)
        await log.append(many(topic, 10))
        subscription = await member(log, topic, partitions=1)
        await take(subscription, 10)
        subscription.seek(place, 7)
        assert values(await take(subscription, 3)) == ["7", "8", "9"]
        subscription.seek(place, 2)
        assert values(await take(subscription, 2)) == ["2", "3"]
        subscription.seek(place, 9)
        assert values(await rest(subscription)) == ["9"]
        assert await log.committed("readers", [topic]) == {}

    @pytest.mark.parametrize("own", [0, 3, 5, 6])
    async def test_a_member_starts_at_the_lower_of_its_own_wish_and_the_commit(
        self, logs: LogFactory, own: int
    ) -> None:
        log, successor = await logs.open(), await logs.open()
        topic = await make_topic(log, partitions=2)
        await log.append(many(topic, 60))
        before: Subscription = await member(log, topic, partitions=2)
        await before.commit(dict.fromkeys(places(topic, 2), 5))
        await before.close()
        wished = TopicPartition(topic, 1)
        found = await first_of(successor, topic, starting({wished: own}))
        assert found == {TopicPartition(topic, 0): 5, wished: min(own, 5)}

    async def test_without_a_commit_a_member_starts_at_its_own_wish(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=2)
        await log.append(many(topic, 60))
        found = await first_of(log, topic, starting({TopicPartition(topic, 1): 8}))
        assert found == {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 8}
