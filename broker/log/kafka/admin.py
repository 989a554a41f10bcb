"""The administrator's side of a Kafka log: what its topics and its cluster are like, and changing the topics."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from broker.core.errors import LogUnavailableError, TopicRefusedError
from broker.core.topics import TopicPartition as Place
from broker.log.kafka.errors import DRIVER_ERRORS, guarded, translated
from broker.log.kafka.facts import OFFSETS_TOPIC, ClusterFacts, PartitionFacts, TopicFacts
from broker.log.kafka.findings import judge
from broker.log.kafka.incremental import SetTopicSettings
from broker.log.kafka.planning import PARTITIONS, plan_topics
from broker.log.kafka.security import client_security
from broker.log.kafka.topic_config import topic_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from broker.core.ports import Finding
    from broker.core.topic_plan import TopicPlan
    from broker.core.topics import TopicSpec
    from broker.log.kafka.options import KafkaLogOptions

_OF_THE_TOPIC = 1
"""`config_source` of a setting that is the topic's own.

Source: https://github.com/apache/kafka/blob/4.3.1/clients/src/main/java/org/apache/kafka/common/requests/DescribeConfigsResponse.java
"""
_UUID_CHARACTERS = 37
"""What the group's coordinator puts behind the name of an instance or a client: `-` and a UUID."""
_TELLING_CHARACTERS = 9
"""So much of it tells two clients of one name apart."""
_SETTLE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class KafkaTopics:
    """Implements `TopicAdmin`, and tells what the cluster is like."""

    def __init__(self, options: KafkaLogOptions, admin: AIOKafkaAdminClient) -> None:
        self._options = options
        self._admin = admin

    @classmethod
    async def open(cls, options: KafkaLogOptions) -> Self:
        """Connects. `LogUnavailableError`: no broker answers, or it refuses the login; `SettingsError`."""
        admin = AIOKafkaAdminClient(**_client_arguments(options))
        try:
            await _started(admin)
        except BaseException:
            await admin.close()
            raise
        return cls(options, admin)

    async def close(self) -> None:
        await self._admin.close()

    async def plan(self, specs: Sequence[TopicSpec], *, grow: bool = False) -> TopicPlan:
        facts = await self.facts([one.name for one in specs])
        small = [
            facts.topics[one.name]
            for one in specs
            if one.name in facts.topics and len(facts.topics[one.name].partitions) < one.partitions
        ]
        return plan_topics(
            specs,
            facts.topics,
            options=self._options,
            brokers=list(facts.brokers),
            written=await self._written(small),
            grow=grow,
        )

    async def apply(self, plan: TopicPlan) -> None:
        if plan.create:
            await self._create(plan.create)
        grown = {one.topic: int(one.becomes) for one in plan.changes if one.what == PARTITIONS}
        if grown:
            await self._grow(grown)
        settings: dict[str, dict[str, str]] = {}
        for one in plan.changes:
            if one.what != PARTITIONS:
                settings.setdefault(one.topic, {})[one.what] = one.becomes
        if settings:
            await self._set(settings)
        await self._until_seen(plan)

    @guarded("looking at the cluster")
    async def facts(self, topics: Iterable[str]) -> ClusterFacts:
        """What the cluster is like, and these topics of it; a topic that is not there is left out."""
        wanted = {*topics, OFFSETS_TOPIC}
        cluster = await self._admin.describe_cluster()
        # All topics, since a broker may make one that it is asked about by name.
        there = {one["topic"]: one for one in await self._admin.describe_topics() if one["topic"] in wanted}
        there = {name: one for name, one in there.items() if one["partitions"]}
        settings = await self._topic_settings(list(there))
        found = {name: _topic(one, settings.get(name, {})) for name, one in there.items()}
        offsets = found.pop(OFFSETS_TOPIC, None)
        brokers = [int(one["node_id"]) for one in cluster["brokers"]]
        return ClusterFacts(
            brokers={one: await self._broker_settings(one) for one in brokers}, topics=found, offsets=offsets
        )

    # --- looking ---

    async def _topic_settings(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, tuple[str, bool]]]:
        """By topic: each setting's value, and whether it is the topic's own."""
        if not topics:
            return {}
        answers = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, one) for one in topics])
        return {name: entries for answer in answers for name, entries in _described(answer) if entries is not None}

    async def _broker_settings(self, broker: int) -> Mapping[str, str] | None:
        resource = ConfigResource(ConfigResourceType.BROKER, str(broker))
        for answer in await self._admin.describe_configs([resource]):
            for _, entries in _described(answer):
                return None if entries is None else {name: value for name, (value, _) in entries.items()}
        return None

    @guarded("looking whether topics were ever written")
    async def _written(self, topics: Sequence[TopicFacts]) -> frozenset[str]:
        """Those that entries were ever appended to, gone or not."""
        if not topics:
            return frozenset()
        async with _consumer(self._options) as consumer:
            ends = await consumer.end_offsets(
                [KafkaPartition(topic.name, one.number) for topic in topics for one in topic.partitions]
            )
        return frozenset(place.topic for place, end in ends.items() if end > 0)

    # --- changing ---

    @guarded("creating topics")
    async def _create(self, specs: Sequence[TopicSpec]) -> None:
        answer = await self._admin.create_topics(
            [
                NewTopic(
                    one.name,
                    one.partitions,
                    self._options.replication,
                    topic_configs=topic_config(one, self._options),
                )
                for one in specs
            ]
        )
        for name, code, *words in answer.topic_errors:
            if code not in {NoError.errno, TopicAlreadyExistsError.errno}:
                raise _refused(name, code, words[0] if words else None)

    async def _grow(self, counts: Mapping[str, int]) -> None:
        try:
            await self._admin.create_partitions({name: NewPartitions(count) for name, count in counts.items()})
        except KafkaError as error:
            names = ", ".join(counts)
            problem = translated(error, "adding partitions") if error.retriable else _refused(names, error.errno, None)
        except DRIVER_ERRORS as error:
            problem = translated(error, "adding partitions")
        else:
            return
        raise problem

    @guarded("changing topics")
    async def _set(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        answer = await self._admin._send_to_controller(SetTopicSettings(settings))  # noqa: SLF001 - no public way to send a request of one's own
        for code, words, _, name in answer.responses:
            if code:
                raise _refused(name, code, words)

    async def _until_seen(self, plan: TopicPlan) -> None:
        """Returns once a broker tells of what was done: they hear of it a little after it is durable."""
        names = {*(one.name for one in plan.create), *(one.topic for one in plan.changes)}
        deadline = _now() + _SETTLE_SECONDS
        while names and _now() < deadline:
            if _is_seen(plan, (await self.facts(names)).topics):
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def kafka_findings(
    options: KafkaLogOptions, specs: Sequence[TopicSpec], *, strict: bool, erase_after_seconds: Mapping[str, float]
) -> Sequence[Finding]:
    """Every setting of the cluster and of these topics that breaks a promise, each with its remedy.

    `strict`: what is only fit for trying out is a problem. `erase_after_seconds` is by tenant: how long after the keep
    erasure waits for the store's backup, which the log has to outlast. Raises what `KafkaTopics.open` does.
    """
    topics = await KafkaTopics.open(options)
    try:
        facts = await topics.facts([one.name for one in specs])
    finally:
        await topics.close()
    return judge(facts, specs, options=options, strict=strict, erase_after_seconds=erase_after_seconds)


async def group_members(admin: AIOKafkaAdminClient, group: str) -> Mapping[Place, str]:
    """See `EventLog.members`: a member by its instance or client, and the host it comes from."""
    owners: dict[Place, str] = {}
    for answer in await admin.describe_consumer_groups([group]):
        for described in answer.to_object()["groups"]:
            for one in described["members"]:
                name = _name(one["member_id"], one["client_id"])
                for place in _assigned(one["member_assignment"]):
                    owners[place] = f"{name} at {one['client_host'].lstrip('/')}"
    return owners


def _name(member_id: str, client_id: str) -> str:
    """A static member's instance; else its client, and what tells it from others of that name."""
    name, digits = member_id[:-_UUID_CHARACTERS], member_id[-_UUID_CHARACTERS:]
    return name if name and name != client_id else client_id + digits[:_TELLING_CHARACTERS]


def _assigned(assignment: bytes) -> list[Place]:
    """The partitions of a member; none while the group is being shared out anew."""
    if not assignment:
        return []
    return [Place(one.topic, one.partition) for one in ConsumerProtocolMemberAssignment.decode(assignment).partitions()]


@guarded("connecting")
async def _started(admin: AIOKafkaAdminClient) -> None:
    await admin.start()


@asynccontextmanager
async def _consumer(options: KafkaLogOptions) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer in no group: it finds offsets, and commits none."""
    consumer = AIOKafkaConsumer(**_client_arguments(options), group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _client_arguments(options: KafkaLogOptions) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(options.bootstrap),
        "client_id": options.client_id,
        "request_timeout_ms": int(options.request_seconds * 1000),
        **client_security(options.security),
    }


def _is_seen(plan: TopicPlan, topics: Mapping[str, TopicFacts]) -> bool:
    """Whether what was created is there and led, and what was changed has its new value."""
    for spec in plan.create:
        topic = topics.get(spec.name)
        if topic is None or any(one.leader is None for one in topic.partitions):
            return False
    return all(
        one.topic in topics
        and one.becomes
        == (
            str(len(topics[one.topic].partitions))
            if one.what == PARTITIONS
            else topics[one.topic].settings.get(one.what)
        )
        for one in plan.changes
    )


def _topic(described: Mapping[str, Any], settings: Mapping[str, tuple[str, bool]]) -> TopicFacts:
    return TopicFacts(
        name=described["topic"],
        partitions=tuple(
            PartitionFacts(
                number=one["partition"],
                leader=one["leader"] if one["leader"] >= 0 else None,
                replicas=tuple(one["replicas"]),
                insync=tuple(one["isr"]),
            )
            for one in sorted(described["partitions"], key=lambda one: int(one["partition"]))
        ),
        settings={name: value for name, (value, _) in settings.items()},
        own=frozenset(name for name, (_, own) in settings.items() if own),
    )


def _described(answer: Any) -> list[tuple[str, dict[str, tuple[str, bool]] | None]]:  # noqa: ANN401 - untyped
    """By resource: each setting's value and whether it is the resource's own; None where the broker refuses to tell."""
    found: list[tuple[str, dict[str, tuple[str, bool]] | None]] = []
    for code, _, _, name, entries in answer.resources:
        settings = {one[0]: (one[1], one[3] == _OF_THE_TOPIC) for one in entries if one[1] is not None}
        found.append((name, None if code else settings))
    return found


def _refused(topic: str, code: int, words: str | None) -> TopicRefusedError | LogUnavailableError:
    """What a broker says of a topic's own settings names no content, so it may be passed on."""
    kind = for_code(code)
    if kind.retriable:
        return LogUnavailableError(f"{topic}: the cluster can't do it now ({kind.__name__}); plan again later")
    said = f": {' '.join(words.split())}" if words else ""
    return TopicRefusedError(f"{topic}: the cluster refuses it ({kind.__name__}){said}")


def _now() -> float:
    return asyncio.get_running_loop().time()
