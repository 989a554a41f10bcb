"""The floor: the documents that the worker wrote, inserted again by a bare client.

The same collections and bytes by the same login, unordered, duplicates ignored, on several connections at once, with
progress after them. Nothing is decoded, planned or digested: the documents lie in memory.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.archive.floor import run
from benchmarks.archive.orders import FloorOrders
from benchmarks.archive_mongo.bare import connected, insert
from benchmarks.archive_mongo.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymongo import ReplaceOne, UpdateOne

    from backends.mongo.drivers import Document
    from benchmarks.archive_mongo.bare import Database
    from benchmarks.archive_mongo.reference import Batch
    from benchmarks.child import Orders


async def main(orders: Orders) -> None:
    """Writes what the orders say, and answers with what it took."""
    wanted = await orders.next(FloorOrders)
    async with connected(wanted.reference_dsn) as database:
        reference = await Reference.load(database, batch_rows=wanted.batch_rows)
    async with connected(wanted.records_dsn, wanted.driver) as database:
        orders.answer(await run(wanted, reference.batches, partial(_write, database)))


async def _write(database: Database, batch: Batch) -> None:
    await asyncio.gather(
        insert(database, batch.documents),
        _update(database, "tallies", batch.tallies),
        _update(database, "progress", batch.progress),
    )


async def _update(database: Database, name: str, updates: Sequence[UpdateOne | ReplaceOne[Document]]) -> None:
    if updates:
        await database[name].bulk_write(updates, ordered=False)
