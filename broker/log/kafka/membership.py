"""Membership of a group. FastStream builds the consumer, subscribes and stops it; no loop of its own reads from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError
from faststream import AckPolicy

from broker.core.errors import LogUnavailableError
from broker.core.topics import TopicPartition
from broker.log.kafka.connections import group_arguments, stop_consumer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import AIOKafkaConsumer
    from faststream.kafka import KafkaBroker
    from faststream.kafka.subscriber.usecase import BatchSubscriber

    from broker.log.kafka.options import KafkaLogOptions


class Owner(Protocol):
    """Who is told of the group's changes, at once and without waiting."""

    def revoked(self) -> None:
        """The group changes: until the next word nothing may be handed out."""
        ...

    def assigned(self, places: frozenset[TopicPartition]) -> None:
        """These are owned now, and no others."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Who joins which group, to read what. `instance`: the name of a static member, nobody else's in the group."""

    group: str
    streams: Sequence[str]
    instance: str | None

    @property
    def pattern(self) -> str:
        """The topics of these streams, of every tenant. Matched from the start of a name on."""
        return rf"^custody\.[a-z0-9-]+\.({'|'.join(self.streams)})\.v1$"


class Membership:
    """Starts and stops a membership, as often as need be."""

    def __init__(self, broker: KafkaBroker, member: Member, *, options: KafkaLogOptions, owner: Owner) -> None:
        self.member = member
        self.owner = owner
        self._subscriber = _subscriber(broker, member, options, _Listener(self))
        self._starting: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    @property
    def up(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._starting is not None

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """FastStream's consumer."""
        consumer = self._subscriber.consumer
        if consumer is None:
            raise LogUnavailableError("the membership is being set up; try again later")
        return consumer

    async def start(self) -> asyncio.Task[None]:
        """Begins to join; the task ends when the group has assigned its partitions for the first time."""
        async with self._changing:
            if self._starting is None:
                self._starting = asyncio.create_task(self._subscriber.start(), name="log-joining")
            return self._starting

    async def stop(self) -> None:
        """Leaves the group at once, committing nothing; a static member keeps its place for its session."""
        async with self._changing:
            starting, self._starting = self._starting, None
            if starting is None:
                return
            starting.cancel()
            await asyncio.wait({starting})
            if not starting.cancelled():
                starting.exception()  # told to whoever waited for it
            if self._subscriber.consumer is not None:
                await stop_consumer(self._subscriber.consumer, self._subscriber.stop)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Fetches from there on. `IllegalStateError` where the partition is not assigned.

        When topics come or go, aiokafka drops the whole assignment before it says so, and asserts that there is one.
        """
        try:
            self.consumer.seek(_kafka(place), offset)
        except AssertionError:
            raise IllegalStateError from None

    async def commit(self, positions: Iterable[tuple[TopicPartition, int]]) -> None:
        """Moves the group's offsets. Raises what aiokafka does; tries for ever what may yet succeed."""
        await self.consumer.commit({_kafka(place): offset for place, offset in positions})

    def is_broken(self) -> bool:
        """Whether the consumer's fetching ended by an error: aiokafka tells nobody, and hands out nothing any more."""
        fetcher = self.consumer._fetcher  # noqa: SLF001 - there is no public way to learn it
        return fetcher is not None and bool(fetcher.error_future.done())


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Passes on what happens to the membership that is up."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:  # noqa: ARG002 - all of them always are
        if self._membership.up:
            self._membership.owner.revoked()

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        if self._membership.up:
            self._membership.owner.assigned(frozenset(TopicPartition(*one) for one in assigned))


def _kafka(place: TopicPartition) -> KafkaPartition:
    return KafkaPartition(place.topic, place.partition)


def _subscriber(
    broker: KafkaBroker, member: Member, options: KafkaLogOptions, listener: ConsumerRebalanceListener
) -> BatchSubscriber:
    """A batch subscriber without a handler: FastStream starts no loop for it (pinned by a test)."""
    subscriber: BatchSubscriber = broker.subscriber(
        pattern=member.pattern,
        group_id=member.group,
        group_instance_id=member.instance,
        batch=True,
        ack_policy=AckPolicy.MANUAL,
        listener=listener,
        persistent=False,
        **group_arguments(options),
    )
    return subscriber
