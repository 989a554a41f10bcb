"""The archive worker on the clock of the system, until the parent wants no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.worker import working
from benchmarks.edge.real import account
from broker.servers import now

if TYPE_CHECKING:
    from benchmarks.child import Orders


async def main(orders: Orders) -> None:
    """Keeps whatever comes."""
    async with working(await orders.next(WorkerOrders), clock=now) as delivery:
        telling = asyncio.create_task(account(orders))
        telling.add_done_callback(lambda _: delivery.stop.set())
        await delivery.run()
        await telling
