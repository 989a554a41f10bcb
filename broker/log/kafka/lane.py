"""Writing to one partition: what several callers bring goes into one batch, one batch after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)

from broker.core.errors import CustodyError, LogUnavailableError, TooLargeError
from broker.core.ports import NewEntry
from broker.log.kafka.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder
    from aiokafka.structs import RecordMetadata

    from broker.core.topics import TopicPartition
    from broker.log.kafka.producing import Producers

FEW_ENTRIES = 32
"""So few wait `linger_seconds` for company; more are company enough."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_DOING = "appending"


@dataclass(slots=True, eq=False, kw_only=True)
class Share:
    """What one caller has for one partition: all of it is acknowledged, or the caller is told otherwise."""

    entries: Sequence[NewEntry]
    deadline: float
    done: asyncio.Future[None]
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.entries)

    def acknowledge(self) -> None:
        """One more of its entries is durable."""
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: CustodyError) -> None:
        """Not all of it will be."""
        if not self.done.done():
            self.done.set_exception(error)


_Item = tuple[Share, NewEntry]


class Lane:
    """One partition. At most one batch is under way, so that entries keep their order.

    Partitions do not wait for each other: one without a leader holds up nobody else.
    """

    def __init__(
        self,
        place: TopicPartition,
        producers: Producers,
        *,
        linger_seconds: float,
        on_give_up: Callable[[str], None],
    ) -> None:
        self._place = place
        self._producers = producers
        self._linger_seconds = linger_seconds
        self._on_give_up = on_give_up
        self._queue: deque[_Item] = deque()
        self._writer: asyncio.Task[None] | None = None

    def put(self, share: Share) -> None:
        """Writes it after what came before."""
        self._queue.extend((share, entry) for entry in share.entries)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="log-appender")

    async def idle(self) -> None:
        """Returns when nothing is left to write."""
        while self._writer is not None:
            await asyncio.wait({self._writer})

    async def _write_all(self) -> None:
        try:
            if len(self._queue) < FEW_ENTRIES:
                await asyncio.sleep(self._linger_seconds)
            while self._queue:
                await self._write_next()
        finally:
            self._writer = None

    async def _write_next(self) -> None:
        while self._queue and self._queue[0][0].done.done():  # refused, or its caller has gone
            self._queue.popleft()
        if not self._queue:
            return
        share = self._queue[0][0]
        try:
            async with asyncio.timeout_at(share.deadline):
                producer = await self._producers.current()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for it
            share.refuse(_told(error))
            return
        builder = producer.create_batch()
        await self._write(builder, self._fill(builder))

    def _fill(self, builder: BatchBuilder) -> list[_Item]:
        """Takes what fits into one batch; a first entry always does."""
        taken: list[_Item] = []
        while self._queue:
            share, entry = self._queue[0]
            if not share.done.done():
                if not _added(builder, entry):
                    break
                taken.append((share, entry))
            self._queue.popleft()
        return taken

    async def _write(self, builder: BatchBuilder, items: list[_Item]) -> None:
        if not items:
            return
        try:
            await self._send(builder, _deadline(items))
        except _TOO_LARGE:
            await self._write_halves(items)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for it
            _refuse(items, error)
        else:
            for share, _ in items:
                share.acknowledge()

    async def _write_halves(self, items: list[_Item]) -> None:
        """The brokers take less than we do: what is at fault is found, and refused alone."""
        if len(items) == 1:
            items[0][0].refuse(
                TooLargeError(
                    f"{self._place.topic} takes smaller entries than the log's settings say; nothing was appended. "
                    "Compare them: custody topics plan"
                )
            )
            return
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            try:
                async with asyncio.timeout_at(_deadline(half)):
                    builder = (await self._producers.current()).create_batch()
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for it
                _refuse(half, error)
                continue
            for _, entry in half:
                _added(builder, entry)
            await self._write(builder, half)

    async def _send(self, builder: BatchBuilder, deadline: float) -> None:
        """Returns when every replica in sync has the batch. Raises what aiokafka does, and `TimeoutError`."""
        builder.close()
        loop = asyncio.get_running_loop()
        while True:
            async with asyncio.timeout_at(deadline):
                producer = await self._producers.current()
                try:
                    written = await producer.send_batch(builder, self._place.topic, partition=self._place.partition)
                except ProducerClosed:
                    continue  # another lane spoiled it meanwhile; nothing of this batch was taken
                except KafkaError:
                    self._producers.spoil(producer)
                    raise
            break
        await asyncio.wait({written}, timeout=max(0.0, deadline - loop.time()))
        if not written.done():
            # It may be written later, when its partition is back: who repeats it repeats what readers absorb.
            written.add_done_callback(partial(self._came_late, producer))
            self._on_give_up(self._place.topic)
            raise TimeoutError
        self._look_at(written, producer)
        written.result()

    def _came_late(self, producer: AIOKafkaProducer, written: asyncio.Future[RecordMetadata]) -> None:
        self._look_at(written, producer)

    def _look_at(self, written: asyncio.Future[RecordMetadata], producer: AIOKafkaProducer) -> None:
        if not written.cancelled() and written.exception() is not None:
            self._producers.spoil(producer)
            self._on_give_up(self._place.topic)


def _deadline(items: Sequence[_Item]) -> float:
    return min(share.deadline for share, _ in items)


def _refuse(items: Sequence[_Item], error: Exception) -> None:
    problem = _told(error)
    for share, _ in items:
        share.refuse(problem)


def _added(builder: BatchBuilder, entry: NewEntry) -> bool:
    return builder.append(timestamp=None, key=entry.key, value=entry.value, headers=list(entry.headers)) is not None


def _told(error: Exception) -> CustodyError:
    if isinstance(error, CustodyError):
        return error
    if isinstance(error, TimeoutError | KafkaTimeoutError):
        return LogUnavailableError("the log did not acknowledge in time while appending; try again later")
    return translated(error, _DOING)
