"""Whoever appends is answered, whatever becomes of the producer meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from broker.core.errors import LogUnavailableError
from broker.core.ports import NewEntry
from broker.core.topics import TopicPartition
from broker.log.kafka.lane import Lane, Share

if TYPE_CHECKING:
    from broker.log.kafka.producing import Producers

PLACE = TopicPartition("custody.acme.messages.v1", 0)


class Batch:
    """Takes whatever it is given."""

    def append(self, **entry: object) -> object:
        return entry

    def close(self) -> None: ...


class RefusingProducer:
    """Its brokers take no batch of this size."""

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, *_: object, **__: object) -> asyncio.Future[None]:
        written = asyncio.get_running_loop().create_future()
        written.set_exception(MessageSizeTooLargeError())
        return written


@dataclass
class FailingProducers:
    """Once a batch was refused, no producer can be had any more: `trouble` raises, or hangs."""

    trouble: Callable[[], Any]
    spoiled: list[object] = field(default_factory=list)

    async def current(self) -> RefusingProducer:
        if self.spoiled:
            await self.trouble()
        return RefusingProducer()

    def spoil(self, producer: object) -> None:
        self.spoiled.append(producer)


async def away() -> None:
    raise KafkaConnectionError


async def hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("trouble", [away, hang])
async def test_callers_are_answered_when_brokers_refuse_a_batch_and_are_then_away(trouble: Callable[[], Any]) -> None:
    lane = Lane(
        PLACE,
        cast("Producers", FailingProducers(trouble)),
        linger_seconds=0,
        on_give_up=lambda _topic: None,
    )
    loop = asyncio.get_running_loop()
    entries = [NewEntry(topic=PLACE.topic, key=b"k", headers=(), value=b"v") for _ in range(2)]
    shares = [Share(entries=entries, deadline=loop.time() + 0.2, done=loop.create_future()) for _ in range(3)]
    for share in shares:
        lane.put(share)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(share.done for share in shares), return_exceptions=True)
        await lane.idle()
    assert {type(one) for one in answers} == {LogUnavailableError}
