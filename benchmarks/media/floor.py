"""The floor: a bare aiohttp client, and one request to the store for each object, with its SHA-256."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import asyncpg

from backends.s3.clients import Clients
from benchmarks import tenant
from benchmarks.machine import Meter
from benchmarks.media.orders import CONCURRENCY, FloorOrders
from benchmarks.photos.bench import put_into_postgres, put_into_s3
from benchmarks.provider import address, object_ids
from broker import collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.child import Orders
    from benchmarks.media.orders import BlobsAt
    from benchmarks.photos.bench import Put


async def main(orders: Orders) -> None:
    """Moves what the orders say, and answers with what it took."""
    wanted = await orders.next(FloorOrders)
    headers = {"Authorization": f"Bearer {tenant.registry().accounts['claims'].token}"}
    async with AsyncExitStack() as exits:
        session = await exits.enter_async_context(
            aiohttp.ClientSession(f"{address(wanted.port)}/", headers=headers, raise_for_status=True)
        )
        put = await _putting(wanted.blobs, exits)
        waiting = iter(list(object_ids(wanted.parts)))
        collector.settle()
        meter = Meter()
        await asyncio.gather(*(_move(session, put, waiting) for _ in range(CONCURRENCY)))
        orders.answer(meter.spent())


async def _move(session: aiohttp.ClientSession, put: Put, waiting: Iterator[str]) -> None:
    for one in waiting:
        async with session.get(one) as response:
            await put(f"{tenant.TENANT}/{one}/1", await response.read())


async def _putting(at: BlobsAt, exits: AsyncExitStack) -> Put:
    if at.s3 is None:
        pool = asyncpg.create_pool(at.dsn, min_size=CONCURRENCY, max_size=CONCURRENCY)
        return put_into_postgres(await exits.enter_async_context(pool))
    clients = Clients(at.s3.options())
    exits.push_async_callback(clients.close)
    return put_into_s3(await clients.of(at.s3.options().region), at.s3.bucket)
