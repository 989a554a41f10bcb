"""The floor: a bare aiohttp client that deletes the same objects, as many at once as the worker does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from benchmarks import tenant
from benchmarks.digests import NotTheSameError
from benchmarks.erase.orders import CONCURRENCY, FloorOrders
from benchmarks.machine import Meter
from benchmarks.provider import address, object_ids
from broker import collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.child import Orders


async def main(orders: Orders) -> None:
    """Deletes what the orders say, and answers with what it took."""
    wanted = await orders.next(FloorOrders)
    account = tenant.registry().accounts["claims"]
    headers = {"Authorization": f"Bearer {account.token}"}
    ids = list(object_ids(wanted.targets))
    async with aiohttp.ClientSession(f"{address(wanted.port)}/", headers=headers) as session:
        waiting = iter(ids)
        collector.settle()
        meter = Meter()
        await asyncio.gather(*(_delete(session, waiting, account.id) for _ in range(CONCURRENCY)))
        orders.answer(meter.spent())


async def _delete(session: aiohttp.ClientSession, waiting: Iterator[str], number: str) -> None:
    for one in waiting:
        async with session.delete(one, params={"phone_number_id": number}) as response:
            if await response.json() != {"success": True}:
                raise NotTheSameError(f"an object was not deleted: HTTP {response.status}")
