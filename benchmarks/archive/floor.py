"""The floor: the rows that the worker wrote, written again by a bare client.

The same tables, columns and bytes by the same login; COPY into a temporary table, INSERT .. ON CONFLICT DO NOTHING, and
progress after it, one transaction a batch. Nothing is decoded, planned or digested: the rows lie in memory.
"""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from benchmarks.archive.log_floor import open_floor
from benchmarks.archive.orders import FloorOrders, FloorOutcome
from benchmarks.archive.reference import TABLES, Reference, Rows
from benchmarks.machine import Meter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from benchmarks.child import Orders

    Connection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")

_INCOMING = """
CREATE TEMPORARY TABLE incoming_{table} (LIKE custody_pas.{table} INCLUDING STORAGE)
    WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS
"""
_INSERT = """
INSERT INTO custody_pas.{table} ({columns}) SELECT {columns} FROM pg_temp.incoming_{table} ON CONFLICT DO NOTHING
"""
_MOVE_PROGRESS = """
INSERT INTO custody_pas.progress (log, topic, partition, tenant, start_offset, next_offset, keep_seq, last_event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (log, topic, partition) DO UPDATE
SET next_offset = excluded.next_offset, keep_seq = excluded.keep_seq, last_event_id = excluded.last_event_id
WHERE progress.next_offset < excluded.next_offset
"""  # never back: rows lie in about the order they were written in, where several workers write
_ADD_TALLY = """
INSERT INTO custody_pas.tallies AS tally (log, topic, partition, account, bucket, tenant, entries, duplicates)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
ON CONFLICT (log, topic, partition, account, bucket, tenant) DO UPDATE SET entries = tally.entries + excluded.entries
"""


async def main(orders: Orders) -> None:
    """Writes what the orders say, and answers with what it took."""
    wanted = await orders.next(FloorOrders)
    reference = await Reference.load(wanted.reference_dsn, batch_rows=wanted.batch_rows)
    connection = await open_store(wanted.records_dsn)
    orders.answer(await run(wanted, reference.batches, partial(write, connection)))
    await connection.close()


async def run(wanted: FloorOrders, batches: Sequence[T], write_batch: Callable[[T], Awaitable[None]]) -> FloorOutcome:
    """What it takes to write batches that lie in memory, with what the orders say of the log besides."""
    log = await open_floor(wanted.log)
    notices = await log.notices_of(wanted.publishes, batches=len(batches))
    gc.collect()
    gc.freeze()  # the rows lie there before the clock starts: looking through them is no part of the work
    meter = Meter()
    reading = log.read_through(wanted.reads, wanted.batch_rows)
    entries_read = await _work(batches, write_batch, reading, log.publish(notices))
    spent = meter.spent()
    await log.close()
    return FloorOutcome(spent=spent, entries_read=entries_read)


async def _work(
    batches: Sequence[T],
    write_batch: Callable[[T], Awaitable[None]],
    reading: AsyncIterator[int],
    publishing: AsyncIterator[None],
) -> int:
    """Batch by batch; the next one is read and the last one's notices are published meanwhile. How many were read."""
    entries_read = 0
    read = asyncio.ensure_future(anext(reading, 0))
    published = asyncio.ensure_future(asyncio.sleep(0))
    for batch in batches:
        entries_read += await read
        read = asyncio.ensure_future(anext(reading, 0))
        await write_batch(batch)
        await published
        published = asyncio.ensure_future(anext(publishing, None))
    entries_read += await read
    async for rest in reading:
        entries_read += rest
    await published
    return entries_read


async def open_store(dsn: str) -> Connection:
    """A connection that `write` may use."""
    connection = await asyncpg.connect(dsn)
    for table in TABLES:
        await connection.execute(_INCOMING.format(table=table))
    return connection


async def write(connection: Connection, batch: Rows) -> None:
    """Writes rows in one transaction, those that are there already left out."""
    async with connection.transaction():
        for table in batch.tables:
            if table.rows:
                await _load(connection, table.name, table.columns, table.rows)
        await connection.executemany(_ADD_TALLY, batch.tallies)
        await connection.executemany(_MOVE_PROGRESS, batch.progress)


async def _load(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    await connection.copy_records_to_table(f"incoming_{table}", schema_name="pg_temp", columns=columns, records=rows)
    await connection.execute(_INSERT.format(table=table, columns=", ".join(columns)))
