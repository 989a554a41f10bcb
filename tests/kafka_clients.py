"""A plain aiokafka client against a cluster under test: what it can reach, write and read."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.group import LeaveGroupRequest

from broker.log.kafka.incremental import SetTopicSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence


@asynccontextmanager
async def admin_client(bootstrap: Sequence[str], **login: object) -> AsyncGenerator[AIOKafkaAdminClient]:
    """An administrator's connection."""
    client = AIOKafkaAdminClient(bootstrap_servers=list(bootstrap), **login)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def make_topic(
    bootstrap: Sequence[str], name: str, *, partitions: int = 1, replicas: int = 1, **settings: str
) -> None:
    """Creates a topic; raises aiokafka's error if the cluster refuses."""
    async with admin_client(bootstrap) as admin:
        topic = NewTopic(name, partitions, replicas, topic_configs=settings)
        answer = await admin.create_topics([topic])
        for _, code, *_message in answer.topic_errors:
            if code:
                raise for_code(code)(name)


async def clear(bootstrap: Sequence[str]) -> None:
    """Takes Custody's topics away, and with them the offsets and members of its groups; returns once they are gone."""
    async with admin_client(bootstrap) as admin:
        await ask_members_out(admin)
        while names := [name for name in await admin.list_topics() if name.startswith("custody.")]:
            await admin.delete_topics(names)


async def alter_offsets(bootstrap: Sequence[str], group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Sets a group's offsets, by (topic, partition); the brokers refuse while the group has members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=list(bootstrap), group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign([TopicPartition(*place) for place in offsets])
        await consumer.commit({TopicPartition(*place): offset for place, offset in offsets.items()})
    finally:
        await consumer.stop()


async def set_topic(bootstrap: Sequence[str], topic: str, **settings: str) -> None:
    """Sets single settings of a topic, its underscores for dots: `max_message_bytes="6000"`.

    Returns once the brokers tell of them: they hear of it from the controller a little after it is durable.
    """
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    async with admin_client(bootstrap) as admin:
        answer = await admin._send_to_controller(SetTopicSettings({topic: wanted}))
        for code, *_message in answer.responses:
            if code:
                raise for_code(code)(topic)
        async with asyncio.timeout(60):
            while True:
                if wanted.items() <= (await _settings_of(admin, topic)).items():
                    return
                await asyncio.sleep(0.02)


async def _settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for answer in answers for *_, entries in answer.resources for entry in entries}


async def ask_members_out(admin: AIOKafkaAdminClient) -> None:
    """Ends every membership: those of the dead would hold up the next members of their groups."""
    for group in await groups_of(admin):
        await _ask_out(admin, group)


async def groups_of(admin: AIOKafkaAdminClient) -> list[str]:
    """Every group; a coordinator that has just come up is asked again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return [group for group, *_ in await admin.list_consumer_groups()]
            except KafkaError as error:
                if not error.retriable:
                    raise
            await asyncio.sleep(0.02)


async def _ask_out(admin: AIOKafkaAdminClient, group: str) -> None:
    (answer,) = await admin.describe_consumer_groups([group])
    for description in answer.groups:
        for member_id, *_ in description[5]:
            await admin._send_request(LeaveGroupRequest(group, member_id), await admin.find_coordinator(group))


async def allow(bootstrap: Sequence[str], principal: str, topic: str, operation: Literal["read", "write"]) -> None:
    """An ACL for one principal (`User:ann`) on the topics whose names begin with `topic`.

    Source of the numbers: https://kafka.apache.org/43/javadoc/org/apache/kafka/common/acl/AclOperation.html, 2026-11
    """
    topics, prefixed, any_host, allowed = 2, 4, "*", 3
    number = {"read": 3, "write": 4}[operation]
    async with admin_client(bootstrap) as admin:
        request = CreateAclsRequest(topics, topic, prefixed, principal, any_host, number, allowed)
        answer = await admin._send_to_controller(request)
        for code, _message in answer.creation_responses:
            if code:
                raise for_code(code)(topic)


async def send(bootstrap: Sequence[str], topic: str, *values: bytes, **login: object) -> None:
    """Writes entries; returns once every in-sync replica has them."""
    options = {"acks": "all", "enable_idempotence": True} | login
    producer = AIOKafkaProducer(bootstrap_servers=list(bootstrap), **options)
    try:
        await producer.start()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def read(bootstrap: Sequence[str], topic: str, **login: object) -> list[bytes]:
    """Every entry of partition 0, of all that were there when this was called."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=list(bootstrap), enable_auto_commit=False, **login)
    try:
        await consumer.start()
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[bytes] = []
        while len(found) < end:
            found.append((await consumer.getone(partition)).value)
        return found
    finally:
        await consumer.stop()
