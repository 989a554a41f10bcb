"""The producer, and its successors: an idempotent producer that missed a beat is of no further use.

Its brokers count the batches of each partition. Once aiokafka gave up on one that it had numbered, every later one is
out of order, for ever (seen in 0.14.0: it neither starts a new epoch nor says so). So whoever sees a batch fail
spoils the producer, and the next batch gets another one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aiokafka.errors import ProducerClosed

from broker.log.kafka.errors import DRIVER_ERRORS

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from broker.log.kafka.connections import Connections


class Producers:
    """One producer at a time, started when it is first needed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def current(self) -> AIOKafkaProducer:
        """A producer that nobody has spoiled yet."""
        async with self._starting:
            if self._producer is None:
                self._producer = await self._start()
            return self._producer

    def spoil(self, producer: AIOKafkaProducer) -> None:
        """Takes no further batches for this one; what it has in hand for other partitions goes on."""
        if producer is self._producer:
            self._producer = None
            task = asyncio.create_task(self._retire(producer), name="log-producer-retiring")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Lets the last producer finish, and lets go of all."""
        if self._producer is not None:
            self.spoil(self._producer)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _start(self) -> AIOKafkaProducer:
        producer = self._connections.producer()
        try:
            async with asyncio.timeout(self._connections.options.request_seconds):
                await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Ends it when its batches are settled, and no later than a batch may take."""
        stopping = asyncio.ensure_future(producer.stop())
        done, _ = await asyncio.wait({stopping}, timeout=self._connections.options.request_seconds)
        if not done:
            # There is no public way to give up: `stop` waits for the brokers, however long they are away.
            producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - as just said
        with suppress(*DRIVER_ERRORS, KeyError):  # a batch in flight may miss its place among those failed
            await stopping
        await producer.client.close()
