"""The archive worker on Postgres, there until it was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.worker import drain, on_postgres

if TYPE_CHECKING:
    from benchmarks.archive.worker import OpenStore
    from benchmarks.child import Orders


async def main(orders: Orders) -> None:
    """Keeps what the orders say, answers with what it took, and waits until the parent wants no more."""
    await stay(orders, on_postgres)


async def stay(orders: Orders, open_store: OpenStore) -> None:
    """The same, with this store."""
    orders.answer(await drain(await orders.next(WorkerOrders), lambda _done: None, open_store=open_store))
    async for _ in orders.all(str):
        pass
