"""Facts of clusters and topics for tests: as they should be, and then one thing changed."""

from __future__ import annotations

from dataclasses import replace

from broker.core.topics import Stream, TopicSpec, topic_name
from broker.log.kafka.facts import OFFSETS_TOPIC, ClusterFacts, PartitionFacts, TopicFacts
from broker.log.kafka.options import KafkaLogOptions, KafkaSecurity
from broker.log.kafka.topic_config import topic_config

DAY = 86_400
OPTIONS = KafkaLogOptions(
    bootstrap=("one:9092", "two:9092"), security=KafkaSecurity(protocol="sasl_ssl", mechanism="scram-sha-512")
)
MESSAGES = TopicSpec(name=topic_name("acme", Stream.MESSAGES), partitions=2, retention_seconds=14 * DAY)
DEAD = TopicSpec(name=topic_name("acme", Stream.DEAD), partitions=2, retention_seconds=None)
SPECS = (MESSAGES, DEAD)
BROKER = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": "2000000",
    "offsets.retention.minutes": str(15 * 1440),
    "offsets.topic.replication.factor": "3",
    "unclean.leader.election.enable": "false",
}


def partitions(count: int, *, replicas: tuple[int, ...] = (1, 2, 3)) -> tuple[PartitionFacts, ...]:
    return tuple(
        PartitionFacts(number=number, leader=replicas[0], replicas=replicas, insync=replicas) for number in range(count)
    )


def topic(spec: TopicSpec = MESSAGES, *, options: KafkaLogOptions = OPTIONS, **settings: str) -> TopicFacts:
    """A topic as Custody makes it, with these settings changed (`_` for `.`)."""
    found = topic_config(spec, options) | {name.replace("_", "."): value for name, value in settings.items()}
    return TopicFacts(name=spec.name, partitions=partitions(spec.partitions), settings=found, own=frozenset(found))


def cluster(*changed: TopicFacts, **broker: str) -> ClusterFacts:
    """Three brokers with all topics as they should be, but for these topics and these settings of a broker."""
    topics = {one.name: one for one in (*map(topic, SPECS), *changed)}
    settings = BROKER | {name.replace("_", "."): value for name, value in broker.items()}
    offsets = replace(topic(), name=OFFSETS_TOPIC)
    return ClusterFacts(brokers={1: BROKER, 2: settings, 3: BROKER}, topics=topics, offsets=offsets)
