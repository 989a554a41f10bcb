"""The archive worker on the clock of the system, until the parent wants no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.worker import drain
from benchmarks.edge.real import account
from broker.servers import now

if TYPE_CHECKING:
    from benchmarks.child import Orders


async def main(orders: Orders) -> None:
    """Keeps whatever comes."""
    wanted = await orders.next(WorkerOrders)
    stop = asyncio.Event()
    draining = asyncio.create_task(drain(wanted, lambda _done: None, clock=now, stop=stop))
    telling = asyncio.create_task(account(orders))
    await asyncio.wait({draining, telling}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await draining
