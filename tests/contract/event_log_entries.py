"""Entries: written durably and in order, read back as they were."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from broker.core.errors import FatalError, LogUnavailableError, TooLargeError
from broker.core.ports import Bounds, NewEntry
from broker.core.topics import Stream, TopicPartition, TopicSpec, tenant_topics
from broker.core.values import replace
from tests.contract.event_log_kit import (
    LogFactory,
    by_partition,
    entry,
    insist,
    make_topic,
    many,
    member,
    next_offsets,
    take,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import EventLog, LogEntry


async def everything(log: EventLog, topic: str) -> list[LogEntry]:
    """All entries of a topic, outside any group."""
    bounds = await log.bounds([topic])
    return [
        one for place, at in bounds.items() for one in await log.read(place, at.first, max_entries=at.end - at.first)
    ]


def orders(entries: Sequence[LogEntry]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for one in entries:
        found.setdefault(one.key, []).append(one.value)
    return found


class EntryCases:
    async def test_what_was_appended_is_there_for_another_client(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 50))
        await log.close()
        again = await logs.open()
        assert sorted(values(await everything(again, topic)), key=int) == [str(number) for number in range(50)]

    async def test_an_empty_append_writes_nothing(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append([])
        assert await everything(log, topic) == []

    @pytest.mark.parametrize("batch", [1, 10, 700])
    async def test_entries_of_a_key_stay_in_order(self, logs: LogFactory, batch: int) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        entries = many(topic, max(batch, 40))
        for start in range(0, len(entries), batch):
            await log.append(entries[start : start + batch])
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        found = orders(await take(subscription, len(entries)))
        assert found == {key: [one.value for one in entries if one.key == key] for key in {one.key for one in entries}}

    async def test_a_key_has_one_partition_and_keys_spread_over_all(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        await log.append(many(topic, 400, keys=100))
        await log.append(many(topic, 100, keys=100))
        found = await everything(log, topic)
        partitions = {one.key: one.partition for one in found}
        assert all(one.partition == partitions[one.key] for one in found)
        assert set(partitions.values()) == {0, 1, 2, 3}

    async def test_offsets_begin_at_zero_and_have_no_holes(self, logs: LogFactory) -> None:
        log, other = await logs.open(), await logs.open()
        topic = await make_topic(log)
        await asyncio.gather(
            *(client.append(many(topic, 7, mark=f"{n}-")) for n in range(40) for client in (log, other))
        )
        found = by_partition(await everything(log, topic))
        assert sum(map(len, found.values())) == 7 * 40 * 2
        for entries in found.values():
            assert [one.offset for one in entries] == list(range(len(entries)))

    async def test_bytes_come_back_as_they_were(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        odd = b"\x00\xff\xfe\xed\xa0\x80\x00'\"\\"
        headers = (("ce_id", odd), ("ce_id", b""), ("käse", b"\x00"), ("content-type", b"application/json"))
        new = NewEntry(topic=topic, key=odd, headers=headers, value=odd * 3)
        await log.append([new, entry(topic, "empty", b"")])
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        found = {one.key: one for one in await take(subscription, 2)}
        assert (found[odd].headers, found[odd].value) == (headers, odd * 3)
        assert found[b"empty"].value == b""

    async def test_a_large_value_comes_back_whole(self, logs: LogFactory, seed: int) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        large = seed.to_bytes(8) * (logs.largest_value_bytes // 8)
        await log.append([entry(topic, "large", large), entry(topic, "small", b"after")])
        subscription = await log.subscribe("readers", [Stream.MESSAGES])
        found = {one.key: one.value for one in await take(subscription, 2)}
        assert found == {b"large": large, b"small": b"after"}

    async def test_an_entry_over_the_limit_is_refused_and_nothing_is_written(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        over = entry(topic, "over", bytes(log.entry_bytes + 1))
        with pytest.raises(TooLargeError):
            await log.append([entry(topic, "small", "1"), over, entry(topic, "small", "2")])
        assert await everything(log, topic) == []

    async def test_key_and_headers_count_against_the_limit(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        third = bytes(log.entry_bytes // 3 + 1)
        over = NewEntry(topic=topic, key=b"over", headers=(("ce_id", third), ("ce_source", third)), value=third)
        with pytest.raises(TooLargeError):
            await log.append([over])
        assert await everything(log, topic) == []

    async def test_an_entry_just_within_the_limit_is_taken(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        empty = entry(topic, "large", b"")
        large = replace(empty, value=bytes(log.entry_bytes - empty.size))
        await log.append([large])
        (found,) = await everything(log, topic)
        assert (found.key, found.value) == (large.key, large.value)

    async def test_appended_at_is_aware_and_never_goes_back(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        for _ in range(5):
            await log.append(many(topic, 3))
        times = [one.appended_at for one in await everything(log, topic)]
        assert all(one.tzinfo is not None and one.utcoffset() == UTC.utcoffset(None) for one in times)
        assert times == sorted(times)

    async def test_a_topic_that_nobody_made_is_refused_and_nothing_is_written(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        batch = [entry(topic, "a", "1"), entry("custody.nobody.messages.v1", "a", "2")]
        with pytest.raises(FatalError, match="custody init") as caught:
            await log.append(batch)
        assert caught.value.code == "unknown_topic"
        assert "custody.nobody.messages.v1" in str(caught.value)
        assert await everything(log, topic) == []
        assert list(await log.topics()) == [topic]

    async def test_topics_are_made_once_and_keep_their_partitions(self, logs: LogFactory) -> None:
        log = await logs.open()
        specs = tenant_topics("acme", partitions=3, retention_days=7)
        names = sorted(spec.name for spec in specs)
        assert sorted(await log.create_topics(specs)) == names
        assert list(await log.create_topics(tenant_topics("acme", partitions=2, retention_days=1))) == []
        assert sorted(await log.topics()) == names
        assert len(await log.bounds(names)) == 3 * len(names)

    async def test_bounds_and_read_know_what_is_there(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        place = TopicPartition(topic, 0)
        assert await log.bounds([topic, "custody.nobody.messages.v1"]) == {place: Bounds(first=0, end=0)}
        await log.append(many(topic, 10))
        assert await log.bounds([topic]) == {place: Bounds(first=0, end=10)}
        assert [one.offset for one in await log.read(place, 7, max_entries=2)] == [7, 8]
        assert list(await log.read(place, 10, max_entries=5)) == []
        assert (await log.read(place, 9, max_entries=5))[0].place == place

    async def test_trimmed_entries_are_gone_and_readers_go_on_at_the_first(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        await log.append(many(topic, 20))
        reader = await member(log, topic, partitions=1)
        assert values(await take(reader, 5)) == ["0", "1", "2", "3", "4"]
        place = TopicPartition(topic, 0)
        await log.trim(place, 12)
        assert await log.bounds([topic]) == {place: Bounds(first=12, end=20)}
        assert values(await take(reader, 8, max_entries=3)) == [str(number) for number in range(12, 20)]
        assert (await log.read(place, 12, max_entries=1))[0].offset == 12
        await log.append(many(topic, 1))
        assert (await log.bounds([topic]))[place].end == 21

    async def test_trimming_goes_neither_back_nor_past_the_end(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log, partitions=1)
        place = TopicPartition(topic, 0)
        await log.append(many(topic, 3))
        await log.trim(place, 3)
        await log.trim(place, 1)
        assert await log.bounds([topic]) == {place: Bounds(first=3, end=3)}

    async def test_expiring_takes_nothing_that_is_younger_than_its_retention(self, logs: LogFactory) -> None:
        log = await logs.open()
        specs = tenant_topics("acme", partitions=1, retention_days=7)
        await log.create_topics(specs)
        await log.append([entry(spec.name, "key", "1") for spec in specs])
        assert await log.expire(datetime.now(UTC) + timedelta(days=6), floors={}) == 0
        assert set((await log.bounds([spec.name for spec in specs])).values()) == {Bounds(first=0, end=1)}

    async def test_two_clients_see_one_identity(self, logs: LogFactory) -> None:
        log, other = await logs.open(), await logs.open()
        assert log.identity == other.identity != ""
        await log.ping()

    async def test_an_outage_is_named_and_passes(self, logs: LogFactory) -> None:
        log = await logs.open()
        topic = await make_topic(log)
        reader = await member(log, topic)
        await log.append(many(topic, 20, mark="before-"))
        taken = await take(reader, 20)
        async with logs.outage():
            for refused in (log.append(many(topic, 5)), log.ping(), reader.commit(next_offsets(taken))):
                with pytest.raises(LogUnavailableError):
                    await refused
            with pytest.raises(LogUnavailableError):
                await logs.open()
        await insist(lambda: log.append(many(topic, 5, mark="after-")))
        await insist(lambda: reader.commit(next_offsets(taken)))
        found: list[str] = []
        while sum(one.startswith("after-") for one in found) < 5:
            found += values(await insist(lambda: reader.fetch(max_entries=100, wait_seconds=1)))
        assert not any(one.startswith("before-") for one in found)
        assert await log.committed("readers", [topic]) == next_offsets(taken)

    async def test_a_client_closed_twice_is_closed(self, logs: LogFactory) -> None:
        log = await logs.open()
        await make_topic(log)
        await log.close()
        await log.close()
        with pytest.raises(LogUnavailableError):
            await log.topics()

    async def test_topic_specs_of_other_names_are_refused(self, logs: LogFactory) -> None:
        log = await logs.open()
        with pytest.raises(ValueError, match="not a topic of Custody"):
            await log.create_topics([TopicSpec(name="elsewhere", partitions=1, retention_seconds=None)])
        assert list(await log.topics()) == []
