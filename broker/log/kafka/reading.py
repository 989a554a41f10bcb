"""Reading single partitions outside any group."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import TopicPartition as KafkaPartition

from broker.log.kafka.catalog import bounds_by
from broker.log.kafka.entries import entries_of
from broker.log.kafka.errors import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from broker.core.ports import LogEntry
    from broker.core.topics import TopicPartition
    from broker.log.kafka.catalog import Catalog
    from broker.log.kafka.connections import Connections


class Reader:
    """One consumer without a group, for one caller at a time."""

    def __init__(self, connections: Connections, catalog: Catalog) -> None:
        self._connections = connections
        self._catalog = catalog
        self._turn = asyncio.Lock()

    async def read(self, place: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        """See `EventLog.read`."""
        if not await self._catalog.has(place):
            return []
        async with self._turn:
            return entries_of(await self._read(KafkaPartition(place.topic, place.partition), offset, max_entries))

    @guarded("reading")
    async def _read(self, place: KafkaPartition, offset: int, max_entries: int) -> Sequence[ConsumerRecord]:
        consumer = self._connections.reader
        async with asyncio.timeout(self._connections.options.request_seconds):
            if consumer.assignment() != {place}:
                consumer.assign([place])
            bounds = (await bounds_by(consumer, [place]))[place]
            start = max(offset, bounds.first)
            if start >= bounds.end or max_entries < 1:
                return []
            consumer.seek(place, start)
            consumer.resume(place)
            try:
                return await _take(consumer, place, bounds.end, max_entries)
            finally:
                consumer.pause(place)  # or it would go on fetching, for nobody


async def _take(
    consumer: AIOKafkaConsumer, place: KafkaPartition, end: int, max_entries: int
) -> Sequence[ConsumerRecord]:
    """What lies before `end`, up to `max_entries`. An offset may be missing: others' transactions leave marks."""
    found: list[ConsumerRecord] = []
    while len(found) < max_entries and await consumer.position(place) < end:
        batch = await consumer.getmany(place, timeout_ms=100, max_records=max_entries - len(found))
        found += batch.get(place, [])
    return found
