"""The topics there are, their partitions, and where these begin and end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.errors import GroupLoadInProgressError, StaleMetadata, for_code

from broker.core.errors import LogUnavailableError, SettingsError
from broker.core.ports import Bounds
from broker.core.topics import TopicPartition, split_topic
from broker.log.errors import UnknownTopicError
from broker.log.kafka.connections import RETRY_MS
from broker.log.kafka.errors import guarded
from broker.log.kafka.topic_config import topic_config
from broker.log.kafka.topic_ids import AskTopicIds, ids_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from broker.core.topics import TopicSpec
    from broker.log.kafka.connections import Connections

_ALREADY_EXISTS = 36
_PATIENCE = 3
"""The part of `request_seconds` that partitions with bounds wait for those without."""
_UNFIT = {
    37: "log.partitions: the cluster takes no such number; for example 12",
    38: "log.replication: the cluster has fewer brokers than replicas asked for; for example 1, for one broker",
    40: "the cluster refuses a topic's settings; `custody topics plan` shows them",
    44: "the cluster's policy refuses a topic's settings; `custody topics plan` shows them",
}
"""Errors of CreateTopics that settings cause.

Source: https://kafka.apache.org/protocol#protocol_error_codes, 2026-11-23"""


class Catalog:
    """Topics keep their partitions: what was found once is remembered, until there is reason to `doubt` it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._partitions: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def partitions(self, topics: set[str]) -> Mapping[str, int]:
        """How many partitions each topic has. `UnknownTopicError` for what does not exist."""
        await self._find(topics - self._partitions.keys())
        unknown = topics - self._partitions.keys()
        if unknown:
            raise UnknownTopicError(sorted(unknown))
        return self._partitions

    def doubt(self, topic: str) -> None:
        """Looks again, beside what goes on: a topic that takes nothing may have been deleted, or made anew."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._find_quietly(topic), name="log-catalog")

    async def close(self) -> None:
        """Looks no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def has(self, place: TopicPartition) -> bool:
        """Whether there is such a partition."""
        if place.topic not in self._partitions:
            await self._list()
        return place.partition < self._partitions.get(place.topic, 0)

    async def places(self, topics: Iterable[str]) -> Sequence[TopicPartition]:
        """Every partition of these topics, without those that do not exist (any more)."""
        known = self._partitions.keys() & set(topics)
        await self._find(known - (await self._list()).keys())
        return [TopicPartition(topic, number) for topic in topics for number in range(self._partitions.get(topic, 0))]

    async def names(self) -> Sequence[str]:
        """See `EventLog.topics`."""
        return sorted(await self._list())

    async def _find(self, topics: set[str]) -> None:
        """Learns of these topics, and forgets those that stay missing.

        A broker that has just started may not know yet what the others do (seen with 4.3.1), and a topic that is
        missing stops whoever appends to it: so it must be missing for a while, whichever broker is asked.
        """
        deadline = _now() + self._connections.options.request_seconds / 3
        pause = RETRY_MS / 1000
        while missing := topics - (await self._list()).keys() if topics else topics:
            if _now() + pause > deadline:
                for topic in missing:
                    self._partitions.pop(topic, None)
                return
            await asyncio.sleep(pause)
            pause *= 2

    async def _find_quietly(self, topic: str) -> None:
        with suppress(LogUnavailableError):  # whoever appends meets it too, and names it
            await self._find({topic})

    @guarded("looking at topics")
    async def ids(self, topics: Collection[str]) -> Mapping[str, bytes]:
        """The id of each of these topics: a topic made anew has another one. Empty where brokers know of no ids."""
        if not topics:
            return {}
        try:
            answer = await self._connections.insist(
                lambda: self._connections.admin._send_request(AskTopicIds(topics))  # noqa: SLF001 - no public way
            )
        except NotImplementedError:
            return {}
        return ids_of(answer)

    @guarded("listing topics")
    async def _list(self) -> Mapping[str, int]:
        """All topics at once: asking for one that is missing would create it where the cluster's defaults say so."""
        answer = await self._connections.insist(self._connections.admin.describe_topics)
        found = {
            topic["topic"]: len(topic["partitions"])
            for topic in answer
            if topic["partitions"] and _is_ours(topic["topic"])
        }
        self._partitions |= found
        return found

    async def create(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """See `EventLog.create_topics`. `SettingsError`: the cluster can't do it as it was asked for."""
        for spec in specs:
            split_topic(spec.name)
        there = await self._list()
        missing = [spec for spec in specs if spec.name not in there]
        created = await self._create(missing) if missing else set()
        await self._settled(missing)
        return [spec.name for spec in missing if spec.name in created]

    @guarded("creating topics")
    async def _create(self, specs: Sequence[TopicSpec]) -> set[str]:
        options = self._connections.options
        topics = [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions,
                replication_factor=options.replication,
                topic_configs=topic_config(spec, options),
            )
            for spec in specs
        ]
        created: set[str] = set()

        async def create() -> None:
            response = await self._connections.admin.create_topics(topics)
            created.update(name for name, code, *_ in response.topic_errors if not code)
            for _, code, *_ in response.topic_errors:
                if code in _UNFIT:
                    raise SettingsError([_UNFIT[code]])
                if code and code != _ALREADY_EXISTS:
                    raise for_code(code)

        await self._connections.insist(create)
        return created

    @guarded("waiting for new topics")
    async def _settled(self, specs: Sequence[TopicSpec]) -> None:
        """Returns when every partition has a leader: until then an append or a member could not find it."""
        if not specs:
            return
        async with asyncio.timeout(self._connections.options.request_seconds):
            while True:
                found = await self._connections.insist(
                    lambda: self._connections.admin.describe_topics([spec.name for spec in specs])
                )
                if sum(_usable(topic) for topic in found) == len(specs):
                    return
                await asyncio.sleep(RETRY_MS / 1000)

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        """See `EventLog.bounds`."""
        return await self.bounds_of(await self.places(topics))

    @guarded("reading bounds")
    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """First and end offsets of partitions that exist."""
        asked = [KafkaPartition(place.topic, place.partition) for place in places]
        found = await self._connections.insist(lambda: bounds_by(self._connections.finder, asked))
        return {TopicPartition(*one): at for one, at in found.items()}

    async def bounds_found(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """As `bounds_of`, without those of topics that have no bounds now; raises where none has.

        A topic may lack a leader, or be unknown yet to the broker asked: the others do not wait for it long.
        """
        by_topic: dict[str, list[TopicPartition]] = defaultdict(list)
        for place in places:
            by_topic[place.topic].append(place)
        looks = [asyncio.ensure_future(self.bounds_of(asked)) for asked in by_topic.values()]
        try:
            if looks:
                await asyncio.wait(looks, timeout=self._connections.options.request_seconds / _PATIENCE)
                await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
            done = [look for look in looks if look.done()]
            found = [look.result() for look in done if look.exception() is None]
        finally:
            for look in looks:
                look.cancel()
        if done and not found:
            done[0].result()
        return {place: bounds for one in found for place, bounds in one.items()}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """See `EventLog.committed`."""
        return await self.committed_of(group, await self.places(topics))

    @guarded("reading committed offsets")
    async def committed_of(self, group: str, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """A group's next offsets in these partitions, without those it never committed in."""
        asked = [KafkaPartition(place.topic, place.partition) for place in places]
        if not asked:
            return {}

        async def ask() -> Mapping[KafkaPartition, int]:
            found = await self._connections.admin.list_consumer_group_offsets(group, partitions=asked)
            if len(found) < len(asked):
                # A coordinator that is still loading answers without partitions, which aiokafka takes for an answer.
                raise GroupLoadInProgressError
            return {one: at.offset for one, at in found.items()}

        offsets = await self._connections.insist(ask)
        return {TopicPartition(*one): offset for one, offset in offsets.items() if offset >= 0}

    async def trim(self, place: TopicPartition, before: int) -> int:
        """See `EventLog.trim`. Gives back the first offset that is left."""
        bounds = (await self.bounds([place.topic])).get(place)
        if bounds is None or bounds.first >= before:
            return bounds.first if bounds else 0
        first = min(before, bounds.end)
        await self._trim(place, first)
        return first

    @guarded("trimming")
    async def _trim(self, place: TopicPartition, before: int) -> None:
        wanted = {KafkaPartition(place.topic, place.partition): RecordsToDelete(before_offset=before)}
        await self._connections.insist(lambda: self._connections.admin.delete_records(wanted))


async def bounds_by(consumer: AIOKafkaConsumer, places: Collection[KafkaPartition]) -> Mapping[KafkaPartition, Bounds]:
    """First and end offsets, as this consumer finds them.

    Each topic by itself: aiokafka learns of one unknown topic at a time, and waits after each (seen in 0.14.0).
    """
    by_topic: dict[str, list[KafkaPartition]] = defaultdict(list)
    for place in places:
        by_topic[place.topic].append(place)
    found = await asyncio.gather(*(_bounds_by(consumer, asked) for asked in by_topic.values()))
    return {place: bounds for one in found for place, bounds in one.items()}


async def _bounds_by(consumer: AIOKafkaConsumer, places: Collection[KafkaPartition]) -> Mapping[KafkaPartition, Bounds]:
    first = await consumer.beginning_offsets(places)
    end = await consumer.end_offsets(places)
    if len(first) < len(places) or len(end) < len(places):
        raise StaleMetadata
    return {one: Bounds(first=first[one], end=end[one]) for one in places}


def _is_ours(topic: str) -> bool:
    try:
        split_topic(topic)
    except ValueError:
        return False
    return True


def _usable(topic: Mapping[str, object]) -> bool:
    partitions = topic["partitions"]
    return (
        not topic["error_code"]
        and isinstance(partitions, list)
        and bool(partitions)
        and all(not one["error_code"] and one["leader"] >= 0 for one in partitions)
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
