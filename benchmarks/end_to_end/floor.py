"""The floor of the second hop: reads the log as it grows, and writes the rows that the archive wrote of these records.

The rows lie in memory, by record: nothing is decoded, planned or digested. COPY and INSERT .. ON CONFLICT DO NOTHING in
one transaction a batch, then the offsets. It reads through the log's own subscription, as the floor of the first hop
appends through the log's own append; it keeps no progress in the store, counts nothing and tells nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from benchmarks.archive.floor import open_store, write
from benchmarks.archive.reference import Reference, Rows, Table
from benchmarks.end_to_end.orders import Committed, ConsumerOrders, Until
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from broker import collector
from broker.core.ports import Subscription
from broker.core.topics import ACCOUNTED_STREAMS, TopicPartition
from broker.settings import WorkerSettings

if TYPE_CHECKING:
    import asyncpg

    from benchmarks.child import Orders
    from broker.core.ports import LogEntry

    Connection = asyncpg.Connection[asyncpg.Record]

_GROUP = "floor"
_ALL_IN_ONE = 2**31
_TARGETS = "targets"
_WRITTEN = ("records", "parts", _TARGETS)


@dataclass(frozen=True, slots=True)
class ByRecord:
    """A store's rows, by record."""

    tables: Sequence[Table]
    """Without their rows."""
    rows: Sequence[Mapping[str, Sequence[tuple[Any, ...]]]]
    """For each table."""

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """All of it."""
        (batch,) = reference.batches
        tables = [one for one in batch.tables if one.name in _WRITTEN]
        records = tables[0]
        identified, aimed = records.columns.index("record_id"), records.columns.index("target_ids")
        names = {target: row[identified] for row in records.rows for target in row[aimed]}
        return cls([Table(one.name, one.columns, ()) for one in tables], [_by_record(one, names) for one in tables])

    def of_records(self, record_ids: Sequence[str]) -> Rows:
        """The rows of these records; a `KeyError` for one that was never kept."""
        tables = [
            Table(table.name, table.columns, [row for one in record_ids for row in rows.get(one, ())])
            for table, rows in zip(self.tables, self.rows, strict=True)
        ]
        if len(tables[0].rows) != len(record_ids):
            raise KeyError("a record that the archive did not keep")
        return Rows(tables=tables, tallies=(), progress=())


@dataclass(slots=True, kw_only=True)
class Consumer:
    """Follows the log."""

    subscription: Subscription
    connection: Connection
    rows: ByRecord
    batch_entries: int
    idle_wait_seconds: float
    entries: int = 0
    committed: dict[str, float] = field(default_factory=dict)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Batch after batch, until it is cancelled."""
        while True:
            batch = await self.subscription.fetch(max_entries=self.batch_entries, wait_seconds=self.idle_wait_seconds)
            if batch:
                await self._keep(batch)

    async def until(self, entries: int) -> Mapping[str, float]:
        """When each record was committed that was since the last time, once so many entries were in all."""
        async with self.moved:
            await self.moved.wait_for(lambda: self.entries >= entries)
        found, self.committed = self.committed, {}
        return found

    async def _keep(self, batch: Sequence[LogEntry]) -> None:
        record_ids = [entry.event_id for entry in batch]
        await write(self.connection, self.rows.of_records(record_ids))
        self.committed |= dict.fromkeys(record_ids, time.time())
        await self.subscription.commit(_following(batch))
        async with self.moved:
            self.entries += len(batch)
            self.moved.notify_all()


async def main(orders: Orders) -> None:
    """Follows the log until the parent wants no more."""
    wanted = await orders.next(ConsumerOrders)
    log, workers = await open_log(wanted.log), WorkerSettings()
    connection = await open_store(wanted.records_dsn)
    consumer = Consumer(
        subscription=await log.subscribe(_GROUP, [str(one) for one in ACCOUNTED_STREAMS]),
        connection=connection,
        rows=ByRecord.of(await Reference.load(wanted.reference_dsn, batch_rows=_ALL_IN_ONE)),
        batch_entries=workers.batch_entries,
        idle_wait_seconds=workers.idle_wait_seconds,
    )
    collector.settle()
    running = asyncio.create_task(consumer.run())
    telling = asyncio.create_task(_tell(orders, consumer))
    await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running  # it failed, else it would still run
    running.cancel()
    await asyncio.wait({running})
    await connection.close()
    await log.close()


async def _tell(orders: Orders, consumer: Consumer) -> None:
    meter = Meter()
    async for until in orders.all(Until):
        at = await consumer.until(until.entries)
        spent = meter.spent()
        orders.answer(Committed(at=at, cpu_seconds=spent.cpu_seconds, peak_memory_bytes=spent.peak_memory_bytes))
        meter = Meter()


def _following(batch: Sequence[LogEntry]) -> Mapping[TopicPartition, int]:
    return {entry.place: entry.offset + 1 for entry in batch}


def _by_record(table: Table, names: Mapping[str, str]) -> Mapping[str, Sequence[tuple[Any, ...]]]:
    """A table's rows by record; targets by the record that `names` says."""
    found = defaultdict(list)
    aimed = table.name == _TARGETS
    place = table.columns.index("target_id" if aimed else "record_id")
    for row in table.rows:
        found[names[row[place]] if aimed else row[place]].append(row)
    return found
