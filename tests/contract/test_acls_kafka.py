"""The access lists that `custody topics acls` prints, on a real broker: enough for each role, and nothing more."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import CreateAclsRequest

from broker.core.access import ROLES, TENANT_ROLES, WORKER_ROLES, Role
from broker.core.errors import LogUnavailableError
from broker.core.ports import NewEntry
from broker.core.topic_plan import TopicChange, TopicPlan
from broker.core.topics import ARCHIVED_STREAMS, Stream, tenant_topics, topic_name, unclaimed_topic
from broker.log.kafka import KafkaLog
from broker.log.kafka.acls import Grant, grants
from broker.log.kafka.admin import KafkaTopics, kafka_findings
from broker.log.kafka.local import ClusterOptions, ClusterSecurity, KafkaCluster, Login
from broker.log.kafka.options import KafkaLogOptions, KafkaSecurity
from broker.workers.lag import READ_BY, look
from tests.kafka_servers import private_kafka

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence

    from broker.core.ports import Finding

USERS = (*(role.name for role in ROLES), "other")
"""Who has a login, with `<name>-secret` for its password."""

_RESOURCES = {"--topic": 2, "--group": 3, "--cluster": 4}
_PATTERNS = {"literal": 3, "prefixed": 4}
_OPERATIONS = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}
_ALLOW = 3
REFUSALS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""The last one is for who may write nowhere at all: it is given no producer id."""


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A cluster under access lists, with the topics of two tenants."""

    admin: str
    clients: str
    tenant: str
    other: str

    def login(self, user: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.clients,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": user,
            "sasl_plain_password": f"{user}-secret",
        }

    def options(self, user: str) -> KafkaLogOptions:
        security = KafkaSecurity(
            protocol="sasl_plaintext", mechanism="scram-sha-256", username=user, password=lambda: f"{user}-secret"
        )
        return KafkaLogOptions(
            bootstrap=(self.clients,), replication=1, min_insync=1, request_seconds=5.0, security=security
        )

    async def findings(self) -> Sequence[Finding]:
        """What the operator is told of the tenant's topics."""
        wanted = [*tenant_topics(self.tenant, partitions=1, retention_days=1), unclaimed_topic()]
        return await kafka_findings(self.options("operator"), wanted, strict=False, erase_after_seconds={})

    def topic(self, stream: Stream, tenant: str | None = None) -> str:
        return unclaimed_topic().name if stream is Stream.BODIES else topic_name(tenant or self.tenant, stream)

    async def grant(self, role: Role, *, tenant: str | None = None, user: str | None = None) -> None:
        """Does what the printed commands say."""
        principal = f"User:{user or role.name}"
        found = grants(role, tenant=tenant or self.tenant, principal=principal, bootstrap=[self.admin])
        admin = AIOKafkaAdminClient(bootstrap_servers=self.admin)
        await admin.start()
        try:
            for one in found:
                for request in requests(one):
                    answer = await admin._send_to_controller(request)
                    assert [code for code, _ in answer.creation_responses] == [0]
        finally:
            await admin.close()

    @asynccontextmanager
    async def producer(self, user: str) -> AsyncGenerator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self.login(user), acks="all", enable_idempotence=True)
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()

    async def write(self, user: str, topic: str) -> None:
        async with self.producer(user) as producer:
            await producer.send_and_wait(topic, b"an entry", partition=0)

    async def read(self, user: str, topic: str, group: str | None = None) -> bytes:
        """The first entry; committed, if it was read in a group."""
        consumer = AIOKafkaConsumer(
            topic, **self.login(user), group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
        )
        try:
            await consumer.start()
            entry = await consumer.getone()
            if group is not None:
                await consumer.commit({TopicPartition(entry.topic, entry.partition): entry.offset + 1})
            return bytes(entry.value)
        finally:
            await consumer.stop()


def requests(grant: Grant) -> list[Any]:
    """The requests that Kafka's own tool makes of a command."""
    words = grant.words[grant.words.index("--add") + 1 :]
    found: dict[str, list[str]] = {}
    for number, word in enumerate(words):
        if word.startswith("--"):
            found.setdefault(word, []).append("kafka-cluster" if word == "--cluster" else words[number + 1])
    assert set(found) <= {*_RESOURCES, "--operation", "--allow-principal", "--resource-pattern-type"}
    (principal,) = found["--allow-principal"]
    (pattern,) = found.get("--resource-pattern-type", ["literal"])
    return [
        CreateAclsRequest(kind, name, _PATTERNS[pattern], principal, "*", _OPERATIONS[operation], _ALLOW)
        for word, kind in _RESOURCES.items()
        for name in found.get(word, [])
        for operation in found["--operation"]
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brokers() -> AsyncIterator[KafkaCluster]:
    """A broker where whoever logs in may do only what an access list allows."""
    logins = tuple(Login(user=name, password=f"{name}-secret", mechanism="scram-sha-256") for name in USERS)
    security = ClusterSecurity(protocol="sasl_plaintext", mechanisms=("scram-sha-256",), logins=logins, acls=True)
    async with private_kafka(ClusterOptions(security=security)) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def guarded(brokers: KafkaCluster) -> AsyncIterator[Guarded]:
    (admin,), (clients,) = brokers.admin_bootstrap, brokers.bootstrap
    found = Guarded(admin=admin, clients=clients, tenant=f"t-{secrets.token_hex(6)}", other=f"o-{secrets.token_hex(6)}")
    topics = await KafkaTopics.open(KafkaLogOptions(bootstrap=(admin,), replication=1, min_insync=1))
    wanted = [
        *(
            one
            for tenant in (found.tenant, found.other)
            for one in tenant_topics(tenant, partitions=1, retention_days=1)
        ),
        unclaimed_topic(),
    ]
    await topics.apply(await topics.plan(wanted))
    await topics.close()
    producer = AIOKafkaProducer(bootstrap_servers=admin)
    await producer.start()
    for spec in wanted:
        await producer.send_and_wait(spec.name, b"an entry", partition=0)
    await producer.stop()
    yield found


async def refused(work: Awaitable[object]) -> None:
    with pytest.raises(REFUSALS):
        await work


@pytest.mark.parametrize("role", [one for one in WORKER_ROLES if one.name != "send"], ids=lambda one: one.name)
async def test_a_worker_can_do_what_it_does_and_nothing_else(guarded: Guarded, role: Role) -> None:
    await guarded.grant(role)
    for stream in (one for one in Stream if one is not Stream.BODIES):
        topic = guarded.topic(stream)
        if stream in role.writes:
            await guarded.write(role.name, topic)
        else:
            await refused(guarded.write(role.name, topic))
        if stream not in (*role.reads, *role.consults):
            await refused(guarded.read(role.name, topic))
            continue
        for group in role.groups:
            assert await guarded.read(role.name, topic, group) == b"an entry"
    await refused(guarded.write(role.name, guarded.topic(Stream.MESSAGES, guarded.other)))
    await refused(guarded.read(role.name, guarded.topic(Stream.MESSAGES, guarded.other)))


async def test_the_edge_can_append_and_not_read(guarded: Guarded) -> None:
    await guarded.grant(next(one for one in ROLES if one.name == "edge"))
    await guarded.write("edge", guarded.topic(Stream.MESSAGES))
    await refused(guarded.read("edge", guarded.topic(Stream.MESSAGES)))
    await refused(guarded.read("edge", guarded.topic(Stream.MESSAGES), "archive"))


async def test_a_subscriber_reads_its_own_tenant_in_groups_of_its_own(guarded: Guarded) -> None:
    subscriber = next(one for one in TENANT_ROLES if one.name == "subscriber")
    await guarded.grant(subscriber)
    await guarded.grant(subscriber, tenant=guarded.other, user="other")
    for stream in subscriber.reads:
        name = f"{guarded.tenant}.claims-desk"
        assert await guarded.read("subscriber", guarded.topic(stream), name) == b"an entry"
        await refused(guarded.read("subscriber", guarded.topic(stream, guarded.other), name))
        await refused(guarded.read("other", guarded.topic(stream), f"{guarded.other}.claims-desk"))
        await refused(guarded.read("subscriber", guarded.topic(stream), f"{guarded.other}.claims-desk"))
        await refused(guarded.read("subscriber", guarded.topic(stream), "archive"))
        await refused(guarded.write("subscriber", guarded.topic(stream)))
    await refused(guarded.read("subscriber", guarded.topic(Stream.DEAD)))


async def test_tidy_takes_entries_only_from_what_is_settled_by_offsets(guarded: Guarded) -> None:
    await guarded.grant(next(one for one in WORKER_ROLES if one.name == "tidy"))
    admin = AIOKafkaAdminClient(**guarded.login("tidy"))
    await admin.start()
    try:
        place = TopicPartition(guarded.topic(Stream.FETCHES), 0)
        assert await admin.delete_records({place: RecordsToDelete(1)}) == {place: 1}
        with pytest.raises(KafkaError):
            await admin.delete_records({TopicPartition(guarded.topic(Stream.MESSAGES), 0): RecordsToDelete(1)})
        assert await admin.list_consumer_group_offsets("archive") is not None
        with pytest.raises(GroupAuthorizationFailedError):
            await admin.list_consumer_group_offsets("send")
    finally:
        await admin.close()


OPERATOR = next(one for one in ROLES if one.name == "operator")


async def test_the_operator_is_told_what_breaks_a_promise_and_else_that_nobody_tells(guarded: Guarded) -> None:
    topics = await KafkaTopics.open(KafkaLogOptions(bootstrap=(guarded.admin,), replication=1, min_insync=1))
    messages = guarded.topic(Stream.MESSAGES)
    change = TopicChange(topic=messages, what="cleanup.policy", was="delete", becomes="compact")
    await topics.apply(TopicPlan(changes=(change,)))
    await topics.close()
    await guarded.grant(replace(OPERATOR, inspects=False))
    found = await guarded.findings()
    assert not any(one.level == "ok" for one in found)
    assert any(one.level == "problem" and "not told to this user" in one.message for one in found)
    await guarded.grant(OPERATOR)
    found = await guarded.findings()
    assert [one.message for one in found if one.level == "problem"] == [
        f"cleanup.policy is compact on {messages}: an entry goes when a newer one has its key"
    ]


async def test_the_operator_can_do_what_its_commands_do(guarded: Guarded) -> None:
    await guarded.grant(OPERATOR)
    log = await KafkaLog.open(guarded.options("operator"))
    try:
        for stream in (*ARCHIVED_STREAMS, Stream.FETCHES, Stream.KEPT):  # dead redrive, part refetch, replay
            await log.append([NewEntry(topic=guarded.topic(stream), key=b"k", headers=(), value=b"again")])
        for group, streams in READ_BY.items():  # custody lag
            wanted = [guarded.topic(stream) for stream in streams]
            assert set(wanted) <= set(await log.topics())
            assert {one.place.topic for one in await look(log, None, group, wanted)} == set(wanted)
            assert await log.members(group) == {}
        with pytest.raises(LogUnavailableError, match="acls --tenant"):
            await log.append([NewEntry(topic=guarded.topic(Stream.ERASURES), key=b"k", headers=(), value=b"forged")])
    finally:
        await log.close()


def test_every_command_is_one_line_for_the_shell() -> None:
    for role in ROLES:
        for one in grants(role, tenant="acme", principal="User:CN=desk, O=Acme", bootstrap=["one:9092", "two:9092"]):
            assert one.command.startswith("kafka-acls.sh --bootstrap-server one:9092,two:9092 ")
            assert "'User:CN=desk, O=Acme'" in one.command
            assert "\n" not in one.command
