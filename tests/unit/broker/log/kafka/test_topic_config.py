from __future__ import annotations

import random

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from broker.core.topics import TopicSpec
from broker.log.kafka import KafkaLogOptions
from broker.log.kafka.topic_config import batch_bytes, topic_config

OPTIONS = KafkaLogOptions(bootstrap=("127.0.0.1:9092",), min_insync=2, entry_bytes=1_000_000)


def test_retention_is_told_in_milliseconds_and_for_ever_as_kafka_says_it() -> None:
    week = TopicSpec(name="custody.acme.messages.v1", partitions=3, retention_seconds=604_800)
    for_ever = TopicSpec(name="custody.acme.dead.v1", partitions=3, retention_seconds=None)
    assert topic_config(week, OPTIONS)["retention.ms"] == "604800000"
    assert topic_config(for_ever, OPTIONS)["retention.ms"] == "-1"


def test_what_the_promises_need_is_asked_for_by_name() -> None:
    asked = topic_config(TopicSpec(name="custody.acme.messages.v1", partitions=3, retention_seconds=1), OPTIONS)
    assert asked["min.insync.replicas"] == "2"
    assert asked["unclean.leader.election.enable"] == "false"
    assert asked["cleanup.policy"] == "delete"
    assert asked["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("compression", [0, 1, 3, 4])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_an_entry_of_the_greatest_size_fits_packed_in_vain(compression: int, size: int, seed: int) -> None:
    builder = BatchBuilder(1, compression)
    headers = [(f"name-{number}", b"") for number in range(100)]
    value = random.Random(seed).randbytes(size)
    builder.append(timestamp=None, key=b"", value=value, headers=headers)
    entry_bytes = size + sum(len(name) for name, _ in headers)
    assert len(builder._build()) <= batch_bytes(entry_bytes)
