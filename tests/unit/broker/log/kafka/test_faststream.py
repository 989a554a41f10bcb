"""What the log relies on in FastStream, and what others may do with its broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.abc import ConsumerRebalanceListener

from broker.core.ports import NewEntry
from broker.core.topics import Stream, TopicPartition
from broker.log.kafka import KafkaLogOptions
from broker.log.kafka.connections import faststream_broker
from broker.log.kafka.membership import Member, Membership
from tests.contract.event_log_kit import make_topic, many, values
from tests.kafka_logs import QUICK, KafkaLogs, until_not

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.log.kafka import KafkaLog
    from tests.kafka_servers import SharedKafka

MEMBER = Member(group="readers", streams=[Stream.MESSAGES], instance=None)


class Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    async def on_partitions_revoked(self, revoked: object) -> None: ...

    async def on_partitions_assigned(self, assigned: object) -> None: ...


class Owner:
    def __init__(self) -> None:
        self.places: frozenset[TopicPartition] = frozenset()

    def revoked(self) -> None: ...

    def assigned(self, places: frozenset[TopicPartition]) -> None:
        self.places = places


async def everything(log: KafkaLog, topic: str) -> Sequence[bytes]:
    bounds = await log.bounds([topic])
    return [
        one.value for place, at in bounds.items() for one in await log.read(place, at.first, max_entries=at.end + 1)
    ]


async def test_a_subscriber_without_a_handler_consumes_nothing_by_itself(
    logs: KafkaLogs, kafka_server: SharedKafka
) -> None:
    """Its consumer fetches ahead, but neither its position nor the group's offset moves, whatever time it is given."""
    log = await logs.open()
    topic = await make_topic(log, partitions=1)
    await log.append(many(topic, 10))
    options = KafkaLogOptions(bootstrap=kafka_server.bootstrap, **QUICK)
    broker = faststream_broker(options, consumer_only=True)
    await broker.start()
    owner = Owner()
    membership = Membership(broker, MEMBER, options=options, owner=owner)
    place = TopicPartition(topic, 0)
    try:
        await (await membership.start())
        assert owner.places == {place}
        membership.seek(place, 0)
        consumer = membership.consumer
        (one,) = consumer.assignment()

        async def has_not_fetched() -> bool:
            return consumer.highwater(one) is None

        await until_not(has_not_fetched)
        assert membership._subscriber.tasks == []
        assert await consumer.position(one) == 0
        assert await log.committed("readers", [topic]) == {}
    finally:
        await membership.stop()
        await broker.stop()
    assert await log.committed("readers", [topic]) == {}


async def test_offsets_are_neither_committed_nor_chosen_by_the_consumer(kafka_server: SharedKafka) -> None:
    options = KafkaLogOptions(bootstrap=kafka_server.bootstrap, **QUICK)
    broker = faststream_broker(options, consumer_only=True)
    await broker.start()
    membership = Membership(broker, MEMBER, options=options, owner=Owner())
    try:
        await (await membership.start())
        assert membership.consumer._enable_auto_commit is False
        assert membership.consumer._auto_offset_reset == "none"
    finally:
        await membership.stop()
        await broker.stop()


async def test_publishing_through_faststream_reaches_the_log(logs: KafkaLogs, kafka_server: SharedKafka) -> None:
    log = await logs.open()
    topic = await make_topic(log)
    broker = faststream_broker(KafkaLogOptions(bootstrap=kafka_server.bootstrap, **QUICK))
    await broker.start()
    try:
        await broker.publish(b"said", topic, key=b"key")
        await log.append([NewEntry(topic=topic, key=b"key", headers=(), value=b"appended")])
    finally:
        await broker.stop()
    assert await everything(log, topic) == [b"said", b"appended"]  # one key, one partition, whoever writes


async def test_a_pattern_takes_its_streams_and_no_others(logs: KafkaLogs) -> None:
    log = await logs.open()
    wanted = await make_topic(log, tenant="a-1", stream=Stream.DEAD)
    unwanted = await make_topic(log, tenant="dead", stream=Stream.KEPT)
    await log.append([*many(wanted, 3), *many(unwanted, 3)])
    subscription = await log.subscribe("readers", [Stream.DEAD, Stream.PARTS])
    assert {place.topic for place in subscription.assignment} == {wanted}
    found: list[str] = []
    while len(found) < 3:
        found += values(await subscription.fetch(max_entries=10, wait_seconds=1))
    assert sorted(found) == ["0", "1", "2"]
