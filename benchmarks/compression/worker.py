"""The subject: the log as the edge appends to it."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.compression.orders import CompressionOrders
from benchmarks.logs import open_log, prepared
from benchmarks.machine import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.child import Orders
    from broker.core.ports import EventLog, NewEntry


async def main(orders: Orders) -> None:
    """Appends what the orders say, and answers with what it took."""
    wanted = await orders.next(CompressionOrders)
    bodies = list(prepared(wanted.entries))
    log = await open_log(wanted.log, compression=wanted.compression)
    await log.create_topics(tenant.topics())
    gc.collect()
    gc.freeze()  # the entries lie there before the clock starts: looking through them is no part of the work
    meter, left = Meter(), iter(bodies)
    await asyncio.gather(*(_append(log, left) for _ in range(wanted.bodies_at_once)))
    orders.answer(meter.spent())
    await log.close()


async def _append(log: EventLog, bodies: Iterator[Sequence[NewEntry]]) -> None:
    for body in bodies:
        await log.append(body)
