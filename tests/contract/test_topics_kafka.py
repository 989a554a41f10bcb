"""Whoever looks after the topics of a Kafka log keeps every promise of the suite, and what only Kafka has."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.core.errors import LogUnavailableError, TopicRefusedError
from broker.core.topic_plan import TopicChange, TopicPlan
from broker.core.topics import TopicPartition as Place
from broker.core.topics import TopicSpec
from broker.log.kafka.admin import KafkaTopics, group_members, kafka_findings
from broker.log.kafka.incremental import SetTopicSettings
from broker.log.kafka.options import KafkaLogOptions
from broker.log.kafka.topic_config import topic_config
from tests.contract.topic_admin import TopicAdminContract, specs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.kafka_servers import SharedKafka

__all__ = ["specs"]


@pytest.fixture
def bootstrap(kafka_server: SharedKafka) -> tuple[str, ...]:
    """Where the tests' broker is."""
    return kafka_server.bootstrap


@pytest.fixture
def options(bootstrap: tuple[str, ...]) -> KafkaLogOptions:
    return KafkaLogOptions(bootstrap=bootstrap, replication=1, min_insync=1)


@dataclass
class KafkaTopicBench:
    admin: KafkaTopics
    options: KafkaLogOptions

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicSpec]:
        found = (await self.admin.facts(topics)).topics
        kept = {name: int(one.settings["retention.ms"]) for name, one in found.items()}
        return {
            name: TopicSpec(
                name=name,
                partitions=len(one.partitions),
                retention_seconds=None if kept[name] < 0 else kept[name] // 1000,
            )
            for name, one in found.items()
        }

    async def made(self, spec: TopicSpec, *, topic_configs: dict[str, str]) -> None:
        """A topic made as somebody else would, once the cluster knows of it."""
        made = NewTopic(spec.name, spec.partitions, 1, topic_configs=topic_configs)
        await self.admin._admin.create_topics([made])
        async with asyncio.timeout(30):
            while spec.name not in (await self.admin.facts([spec.name])).topics:  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.02)

    async def set(self, topic: str, **settings: str) -> None:
        """Sets settings of a topic as an operator would."""
        changes = (
            TopicChange(topic=topic, what=name.replace("_", "."), was="", becomes=value)
            for name, value in settings.items()
        )
        await self.admin.apply(TopicPlan(changes=tuple(changes)))


@pytest_asyncio.fixture
async def topics(options: KafkaLogOptions) -> AsyncIterator[KafkaTopicBench]:
    admin = await KafkaTopics.open(options)
    yield KafkaTopicBench(admin, options)
    await admin.close()


async def write(options: KafkaLogOptions, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=list(options.bootstrap), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"an entry", key=b"a key")
    finally:
        await producer.stop()


class TestKafkaTopics(TopicAdminContract):
    async def test_a_created_topic_has_every_setting_that_a_promise_depends_on(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        facts = (await topics.admin.facts([one.name for one in specs])).topics
        for spec in specs:
            wanted = topic_config(spec, topics.options)
            assert {name: facts[spec.name].settings[name] for name in wanted} == wanted
            assert facts[spec.name].own >= set(wanted)

    async def test_an_operators_own_setting_survives(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        name = specs[0].name
        await topics.admin.apply(await topics.admin.plan(specs))
        await topics.set(name, segment_bytes="123456789", flush_messages="1000", retention_ms="60000")
        plan = await topics.admin.plan(specs)
        assert plan.changes == (
            TopicChange(topic=name, what="retention.ms", was="60000", becomes=str(3 * 86_400 * 1000)),
        )
        await topics.admin.apply(plan)
        settings = (await topics.admin.facts([name])).topics[name].settings
        assert (settings["segment.bytes"], settings["flush.messages"]) == ("123456789", "1000")
        assert not (await topics.admin.plan(specs)).changes_anything

    async def test_a_topic_made_by_somebody_else_is_set_right(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        spec = specs[0]
        await topics.made(spec, topic_configs={"cleanup.policy": "compact", "segment.bytes": "1048576"})
        plan = await topics.admin.plan([spec])
        assert {one.what: one.becomes for one in plan.changes} == topic_config(spec, topics.options)
        assert {one.was for one in plan.changes if one.what == "cleanup.policy"} == {"compact"}
        assert {one.was for one in plan.changes if one.what == "unclean.leader.election.enable"} == {
            "false (the cluster's default)"
        }
        await topics.admin.apply(plan)
        assert not (await topics.admin.plan([spec])).changes_anything
        assert (await topics.admin.facts([spec.name])).topics[spec.name].settings["segment.bytes"] == "1048576"

    async def test_a_topic_that_was_never_written_may_grow(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        more = replace(specs[0], partitions=5)
        plan = await topics.admin.plan([more])
        assert plan.changes == (TopicChange(topic=more.name, what="partitions", was="2", becomes="5"),)
        assert plan.findings == ()
        await topics.admin.apply(plan)
        assert (await topics.describe([more.name]))[more.name] == more

    async def test_a_topic_with_entries_grows_only_if_told_to(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        await write(topics.options, specs[0].name)
        more = replace(specs[0], partitions=5)
        plan = await topics.admin.plan([more])
        assert not plan.changes_anything
        (finding,) = plan.findings
        assert (finding.level, finding.subject) == ("problem", more.name)
        assert "overtake" in finding.message
        assert "--grow" in finding.remedy
        await topics.admin.apply(plan)
        assert (await topics.describe([more.name]))[more.name].partitions == 2
        told = await topics.admin.plan([more], grow=True)
        assert [one.level for one in told.findings] == ["warning"]
        await topics.admin.apply(told)
        assert (await topics.describe([more.name]))[more.name] == more

    async def test_a_value_that_kafka_does_not_know_is_refused_with_its_own_words(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        change = TopicChange(topic=specs[0].name, what="cleanup.policy", was="delete", becomes="sometimes")
        with pytest.raises(TopicRefusedError, match=r"(?i)sometimes"):
            await topics.admin.apply(TopicPlan(changes=(change,)))

    async def test_more_replicas_than_brokers_are_refused(
        self, options: KafkaLogOptions, specs: tuple[TopicSpec, ...]
    ) -> None:
        admin = await KafkaTopics.open(replace(options, replication=64))
        try:
            plan = await admin.plan(specs)
            assert [one.level for one in plan.findings] == ["problem"]
            with pytest.raises(TopicRefusedError, match=r"(?i)replication"):
                await admin.apply(plan)
        finally:
            await admin.close()

    async def test_a_cluster_that_does_not_answer_is_named(self) -> None:
        with pytest.raises(LogUnavailableError):
            await KafkaTopics.open(KafkaLogOptions(bootstrap=("127.0.0.1:1",), request_seconds=2))

    async def test_the_older_call_would_have_lost_the_operators_setting(
        self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        name = specs[0].name
        await topics.admin.apply(await topics.admin.plan(specs))
        await topics.set(name, segment_bytes="123456789")
        await topics.admin._admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "60000"})]
        )
        async with asyncio.timeout(10):
            facts = (await topics.admin.facts([name])).topics[name]
            while facts.settings["retention.ms"] != "60000":
                await asyncio.sleep(0.02)
                facts = (await topics.admin.facts([name])).topics[name]
        assert facts.settings["segment.bytes"] != "123456789"
        assert "cleanup.policy" not in facts.own

    async def test_settings_are_set_one_by_one(self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        name = specs[1].name
        answer = await topics.admin._admin._send_request(SetTopicSettings({name: {"segment.bytes": "2097152"}}))
        assert [(code, topic) for code, _, _, topic in answer.responses] == [(0, name)]


class TestFindings:
    async def test_topics_as_custody_makes_them_break_no_promise(
        self, topics: KafkaTopicBench, options: KafkaLogOptions, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        found = await kafka_findings(options, specs, strict=False, erase_after_seconds={})
        assert [one for one in found if one.level == "problem"] == []
        strict = await kafka_findings(options, specs, strict=True, erase_after_seconds={})
        assert {one.subject for one in strict if one.level == "problem"} >= {"log", "brokers"}

    async def test_a_broken_topic_is_named_with_all_that_is_wrong(
        self, topics: KafkaTopicBench, options: KafkaLogOptions, specs: tuple[TopicSpec, ...]
    ) -> None:
        broken, *rest = specs
        await topics.admin.apply(await topics.admin.plan(rest[1:]))
        wrong = {
            "cleanup.policy": "compact",
            "max.message.bytes": "1000",
            "message.timestamp.type": "CreateTime",
            "retention.bytes": "1048576",
            "retention.ms": "60000",
            "unclean.leader.election.enable": "true",
        }
        await topics.made(replace(broken, partitions=1), topic_configs=wrong)
        found = await kafka_findings(
            replace(options, replication=2, min_insync=2), specs, strict=False, erase_after_seconds={}
        )
        problems = [one for one in found if one.level == "problem"]
        said = " ".join(
            f"{one.subject} {one.message}" for one in problems if broken.name in f"{one.subject} {one.message}"
        )
        for name in (*wrong, "min.insync.replicas", "1 replicas, not 2"):
            assert name in said, name
        assert any(f"are missing: {rest[0].name}" in one.message for one in problems)
        assert any("1 partitions, not 2" in one.message for one in found)
        assert all(one.remedy for one in found if one.level != "ok")


class TestMembers:
    async def test_who_reads_what_is_told(self, topics: KafkaTopicBench, specs: tuple[TopicSpec, ...]) -> None:
        await topics.admin.apply(await topics.admin.plan(specs[:1]))
        group = f"readers-{secrets.token_hex(4)}"
        consumer = AIOKafkaConsumer(
            specs[0].name,
            bootstrap_servers=list(topics.options.bootstrap),
            group_id=group,
            client_id="desk",
            group_instance_id="archive-1",
        )
        try:
            await consumer.start()
            async with asyncio.timeout(30):
                while len(consumer.assignment()) < 2:
                    await consumer.getmany(timeout_ms=50)
            found = await group_members(topics.admin._admin, group)
        finally:
            await consumer.stop()
        assert found.keys() == {Place(specs[0].name, number) for number in range(2)}
        assert set(found.values()) == {"archive-1 at 127.0.0.1"}
        assert await group_members(topics.admin._admin, f"nobody-{group}") == {}
