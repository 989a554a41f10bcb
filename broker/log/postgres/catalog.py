"""The topics there are, and their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.ports import Bounds
from broker.core.topics import TopicPartition, TopicSpec, split_topic
from broker.log.errors import UnknownTopicError
from broker.log.postgres.errors import guarded
from broker.log.postgres.queries import queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.log.postgres.connections import Connections


class Catalog:
    """Topics are only ever added, and keep their partitions: what was found once is remembered."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._partition_ids: dict[str, list[int]] = {}

    async def partition_ids(self, topics: set[str]) -> Mapping[str, Sequence[int]]:
        """The ids of each topic's partitions, in order. `UnknownTopicError` for what does not exist."""
        missing = topics - self._partition_ids.keys()
        if missing:
            self._partition_ids |= await self._find(missing)
            unknown = topics - self._partition_ids.keys()
            if unknown:
                raise UnknownTopicError(sorted(unknown))
        return self._partition_ids

    @guarded("looking for topics")
    async def _find(self, topics: set[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        async with self._connections.borrow() as connection:
            for name, partition_id in await connection.fetch(queries()["find_partitions"], list(topics)):
                found.setdefault(name, []).append(partition_id)
        return found

    @guarded("creating topics")
    async def create(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """See `EventLog.create_topics`."""
        streams = [split_topic(spec.name)[1] for spec in specs]
        names = [spec.name for spec in specs]
        retentions = [spec.retention_seconds for spec in specs]
        async with self._connections.borrow() as connection, connection.transaction():
            made = await connection.fetch(
                queries()["create_topics"], names, streams, [spec.partitions for spec in specs], retentions
            )
            await connection.execute(queries()["set_retention"], names, retentions)
        return [name for (name,) in made]

    @guarded("describing topics")
    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicSpec]:
        """How these topics are; those that do not exist are left out."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["describe_topics"], list(topics))
        return {
            name: TopicSpec(name=name, partitions=partitions, retention_seconds=retention)
            for name, partitions, retention in rows
        }

    @guarded("listing topics")
    async def names(self) -> Sequence[str]:
        """See `EventLog.topics`."""
        async with self._connections.borrow() as connection:
            return [name for (name,) in await connection.fetch(queries()["list_topics"])]

    @guarded("reading bounds")
    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        """See `EventLog.bounds`."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["bounds"], list(topics))
        return {TopicPartition(name, partition): Bounds(first=first, end=end) for name, partition, first, end in rows}

    @guarded("listing members")
    async def owners(self, group: str) -> Mapping[TopicPartition, str]:
        """See `EventLog.members`."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["list_owners"], group)
        return {TopicPartition(name, partition): str(owner) for name, partition, owner in rows}

    @guarded("reading committed offsets")
    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """See `EventLog.committed`."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["committed"], group, list(topics))
        return {TopicPartition(name, partition): offset for name, partition, offset in rows}
