"""The event log on Kafka."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Self

from broker.core.metrics import NoMetrics
from broker.log.kafka.admin import group_members
from broker.log.kafka.appending import Appender
from broker.log.kafka.catalog import Catalog
from broker.log.kafka.connections import Connections
from broker.log.kafka.errors import guarded
from broker.log.kafka.membership import Member
from broker.log.kafka.reading import Reader
from broker.log.kafka.subscription import KafkaSubscription

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from broker.core.metrics import Metrics
    from broker.core.ports import Bounds, LogEntry, NewEntry, StartAt
    from broker.core.topics import TopicPartition, TopicSpec
    from broker.log.kafka.options import KafkaLogOptions


class KafkaLog:
    """Implements `EventLog`.

    A key's partition is the one that Kafka's own producers choose. An append returns when every replica in sync has
    it; in order within a key, at least once. A log belongs to the event loop that opened it.
    """

    def __init__(self, connections: Connections, *, metrics: Metrics) -> None:
        self._connections = connections
        self._catalog = Catalog(connections)
        self._reader = Reader(connections, self._catalog)
        self._appender = Appender(connections, self._catalog, metrics=metrics)
        self._subscriptions: dict[KafkaSubscription, tuple[str, int]] = {}
        self._closed = False

    @classmethod
    async def open(cls, options: KafkaLogOptions, *, metrics: Metrics | None = None) -> Self:
        """Opens the log on that cluster.

        Raises:
            LogUnavailableError: no broker answers, or they refuse the login; open it again later.
            SettingsError: addresses, files or the way to log in can't be right.
        """
        return cls(await Connections.open(options), metrics=metrics or NoMetrics())

    @property
    def identity(self) -> str:
        return self._connections.identity

    @property
    def entry_bytes(self) -> int:
        return self._connections.options.entry_bytes

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """See `EventLog.append`.

        Raises:
            LogUnavailableError: none may be taken as written; some may have been, or will be when brokers are back.
            UnknownTopicError: create the topic first; nothing was written.
            TooLargeError: an entry over `entry_bytes`; nothing was written.
        """
        await self._appender.append(entries)

    async def subscribe(
        self, group: str, streams: Sequence[str], *, start_at: StartAt | None = None
    ) -> KafkaSubscription:
        """See `EventLog.subscribe`. A topic created later is noticed within `metadata_seconds`."""
        self._connections.refuse_closed()
        number = self._free_number(group)
        instance = self._connections.options.instance
        subscription = KafkaSubscription(
            self._connections,
            self._catalog,
            Member(group=group, streams=streams, instance=f"{instance}-{group}-{number}" if instance else None),
            start_at=start_at,
            on_close=self._forget,
        )
        self._subscriptions[subscription] = (group, number)
        try:
            await subscription.join()
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def read(self, partition: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        return await self._reader.read(partition, offset, max_entries=max_entries)

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return await self._catalog.bounds(topics)

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return await self._catalog.committed(group, topics)

    @guarded("looking at a group")
    async def members(self, group: str) -> Mapping[TopicPartition, str]:
        return await self._connections.insist(lambda: group_members(self._connections.admin, group))

    async def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """See `EventLog.create_topics`. A topic that exists stays as it is: `custody topics plan` shows the difference.

        Raises:
            SettingsError: the cluster can't create a topic as it was asked for.
        """
        return await self._catalog.create(specs)

    async def topics(self) -> Sequence[str]:
        return await self._catalog.names()

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """See `EventLog.trim`. Members elsewhere may still be handed what they had fetched before."""
        first = await self._catalog.trim(partition, before)
        for subscription in self._subscriptions:
            subscription.trimmed(partition, first)

    async def expire(self, now: datetime, *, floors: Mapping[TopicPartition, int]) -> int:  # noqa: ARG002 - the seam's
        """Kafka takes away what is older than a topic's retention by itself: nothing to do."""
        return 0

    async def ping(self) -> None:
        await self._connections.ping()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for subscription in list(self._subscriptions):
            await subscription.close()
        await self._appender.close()
        await self._catalog.close()
        await self._connections.close()

    def _free_number(self, group: str) -> int:
        """Tells apart the members that this process has in one group; the same again after a restart."""
        taken = set(self._subscriptions.values())
        return next(number for number in count(1) if (group, number) not in taken)

    def _forget(self, subscription: KafkaSubscription) -> None:
        self._subscriptions.pop(subscription, None)
