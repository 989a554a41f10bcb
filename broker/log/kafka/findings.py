"""What of a cluster breaks a promise, and the remedy. Pure: from facts to findings."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from broker.core.ports import Finding
from broker.core.topics import KEEP_FOREVER_STREAMS, split_topic
from broker.log.kafka.facts import OFFSETS_TOPIC
from broker.log.kafka.planning import replication_findings
from broker.log.kafka.topic_config import FOREVER, batch_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from broker.core.topics import TopicSpec
    from broker.log.kafka.facts import ClusterFacts, TopicFacts
    from broker.log.kafka.options import KafkaLogOptions

_APPLY = "custody topics apply"
_GRANT = "custody topics acls --tenant NAME --role operator"
_SHOWN = 3


def judge(
    facts: ClusterFacts,
    specs: Sequence[TopicSpec],
    *,
    options: KafkaLogOptions,
    strict: bool,
    erase_after_seconds: Mapping[str, float],
) -> list[Finding]:
    """Every finding. `strict`: what is only fit for trying out is a problem, not a warning."""
    grave = "problem" if strict else "warning"
    there = [(spec, facts.topics[spec.name]) for spec in specs if spec.name in facts.topics]
    found = [
        *_connection(options, grave),
        *_brokers(facts, options, grave),
        *_offsets(facts, specs, options),
        *_missing(specs, facts),
        *_untold(there),
        *_partition_counts(there),
        *_replicas(facts, [topic for _, topic in there], options, grave),
        *_settings(there, options, erase_after_seconds),
    ]
    if not any(one.level == "problem" for one in found):
        breaks = "nothing breaks a promise" if None not in facts.brokers.values() else "nothing told breaks a promise"
        message = f"{len(facts.brokers)} brokers, {len(there)} topics: {breaks}"
        found.insert(0, Finding(level="ok", subject="log", message=message))
    return found


def _connection(options: KafkaLogOptions, grave: str) -> Iterator[Finding]:
    protocol = options.security.protocol
    if not protocol.endswith("ssl"):
        message = f"the connection is {protocol}: whoever is on the way reads messages, and passwords"
        yield Finding(level=grave, subject="log", message=message, remedy="TLS: sasl_ssl, or ssl with a certificate")
    if protocol == "plaintext" or (protocol == "ssl" and options.security.certificate_file is None):
        message = "nobody logs in, so that the cluster can't tell who may read what"
        remedy = "SASL, or a client's certificate; then: custody topics acls"
        yield Finding(level=grave, subject="log", message=message, remedy=remedy)


def _brokers(facts: ClusterFacts, options: KafkaLogOptions, grave: str) -> Iterator[Finding]:
    if len(facts.brokers) == 1:
        message = "there is one broker: what it loses is lost, and while it is down no webhook is taken"
        yield Finding(level=grave, subject="brokers", message=message, remedy="at least three brokers")
    if options.min_insync >= options.replication:
        message = f"an append waits for {options.min_insync} of {options.replication} replicas: no broker may fail"
        remedy = "more replicas than CUSTODY_LOG__MIN_INSYNC, such as 3 and 2"
        yield Finding(level=grave, subject="brokers", message=message, remedy=remedy)
    silent = [broker for broker, settings in facts.brokers.items() if settings is None]
    if silent:
        message = f"{_listed(silent)} did not tell their settings"
        remedy = f"let this user DescribeConfigs on the cluster ({_GRANT}), or look yourself"
        yield Finding(level="warning", subject="brokers", message=message, remedy=remedy)
    told = {broker: settings for broker, settings in facts.brokers.items() if settings is not None}
    yield from _creating_by_accident(told)
    yield from _unclean(told)
    yield from _small_messages(told, batch_bytes(options.entry_bytes))


def _creating_by_accident(brokers: Mapping[int, Mapping[str, str]]) -> Iterator[Finding]:
    found = [broker for broker, one in brokers.items() if one.get("auto.create.topics.enable") == "true"]
    if found:
        message = (
            f"auto.create.topics.enable is true on {_listed(found)}: a slip of the pen makes a topic, with one replica"
        )
        remedy = "auto.create.topics.enable=false"
        yield Finding(level="warning", subject="brokers", message=message, remedy=remedy)


def _unclean(brokers: Mapping[int, Mapping[str, str]]) -> Iterator[Finding]:
    found = [broker for broker, one in brokers.items() if one.get("unclean.leader.election.enable") == "true"]
    if found:
        message = f"unclean.leader.election.enable is true on {_listed(found)}: groups may forget how far they read"
        remedy = "unclean.leader.election.enable=false; Custody's own topics have it on themselves"
        yield Finding(level="warning", subject="brokers", message=message, remedy=remedy)


def _small_messages(brokers: Mapping[int, Mapping[str, str]], needed: int) -> Iterator[Finding]:
    found = [broker for broker, one in brokers.items() if _below(one.get("message.max.bytes"), needed)]
    if found:
        message = (
            f"message.max.bytes is below {needed} on {_listed(found)}: only the topics' own setting takes an entry"
        )
        yield Finding(level="warning", subject="brokers", message=message, remedy=f"message.max.bytes={needed} or more")


def _offsets(facts: ClusterFacts, specs: Sequence[TopicSpec], options: KafkaLogOptions) -> Iterator[Finding]:
    """What the groups' own places are kept in."""
    wanted = min(options.replication, 3)
    planned = [_number(one.get("offsets.topic.replication.factor")) for one in facts.brokers.values() if one]
    replication = facts.offsets.replication if facts.offsets else min([n for n in planned if n], default=None)
    if replication is None:
        message = "is not shown to this user, nor how many replicas it is to have"
        yield Finding(level="problem", subject=OFFSETS_TOPIC, message=message, remedy=f"let it Describe it: {_GRANT}")
    elif replication < wanted:
        message = f"has {replication} replicas: with a broker the groups forget how far they read, and read all again"
        remedy = f"kafka-reassign-partitions.sh; and offsets.topic.replication.factor={wanted} before it is made"
        yield Finding(level="problem", subject=OFFSETS_TOPIC, message=message, remedy=remedy)
    longest = max([one.retention_seconds for one in specs if one.retention_seconds is not None], default=0)
    found = {
        minutes
        for one in facts.brokers.values()
        if one and (minutes := _number(one.get("offsets.retention.minutes"))) is not None
    }
    if found and min(found) * 60 < longest:
        message = (
            f"offsets.retention.minutes is {min(found)}, less than entries stay: a group that was away for longer "
            "reads everything again"
        )
        remedy = f"offsets.retention.minutes={-(-longest // 60)} or more"
        yield Finding(level="warning", subject=OFFSETS_TOPIC, message=message, remedy=remedy)


def _missing(specs: Sequence[TopicSpec], facts: ClusterFacts) -> Iterator[Finding]:
    missing = [one.name for one in specs if one.name not in facts.topics]
    if missing:
        message = f"{len(missing)} of {len(specs)} are missing: {_listed(missing)}"
        yield Finding(level="problem", subject="topics", message=message, remedy=_APPLY)


def _untold(there: Sequence[tuple[TopicSpec, TopicFacts]]) -> Iterator[Finding]:
    untold = [topic.name for _, topic in there if not topic.settings]
    if untold:
        message = f"the settings of {_listed(untold)} are not told to this user: they may break any promise"
        yield Finding(level="problem", subject="topics", message=message, remedy=f"let it DescribeConfigs: {_GRANT}")


def _partition_counts(there: Sequence[tuple[TopicSpec, TopicFacts]]) -> Iterator[Finding]:
    counts: dict[tuple[int, int], list[str]] = defaultdict(list)
    for spec, topic in there:
        if len(topic.partitions) != spec.partitions:
            counts[len(topic.partitions), spec.partitions].append(topic.name)
    for (now, wanted), names in counts.items():
        message = f"{now} partitions, not {wanted}: {_listed(names)}"
        remedy = f"custody topics plan, or CUSTODY_PARTITIONS={now}"
        yield Finding(level="warning", subject="topics", message=message, remedy=remedy)


def _replicas(
    facts: ClusterFacts, topics: Sequence[TopicFacts], options: KafkaLogOptions, grave: str
) -> Iterator[Finding]:
    offline = [_place(topic, one.number) for topic in topics for one in topic.partitions if one.leader is None]
    if offline:
        message = f"no leader: {_listed(offline)}. Nothing of them can be read or written"
        remedy = "bring their brokers back; never elect a replica that is not in sync"
        yield Finding(level="problem", subject="topics", message=message, remedy=remedy)
    for topic in topics:
        yield from replication_findings(topic, options, list(facts.brokers))
        insync = _number(topic.settings.get("min.insync.replicas")) or 1
        if 1 < topic.replication <= insync:
            message = f"min.insync.replicas is {insync} of {topic.replication} replicas: no broker may fail"
            yield Finding(level=grave, subject=topic.name, message=message, remedy=f"more replicas, or: {_APPLY}")
        short = [one for one in topic.partitions if one.leader is not None and len(one.insync) < len(one.replicas)]
        refusing = [one for one in short if len(one.insync) < insync]
        if short:
            level = "problem" if refusing else "warning"
            message = f"replicas are out of sync: {_listed([_place(topic, one.number) for one in short])}"
            message += "; appends are refused" if refusing else ""
            yield Finding(level=level, subject="topics", message=message, remedy="bring the missing brokers back")


def _settings(
    there: Sequence[tuple[TopicSpec, TopicFacts]],
    options: KafkaLogOptions,
    erase_after_seconds: Mapping[str, float],
) -> Iterator[Finding]:
    """Settings of topics, each told once for all topics that have it."""
    broken: dict[tuple[str, str], list[str]] = defaultdict(list)
    for spec, topic in there:
        for name, why in _broken(spec, topic, options, erase_after_seconds):
            broken[f"{name} is {topic.settings[name]}", why].append(topic.name)
    for (what, why), names in broken.items():
        yield Finding(level="problem", subject="topics", message=f"{what} on {_listed(names)}: {why}", remedy=_APPLY)


def _broken(
    spec: TopicSpec, topic: TopicFacts, options: KafkaLogOptions, erase_after_seconds: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    """(setting, why it breaks a promise)."""
    settings = topic.settings
    if _below(settings.get("min.insync.replicas"), options.min_insync):
        yield "min.insync.replicas", f"an append returns before {options.min_insync} replicas have it"
    if settings.get("unclean.leader.election.enable") == "true":
        yield "unclean.leader.election.enable", "a replica that lags behind may become the leader, and entries are lost"
    if settings.get("cleanup.policy", "delete") != "delete":
        yield "cleanup.policy", "an entry goes when a newer one has its key"
    if settings.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        yield "message.timestamp.type", "an entry's age is what its writer says"
    if _below(settings.get("max.message.bytes"), batch_bytes(options.entry_bytes)):
        yield "max.message.bytes", f"an entry of {options.entry_bytes} bytes is refused"
    if settings.get("retention.bytes", FOREVER) != FOREVER:
        yield "retention.bytes", "entries go before their time when there are many"
    if (why := _retention(spec, settings.get("retention.ms"), erase_after_seconds)) is not None:
        yield "retention.ms", why


def _retention(spec: TopicSpec, value: str | None, erase_after_seconds: Mapping[str, float]) -> str | None:
    milliseconds = _number(value)
    if milliseconds is None or milliseconds < 0:
        return None
    tenant, stream = split_topic(spec.name)
    if stream in KEEP_FOREVER_STREAMS:
        return "what is not done with goes, too"
    if milliseconds < erase_after_seconds.get(tenant, 0.0) * 1000:
        return "entries go before the store's backup has them (erase_after_seconds)"
    if spec.retention_seconds is not None and milliseconds < spec.retention_seconds * 1000:
        return f"less than the settings want, {spec.retention_seconds * 1000}"
    return None


def _place(topic: TopicFacts, partition: int) -> str:
    return f"{topic.name}/{partition}"


def _below(value: str | None, least: int) -> bool:
    found = _number(value)
    return found is not None and found < least


def _number(value: str | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def _listed(names: Sequence[object]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(str(one) for one in names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
