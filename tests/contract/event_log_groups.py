"""Groups: members share partitions, take over from each other, and can't move what they lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from broker.core.errors import OwnershipLostError
from broker.core.topics import Stream
from tests.contract.event_log_kit import (
    PATIENCE_SECONDS,
    SHORT_LEASE_SECONDS,
    LogFactory,
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.core.ports import LogEntry, Subscription
    from broker.core.topics import TopicPartition


def sharing(topic: str, *members: Subscription) -> Callable[[], bool]:
    """Whether these members own every partition of four, each one once and as evenly as can be."""

    def settled() -> bool:
        owned = [one for subscription in members for one in subscription.assignment]
        sizes = [len(subscription.assignment) for subscription in members]
        return sorted(owned) == sorted(places(topic)) and max(sizes) - min(sizes) <= 1

    return settled


async def pair(logs: LogFactory, topic: str) -> tuple[Subscription, Subscription]:
    """Two members on two clients, two partitions each."""
    one = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    other = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
    await settle([one, other], sharing(topic, one, other))
    return one, other


async def keep_alive(subscription: Subscription) -> None:
    """Says all the time that its reader waits."""
    while True:
        subscription.keep_alive()
        await asyncio.sleep(0.02)


class GroupCases:
    async def test_who_reads_what_is_told(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        assert await log.members("readers") == {}
        one, other = await pair(logs, topic)
        found = await log.members("readers")
        assert found.keys() == places(topic)
        by_name = {name: {place for place, of in found.items() if of == name} for name in set(found.values())}
        assert sorted(map(sorted, by_name.values())) == sorted(map(sorted, (one.assignment, other.assignment)))
        assert await log.members("nobody") == {}
        await other.close()
        await settle([one], sharing(topic, one))
        assert len(set((await log.members("readers")).values())) == 1

    async def test_members_share_evenly_and_read_everything_once(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        one, other = await pair(logs, topic)
        found: list[LogEntry] = []
        for number in range(5):
            await log.append(many(topic, 40, mark=f"{number}-"))
            found += await take(one, 1) + await take(other, 1)
        found += await rest(one) + await rest(other)
        assert sorted(values(found)) == sorted(f"{number}-{n}" for number in range(5) for n in range(40))
        assert sharing(topic, one, other)()

    async def test_members_beyond_the_partitions_own_nothing_and_stand_by(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        working = await member(log, topic, partitions=1)
        spare = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
        await settle([working, spare], lambda: len(working.assignment) + len(spare.assignment) == 1)
        await log.append(many(topic, 3))
        found = values(await rest(working) + await rest(spare))
        assert found == ["0", "1", "2"]

    async def test_others_take_over_at_once_when_a_member_closes(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        one, other = await pair(logs, topic)
        await log.append(many(topic, 80))
        done, undone = await take(one, 1), await rest(other)
        await one.commit(next_offsets(done))
        await other.close()
        assert other.assignment == frozenset()
        found = await settle([one], lambda: one.assignment == places(topic))
        found += await rest(one)
        assert sorted(values(done + found)) == sorted(str(number) for number in range(80))
        assert set(values(undone)) <= set(values(found))

    async def test_others_take_over_when_a_member_dies(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 80))
        dying = await logs.open(lease_seconds=SHORT_LEASE_SECONDS)
        victim = await member(dying, topic)
        done = await take(victim, 30)
        await victim.commit(next_offsets(done))
        await take(victim, 20)
        logs.stall(dying)
        heir = await (await logs.open(lease_seconds=SHORT_LEASE_SECONDS)).subscribe("readers", [Stream.MESSAGES])
        found = await settle([heir], lambda: heir.assignment == places(topic))
        found += await rest(heir)
        assert sorted(values(done + found), key=int) == [str(number) for number in range(80)]

    async def test_a_reader_that_waits_and_says_so_is_not_taken_for_hanging(self, logs: LogFactory) -> None:
        log = await logs.open(lease_seconds=SHORT_LEASE_SECONDS, idle_seconds=1.0)
        topic = await make_topic(log)
        await log.append(many(topic, 20))
        waiting = await member(log, topic, group="waiting")
        in_hand = await take(waiting, 20)
        signs = asyncio.create_task(keep_alive(waiting))
        for group in ("hanging", "hanging-later"):  # by then whoever said nothing has been found out, too
            await member(log, topic, group=group)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await log.members(group):  # noqa: ASYNC110 - the group tells nobody
                    await asyncio.sleep(0.02)
        assert (await log.members("waiting")).keys() == places(topic)
        signs.cancel()
        await waiting.commit(next_offsets(in_hand))
        assert waiting.assignment == places(topic)

    async def test_a_late_commit_of_a_former_owner_moves_nothing(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 80))
        hanging = await logs.open(lease_seconds=SHORT_LEASE_SECONDS)
        former = await member(hanging, topic)
        batch = await take(former, 80)
        logs.stall(hanging)
        heir = await (await logs.open(lease_seconds=SHORT_LEASE_SECONDS)).subscribe("readers", [Stream.MESSAGES])
        found = await settle([heir], lambda: heir.assignment == places(topic))
        with pytest.raises(OwnershipLostError):
            await former.commit(next_offsets(batch))
        assert await log.committed("readers", [topic]) == {}
        found += await rest(heir)
        assert sorted(values(found)) == sorted(values(batch))
        await heir.commit(next_offsets(found))
        assert await log.committed("readers", [topic]) == next_offsets(found)

    async def test_a_commit_that_holds_one_lost_partition_moves_none(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        one, other = await pair(logs, topic)
        await log.append(many(topic, 80))
        mine, theirs = next_offsets(await rest(one)), next_offsets(await rest(other))
        with pytest.raises(OwnershipLostError):
            await one.commit({**mine, min(theirs): 1})
        assert await log.committed("readers", [topic]) == {}
        await one.commit(mine)
        assert await log.committed("readers", [topic]) == mine

    async def test_a_closed_member_can_commit_nothing(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 10))
        subscription = await member(log, topic)
        batch = await take(subscription, 10)
        await subscription.close()
        with pytest.raises(OwnershipLostError):
            await subscription.commit(next_offsets(batch))
        await subscription.close()
        assert await log.committed("readers", [topic]) == {}

    async def test_closing_ends_a_waiting_fetch(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        subscription = await member(log, topic)
        fetching = asyncio.create_task(subscription.fetch(max_entries=10, wait_seconds=600))
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await subscription.close()
            assert list(await fetching) == []

    async def test_topics_made_later_are_noticed_and_asked_about(self, logs: LogFactory) -> None:
        log, operator = await logs.open(), await logs.open()
        topic = await make_topic(log)
        asked: list[TopicPartition] = []
        subscription = await log.subscribe("readers", [Stream.MESSAGES], start_at=starting({}, asked))
        await settle([subscription], lambda: subscription.assignment == places(topic) and bool(asked))
        later = await make_topic(operator, tenant="beta", partitions=2)
        await operator.append(many(later, 20))
        assert {one.topic for one in await take(subscription, 20)} == {later}
        assert subscription.assignment == places(topic) | places(later, 2)
        assert sorted(asked) == sorted(places(topic) | places(later, 2))

    async def test_members_come_and_go_and_nothing_is_passed_over(self, logs: LogFactory) -> None:
        """Ids in are ids out: what is committed by someone, and what is left for the last one, are all there is."""
        log = await logs.open()
        topic = await make_topic(log)
        handled: list[str] = []

        async def work(subscription: Subscription, rounds: int) -> None:
            for _ in range(rounds):
                batch = await subscription.fetch(max_entries=7, wait_seconds=0.05)
                await asyncio.sleep(0)
                try:
                    await subscription.commit(next_offsets(batch))
                except OwnershipLostError:
                    continue
                handled.extend(values(batch))

        stay = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
        for number in range(4):
            guest = await (await logs.open()).subscribe("readers", [Stream.MESSAGES])
            await log.append(many(topic, 60, mark=f"{number}-"))
            await asyncio.gather(work(stay, 6), work(guest, 4 + number))
            await guest.close()
        while len(set(handled)) < 240:
            await work(stay, 1)
        assert set(handled) == {f"{number}-{n}" for number in range(4) for n in range(60)}
        bounds = await log.bounds([topic])
        assert await log.committed("readers", [topic]) == {place: at.end for place, at in bounds.items() if at.end}
