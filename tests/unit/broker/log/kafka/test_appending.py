"""Appending when brokers refuse, are away, or take less than they should."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.core.errors import LogUnavailableError, SettingsError, TooLargeError
from broker.core.topics import Stream, TopicSpec, topic_name
from broker.log.kafka import UnknownTopicError
from broker.log.kafka.producing import Producers
from tests.contract.event_log_kit import entry, insist, make_topic, many
from tests.kafka_logs import until_not
from tests.unit.broker.log.kafka.test_faststream import everything
from tests.unit.broker.log.kafka.test_subscription import is_there

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaProducer

    from broker.log.kafka import KafkaLog
    from tests.kafka_logs import KafkaLogs
    from tests.kafka_servers import SharedKafka

SMALL_BYTES = 1000
TOPIC = topic_name("acme", Stream.MESSAGES)


@pytest.fixture
async def admin(kafka_server: SharedKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=list(kafka_server.bootstrap))
    await client.start()
    yield client
    await client.close()


def random_entry_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


async def nothing_written(log: KafkaLog) -> bool:
    return not log._appender._lanes


async def small_topic(logs: KafkaLogs) -> str:
    """A topic that takes less than the logs of the test think: its settings were made for smaller entries."""
    return await make_topic(await logs.open(entry_bytes=SMALL_BYTES), partitions=1)


async def test_an_entry_over_the_limit_is_refused_before_anything_is_sent(logs: KafkaLogs) -> None:
    log = await logs.open(entry_bytes=SMALL_BYTES)
    topic = await make_topic(log)
    assert log.entry_bytes == SMALL_BYTES
    exactly = entry(topic, "key", b"x" * (SMALL_BYTES - entry(topic, "key", b"").size))
    await log.append([exactly])
    with pytest.raises(TooLargeError):
        await log.append([*many(topic, 3), entry(topic, "key", exactly.value + b"x")])
    assert await everything(log, topic) == [exactly.value]


async def test_what_the_topic_takes_not_is_told_its_caller_and_later_appends_go_on(logs: KafkaLogs, seed: int) -> None:
    topic = await small_topic(logs)
    log = await logs.open()
    large = random_entry_bytes(seed, 100_000)
    await log.append(many(topic, 3, mark="before-"))
    for turn in range(3):
        with pytest.raises(TooLargeError, match=f"{topic} takes smaller entries"):
            await log.append([entry(topic, "large", large)])
        await log.append(many(topic, 3, mark=f"{turn}-"))
    assert await everything(log, topic) == [
        f"{mark}-{number}".encode() for mark in ("before", 0, 1, 2) for number in range(3)
    ]


async def test_a_producer_that_missed_a_beat_is_of_no_further_use(
    logs: KafkaLogs, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a failed batch spoils its producer: with the same one, not even a good entry is taken any more."""
    topic = await small_topic(logs)
    log = await logs.open()
    await log.append(many(topic, 3))

    def keep(self: Producers, producer: AIOKafkaProducer) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(Producers, "spoil", keep)
        with pytest.raises(TooLargeError):
            await log.append([entry(topic, "large", random_entry_bytes(seed, 100_000))])
        with pytest.raises(LogUnavailableError, match="OutOfOrder"):
            await log.append(many(topic, 3))
    with pytest.raises(LogUnavailableError, match="OutOfOrder"):
        await log.append(many(topic, 3))
    await log.append(many(topic, 3))


async def test_one_callers_large_entry_is_not_the_others_fault(logs: KafkaLogs, seed: int) -> None:
    topic = await small_topic(logs)
    log = await logs.open(linger_seconds=0.1)  # all of them share a batch
    large = random_entry_bytes(seed, 100_000)
    calls = [log.append([entry(topic, f"key-{number}", f"{number}")]) for number in range(20)]
    calls.insert(7, log.append([entry(topic, "large", large)]))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in answers if one is not None] == [TooLargeError]
    assert isinstance(answers[7], TooLargeError)
    assert sorted(await everything(log, topic), key=int) == [str(number).encode() for number in range(20)]


async def test_a_partition_that_takes_nothing_holds_up_no_other_and_comes_back(
    logs: KafkaLogs, admin: AIOKafkaAdminClient
) -> None:
    log, operator = await logs.open(request_seconds=3.0), await logs.open()
    stuck = await make_topic(log, tenant="stuck", partitions=1)
    topic = await make_topic(log, partitions=1)
    await log.append(many(stuck, 1))
    await admin.delete_topics([stuck])
    await until_refused(await logs.open(request_seconds=0.5), stuck)  # the broker answers before the topic is gone
    waiting = asyncio.gather(*(log.append(many(stuck, 2)) for _ in range(5)), return_exceptions=True)
    appended = 0
    while not waiting.done():
        await log.append(many(topic, 1))
        appended += 1
    assert {type(one) for one in waiting.result()} == {LogUnavailableError}
    assert appended > len(waiting.result())
    await make_topic(operator, tenant="stuck", partitions=1)
    await insist(lambda: log.append([entry(stuck, "key-0", "at last")]))
    assert (await everything(log, stuck))[-1] == b"at last"


async def until_refused(log: KafkaLog, topic: str) -> None:
    """Return once nothing can be appended to a topic any more."""
    with contextlib.suppress(LogUnavailableError, UnknownTopicError):
        while True:
            await log.append(many(topic, 1))


async def test_appends_go_on_after_an_outage_whatever_was_given_up_in_it(logs: KafkaLogs) -> None:
    log = await logs.open(request_seconds=2.0)
    topic = await make_topic(log)
    await log.append(many(topic, 8, mark="before-"))
    for turn in range(3):
        async with logs.outage():
            refused = await asyncio.gather(
                *(log.append(many(topic, 8, mark=f"refused-{turn}-{number}-")) for number in range(4)),
                return_exceptions=True,
            )
            assert {type(one) for one in refused} == {LogUnavailableError}
        await insist(lambda mark=f"after-{turn}-": log.append(many(topic, 8, mark=mark)))  # type: ignore[misc]
    found = await everything(log, topic)
    wanted = [f"{mark}-{n}".encode() for mark in ("before", "after-0", "after-1", "after-2") for n in range(8)]
    assert set(wanted) <= set(found)
    assert all(found.count(one) >= 1 for one in wanted)


async def test_a_topic_that_was_taken_away_is_named(logs: KafkaLogs, admin: AIOKafkaAdminClient) -> None:
    log = await logs.open(request_seconds=3.0)
    topic = await make_topic(log)
    await log.append(many(topic, 3))
    await admin.delete_topics([topic])
    with pytest.raises(UnknownTopicError, match="custody init"):
        await insist(lambda: log.append(many(topic, 3)))
    await insist(lambda: make_topic(log))
    await insist(lambda: log.append([entry(topic, "key", "anew")]))
    assert b"anew" in await everything(log, topic)


async def test_a_broker_that_does_not_know_a_topic_yet_is_not_believed_at_once(logs: KafkaLogs) -> None:
    operator, log = await logs.open(), await logs.open()
    topic = await make_topic(operator)
    logs.wire(log).forget(3)
    await log.append(many(topic, 3))
    assert len(await everything(operator, topic)) == 3
    logs.wire(log).forget(2)
    assert len(await log.bounds([topic])) == 4
    assert logs.wire(log).forgetful == 0


async def test_a_topic_that_was_made_anew_takes_entries_again(logs: KafkaLogs, admin: AIOKafkaAdminClient) -> None:
    log, operator = await logs.open(request_seconds=3.0), await logs.open()
    topic = await make_topic(log, partitions=4)
    await log.append(many(topic, 40))
    await admin.delete_topics([topic])
    await until_not(lambda: is_there(operator, topic))
    await make_topic(operator, partitions=2)
    await insist(lambda: log.append(many(topic, 40, mark="anew-")))
    assert {one for one in await everything(log, topic) if one.startswith(b"anew-")} == {
        f"anew-{number}".encode() for number in range(40)
    }


async def test_closing_writes_what_callers_wait_for(logs: KafkaLogs) -> None:
    log, other = await logs.open(linger_seconds=0.2), await logs.open()
    topic = await make_topic(log)
    appending = asyncio.create_task(log.append(many(topic, 20)))
    await until_not(lambda: nothing_written(log))
    await log.close()
    await appending
    assert len(await everything(other, topic)) == 20
    with pytest.raises(LogUnavailableError, match="closed"):
        await log.append(many(topic, 1))


async def test_more_replicas_than_brokers_are_refused_with_an_example(logs: KafkaLogs) -> None:
    log = await logs.open(replication=9)
    with pytest.raises(SettingsError, match="fewer brokers than replicas asked for; for example 1"):
        await log.create_topics([TopicSpec(name=TOPIC, partitions=1, retention_seconds=None)])


async def test_a_topic_has_the_settings_it_was_asked_for(logs: KafkaLogs, admin: AIOKafkaAdminClient) -> None:
    log = await logs.open()
    await log.create_topics([TopicSpec(name=TOPIC, partitions=2, retention_seconds=3600)])
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
    settings = {name: value for name, value, *_ in answer.resources[0][4]}
    assert settings["retention.ms"] == "3600000"
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["unclean.leader.election.enable"] == "false"
