"""What is to be done about the topics of a Kafka log. Pure: from how they are to be, and how they are.

Only settings that a promise depends on are compared; what an operator set besides is nobody's business here. A setting
that is right by the cluster's default alone is set on the topic all the same: a default may change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from broker.core.ports import Finding
from broker.core.topic_plan import TopicChange, TopicPlan
from broker.log.kafka.topic_config import topic_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from broker.core.topics import TopicSpec
    from broker.log.kafka.facts import TopicFacts
    from broker.log.kafka.options import KafkaLogOptions

PARTITIONS = "partitions"


def plan_topics(
    specs: Sequence[TopicSpec],
    there: Mapping[str, TopicFacts],
    *,
    options: KafkaLogOptions,
    brokers: Sequence[int],
    written: frozenset[str],
    grow: bool = False,
) -> TopicPlan:
    """The plan. `written` are the topics that entries were ever appended to."""
    create: list[TopicSpec] = []
    changes: list[TopicChange] = []
    findings: list[Finding] = []
    for spec in specs:
        topic = there.get(spec.name)
        if topic is None:
            create.append(spec)
            continue
        grows, told = _partitions(spec, topic, may_grow=grow or spec.name not in written, in_use=spec.name in written)
        changes += [*grows, *_settings(spec, topic, options)]
        findings += [*told, *replication_findings(topic, options, brokers)]
    if len(brokers) < options.replication and create:
        findings.append(_too_few_brokers(len(brokers), options.replication))
    return TopicPlan(create=tuple(create), changes=tuple(changes), findings=tuple(findings))


def _partitions(
    spec: TopicSpec, topic: TopicFacts, *, may_grow: bool, in_use: bool
) -> tuple[list[TopicChange], list[Finding]]:
    now, wanted = len(topic.partitions), spec.partitions
    if now == wanted:
        return [], []
    if now > wanted:
        message = f"has {now} partitions, not {wanted}: partitions are never taken away, and more do no harm"
        return [], [Finding(level="warning", subject=spec.name, message=message, remedy=f"CUSTODY_PARTITIONS={now}")]
    torn = "some keys then go to another partition, so that a conversation's later entries may overtake earlier ones"
    if not may_grow:
        message = f"has {now} partitions, not {wanted}. More of them would tear keys apart: {torn}"
        remedy = (
            "stop the edge, wait until 'custody lag' shows nothing unread, then custody topics apply --grow and start "
            f"the edge again; or CUSTODY_PARTITIONS={now}"
        )
        return [], [Finding(level="problem", subject=spec.name, message=message, remedy=remedy)]
    change = TopicChange(topic=spec.name, what=PARTITIONS, was=str(now), becomes=str(wanted))
    if not in_use:
        return [change], []
    warning = Finding(
        level="warning",
        subject=spec.name,
        message=f"gets more partitions with entries in it: {torn}, where earlier ones are unread",
        remedy="stop the edge and wait until 'custody lag' shows nothing unread before this is applied",
    )
    return [change], [warning]


def _settings(spec: TopicSpec, topic: TopicFacts, options: KafkaLogOptions) -> Iterator[TopicChange]:
    for name, wanted in topic_config(spec, options).items():
        now = topic.settings.get(name)
        if now == wanted and name in topic.own:
            continue
        was = "" if now is None else now if name in topic.own else f"{now} (the cluster's default)"
        yield TopicChange(topic=spec.name, what=name, was=was, becomes=wanted)


def replication_findings(topic: TopicFacts, options: KafkaLogOptions, brokers: Sequence[int]) -> list[Finding]:
    """That a topic has too few replicas, and the command that gives it more: Kafka's own tool moves replicas."""
    if topic.replication >= options.replication:
        return []
    message = f"has {topic.replication} replicas, not {options.replication}"
    if len(brokers) < options.replication:
        remedy = f"add brokers (there are {len(brokers)}), or CUSTODY_LOG__REPLICATION={topic.replication}"
    else:
        remedy = reassignment_command(topic, options, brokers)
    return [Finding(level="problem", subject=topic.name, message=message, remedy=remedy)]


def reassignment_command(topic: TopicFacts, options: KafkaLogOptions, brokers: Sequence[int]) -> str:
    """The commands that bring a topic to its replicas: those there are stay, in their order, and others join them.

    Source: https://kafka.apache.org/43/operations/basic-kafka-operations/#increasing-replication-factor, 2026-11.
    """
    ids = sorted(brokers)
    moves = []
    for one in topic.partitions:
        others = ids[one.number % len(ids) :] + ids[: one.number % len(ids)]
        joining = [broker for broker in others if broker not in one.replicas]
        replicas = [*one.replicas, *joining][: max(options.replication, len(one.replicas))]
        moves.append({"topic": topic.name, "partition": one.number, "replicas": replicas})
    document = json.dumps({"version": 1, "partitions": moves}, separators=(",", ":"))
    bootstrap = ",".join(options.bootstrap)
    return (
        f"echo '{document}' > moves.json && kafka-reassign-partitions.sh --bootstrap-server {bootstrap} "
        "--reassignment-json-file moves.json --execute"
    )


def _too_few_brokers(there: int, wanted: int) -> Finding:
    return Finding(
        level="problem",
        subject="topics",
        message=f"can't be created with {wanted} replicas: the cluster has {there} brokers",
        remedy=f"add brokers, or CUSTODY_LOG__REPLICATION={there} and CUSTODY_LOG__MIN_INSYNC below it",
    )
