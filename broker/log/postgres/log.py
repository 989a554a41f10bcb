"""The event log on Postgres: the embedded default, which needs no broker beside the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from broker.core.errors import LogUnavailableError
from broker.core.metrics import NoMetrics
from broker.log.postgres.appending import Appender
from broker.log.postgres.catalog import Catalog
from broker.log.postgres.connections import Connections
from broker.log.postgres.errors import guarded
from broker.log.postgres.membership import Membership, find_group
from broker.log.postgres.options import PostgresLogOptions
from broker.log.postgres.queries import queries
from broker.log.postgres.reading import Reader
from broker.log.postgres.retention import Retention
from broker.log.postgres.schema import migrate
from broker.log.postgres.subscription import PostgresSubscription
from broker.log.postgres.wakeups import Wakeups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from broker.core.metrics import Metrics
    from broker.core.ports import Bounds, LogEntry, NewEntry, StartAt
    from broker.core.topics import TopicPartition, TopicSpec
    from broker.log.postgres.connections import Dsn


class PostgresLog:
    """Implements `EventLog`.

    A key's partition is CRC-32 of the key modulo the topic's partitions, whose number never changes: order within a
    key holds for good. An append takes its offsets by moving the partition's end inside its own transaction, so they
    become visible in order, without holes. A log belongs to the event loop that opened it.
    """

    def __init__(self, connections: Connections, *, options: PostgresLogOptions, metrics: Metrics) -> None:
        self._connections = connections
        self._options = options
        self._catalog = Catalog(connections)
        self._reader = Reader(connections)
        self._retention = Retention(connections, trim_entries=options.trim_entries)
        self._wakeups = Wakeups(connections, options=options)
        self._appender = Appender(connections, self._catalog, self._wakeups, options=options, metrics=metrics)
        self._subscriptions: set[PostgresSubscription] = set()

    @classmethod
    async def open(cls, dsn: Dsn, *, options: PostgresLogOptions | None = None, metrics: Metrics | None = None) -> Self:
        """Opens the log in that database, as a member of the role `custody_log`.

        `dsn` may be what gives the address: it is asked for each new connection, so that a renewed password is found.

        Raises:
            LogUnavailableError: the server does not answer, or refuses the credential; open it again later.
            SchemaError: the database has no log, or one of another version; migrate it, or upgrade Custody.
            SettingsError: the address is not one, or the server does not keep what it acknowledges.
        """
        options = options or PostgresLogOptions()
        connections = await Connections.open(dsn, options)
        return cls(connections, options=options, metrics=metrics or NoMetrics())

    @staticmethod
    async def migrate(admin_dsn: str, *, grant_to: Sequence[str] = (), keep_identity: bool = False) -> Sequence[str]:
        """Makes the log's schema, or brings it up to date; gives back the names of the migrations that ran.

        May be run again at any time. `grant_to` are users who shall use the log: they become members of the role
        `custody_log`. `keep_identity` is for an administrator who has moved the database, upgraded the server or
        failed over, and knows that nothing was lost: the log goes on under the identity it had. Without it, a log that
        finds itself on another server, in another database or on another timeline answers to another identity.

        Raises:
            LogUnavailableError: the server does not answer, or refuses the credential or the permission.
            SchemaError: the schema is newer than this version of Custody knows; upgrade Custody.
        """
        return await migrate(admin_dsn, grant_to=grant_to, keep_identity=keep_identity)

    @property
    def identity(self) -> str:
        return self._connections.identity

    @property
    def entry_bytes(self) -> int:
        return self._options.entry_bytes

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """See `EventLog.append`; all of the entries are written, or none.

        Raises:
            LogUnavailableError: whether they were written is not known; all or none.
            UnknownTopicError: create the topic first; nothing was written.
            TooLargeError: an entry over `entry_bytes`, or more together than `append_bytes`; nothing was written.
        """
        await self._appender.append(entries)

    async def subscribe(
        self, group: str, streams: Sequence[str], *, start_at: StartAt | None = None
    ) -> PostgresSubscription:
        """See `EventLog.subscribe`. A topic created later is noticed within a third of `lease_seconds`."""
        group_id = await find_group(self._connections, group)
        subscription = PostgresSubscription(
            Membership(
                self._connections, group_id=group_id, streams=streams, lease_seconds=self._options.lease_seconds
            ),
            self._reader,
            self._wakeups,
            options=self._options,
            start_at=start_at,
            on_close=self._subscriptions.discard,
        )
        self._subscriptions.add(subscription)
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

    async def members(self, group: str) -> Mapping[TopicPartition, str]:
        return await self._catalog.owners(group)

    async def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """See `EventLog.create_topics`.

        A topic that exists keeps its partitions, since another number would tear keys apart; it takes the retention
        now asked for.
        """
        created = await self._catalog.create(specs)
        self._wakeups.regrouped(None)
        return created

    async def describe_topics(self, topics: Sequence[str]) -> Mapping[str, TopicSpec]:
        """How these topics are now; those that do not exist are left out."""
        return await self._catalog.describe(topics)

    async def topics(self) -> Sequence[str]:
        return await self._catalog.names()

    async def trim(self, partition: TopicPartition, before: int) -> None:
        await self._retention.trim(partition, before)

    async def expire(self, now: datetime, *, floors: Mapping[TopicPartition, int]) -> int:
        """See `EventLog.expire`. To be called every now and then."""
        return await self._retention.expire(now, floors)

    @guarded("asking for an answer")
    async def ping(self) -> None:
        async with self._connections.borrow() as connection:
            if not await connection.fetchval(queries()["ping"]):
                raise LogUnavailableError("the log's Postgres is a standby: entries can't be appended")

    async def close(self) -> None:
        for subscription in list(self._subscriptions):
            await subscription.close()
        await self._appender.close()
        await self._wakeups.close()
        await self._connections.close()
