"""The brokers under a stage's log, as the cluster itself sees them: who leads, and who is in sync."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.topics import Stream, TopicPartition, topic_name
from tests.kafka_clients import admin_client
from tests.stage.home import TENANTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from typing import Any

    from broker.log.kafka.local.node import LocalBroker
    from tests.stage.stage import Stage


async def busiest_leader(stage: Stage, *, but: Collection[LocalBroker] = ()) -> LocalBroker:
    """Who leads the partition of `messages` with the most entries, of those that none of `but` leads."""
    bounds = await stage.log.bounds([topic_name(tenant, Stream.MESSAGES) for tenant in TENANTS])
    brokers = {one.node_id: one for one in stage.servers.cluster().brokers if one not in but}
    led = {
        TopicPartition(topic, partition["partition"]): brokers[partition["leader"]]
        async for topic, partition in _partitions(stage)
        if partition["leader"] in brokers
    }
    return led[max(led.keys() & bounds.keys(), key=lambda place: bounds[place].end - bounds[place].first)]


async def all_in_sync(stage: Stage) -> bool:
    """Whether every replica of every partition is in sync: then any one broker may be lost."""
    return all([set(one["isr"]) == set(one["replicas"]) async for _, one in _partitions(stage)])


async def _partitions(stage: Stage) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    cluster = stage.servers.cluster()
    running = [broker.address for broker in cluster.brokers if broker.running]
    async with admin_client(running) as admin:
        for topic in await admin.describe_topics():
            for partition in topic["partitions"]:
                yield topic["topic"], partition
