"""Kafka's side of the floor: entries read by a bare consumer, notices sent by a bare producer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from broker.settings import LogSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_FETCH_BYTES = 16 * 2**20
_WAIT_MILLISECONDS = 1000


@dataclass(slots=True, kw_only=True)
class KafkaFloor:
    """A consumer outside any group, and an idempotent producer that waits for every replica."""

    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer

    @classmethod
    async def open(cls, bootstrap: str) -> Self:
        """Both, started."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type=None if (packing := LogSettings().compression) == "none" else packing,
            max_batch_size=2**20,
        )
        await consumer.start()
        await producer.start()
        return cls(consumer=consumer, producer=producer)

    async def read_through(self, ends: Mapping[str, int], batch_rows: int) -> AsyncIterator[int]:
        """Reads partitions to their ends, a batch each time; how many entries it had."""
        left = self._assign(ends)
        while left:
            read = 0
            while left and read < batch_rows:
                read += sum(map(len, (await self._some(left, batch_rows - read)).values()))
            yield read

    async def notices_of(self, ends: Mapping[str, int], *, batches: int) -> Sequence[Sequence[ConsumerRecord]]:
        """The notices below these ends, in as many portions as there are batches."""
        left, found = self._assign(ends), list[ConsumerRecord]()
        while left:
            for some in (await self._some(left, None)).values():
                found += some
        shares = range(batches if found else 0)
        return [found[len(found) * one // batches : len(found) * (one + 1) // batches] for one in shares]

    async def publish(self, portions: Sequence[Sequence[ConsumerRecord]]) -> AsyncIterator[None]:
        """Sends a portion each time, as whole batches for each partition, and waits until all are acknowledged."""
        for portion in portions:
            by_place: dict[TopicPartition, list[ConsumerRecord]] = defaultdict(list)
            for one in portion:
                by_place[TopicPartition(one.topic, one.partition)].append(one)
            await asyncio.gather(*(self._send(place, records) for place, records in by_place.items()))
            yield

    async def close(self) -> None:
        """Stops both."""
        await self.consumer.stop()
        await self.producer.stop()

    def _assign(self, ends: Mapping[str, int]) -> dict[TopicPartition, int]:
        left = {_place(name): end for name, end in ends.items() if end > 0}
        if left:
            self.consumer.assign(list(left))
            for place in left:
                self.consumer.seek(place, 0)
        return left

    async def _some(
        self, left: dict[TopicPartition, int], most: int | None
    ) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """What comes of partitions not read to their end yet; takes those out of `left` that are then."""
        got = await self.consumer.getmany(timeout_ms=_WAIT_MILLISECONDS, max_records=most)
        found = {}
        for place, records in got.items():
            if place in left:
                found[place] = [one for one in records if one.offset < left[place]]
                if records[-1].offset + 1 >= left[place]:
                    del left[place]
                    self.consumer.pause(place)
        return found

    async def _send(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        sent = []
        batch = self.producer.create_batch()
        for one in records:
            if batch.append(key=one.key, value=one.value, timestamp=None, headers=list(one.headers)) is None:
                sent.append(await self.producer.send_batch(batch, place.topic, partition=place.partition))
                batch = self.producer.create_batch()
                batch.append(key=one.key, value=one.value, timestamp=None, headers=list(one.headers))
        sent.append(await self.producer.send_batch(batch, place.topic, partition=place.partition))
        await asyncio.gather(*sent)


def _place(name: str) -> TopicPartition:
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition))
