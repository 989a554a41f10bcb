"""The plain way: a handler of FastStream for one message, which inserts one row and acknowledges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage  # noqa: TC002 - FastStream reads the handler's annotations

from benchmarks.peers.tables import ENTRIES, ENTRY, ID

if TYPE_CHECKING:
    from faststream.message import StreamMessage

    from benchmarks.child import Orders

_INSERT = f"INSERT INTO {ENTRIES} ({ID}, {ENTRY}) VALUES ($1, $2) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOrders:
    """Insert what comes on these topics of this broker."""

    bootstrap: str
    dsn: str = field(repr=False)
    group: str
    topics: Sequence[str]


async def main(orders: Orders) -> None:
    """Inserts until the parent wants no more."""
    wanted = await orders.next(PlainOrders)
    connection = await asyncpg.connect(wanted.dsn)
    broker = KafkaBroker(wanted.bootstrap, logger=None)

    @broker.subscriber(
        *wanted.topics,
        group_id=wanted.group,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        decoder=_as_it_is,
    )
    async def keep(message: KafkaMessage) -> None:
        await connection.execute(_INSERT, message.headers[ID], message.body)
        await message.ack()

    await broker.start()
    async for _ in orders.all(str):
        pass
    await broker.stop()
    await connection.close()


async def _as_it_is(message: StreamMessage[object]) -> object:
    """Bytes are stored: to decode them would be work for nothing, and in a thread if this were not async."""
    return message.body
