"""The subject: one archive worker as `custody run archive` puts it together, among others of its group or alone."""

from __future__ import annotations

import asyncio
import resource
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.postgres.connections import PostgresOptions
from backends.postgres.records import PostgresRecords
from benchmarks import telemetry, tenant
from benchmarks.archive.orders import GO, STOP, WorkerOrders, WorkerReport
from benchmarks.child import Orders
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from broker import cli, collector, run
from broker.core.delivery import DeliveryPolicy
from broker.core.ports import Subscription
from broker.core.topics import ARCHIVED_STREAMS
from broker.settings import WorkerSettings
from broker.store_settings import PostgresSettings
from broker.workers.archive import Archive
from broker.workers.deliver import Delivery, Handler
from connectors.whatsapp_cloud.capabilities import CAPABILITIES, NAME

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.machine import Spent
    from broker.core.metrics import Metrics
    from broker.core.ports import Clock, EventLog, LogEntry, RecordStore

AS_IN_PRODUCTION = (cli, run)
"""Not used here, but in the memory of every `custody run archive`, which is measured too."""

_ROOM_BYTES = 16 * 2**20
_LOOK_SECONDS = 0.05


@dataclass(slots=True, kw_only=True)
class Told:
    """A handler that tells the parent how far it has come."""

    handler: Handler
    subscription: Subscription
    orders: Orders
    kept: int = 0

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        """A batch."""
        await self.handler(batch)
        self.kept += len(batch)
        self.report()

    def report(self, spent: Spent | None = None) -> None:
        """How far it is."""
        self.orders.answer(WorkerReport(owned=len(self.subscription.assignment), kept=self.kept, spent=spent))


async def main(orders: Orders) -> None:
    """Works as ordered, reports all along, and at last what it took."""
    wanted = await orders.next(WorkerOrders)
    if wanted.memory_bytes is not None:
        _limit(wanted.memory_bytes)
    async with working(wanted, clock=lambda: tenant.AT) as delivery:
        told = Told(handler=delivery.handler, subscription=delivery.subscription, orders=orders)
        delivery.handler = told.handle
        await _hold(told)
        meter = Meter()
        stopping = asyncio.create_task(_stop(delivery, orders))
        await delivery.run()
        told.report(meter.spent())
        await stopping


@asynccontextmanager
async def working(wanted: WorkerOrders, *, clock: Clock) -> AsyncGenerator[Delivery]:
    """The loop of a worker that has joined its group, still to be run, until the block is left."""
    metrics = telemetry.metrics()
    log = await open_log(wanted.log, metrics)
    store = await _opened(wanted, clock)
    archive = archive_of(log, store, metrics=metrics, clock=clock)
    archive.delivery = await _delivery(archive, wanted.group)
    collector.settle()
    yield archive.delivery
    await store.close()
    await log.close()


def archive_of(log: EventLog, store: RecordStore, *, metrics: Metrics, clock: Clock) -> Archive:
    """An archive of the one tenant."""
    registry = tenant.registry()
    return Archive(
        log=log,
        store=store,
        registry=lambda: registry,
        capabilities={NAME: CAPABILITIES},
        metrics=metrics,
        clock=clock,
        entropy=secrets.token_bytes,
    )


async def _opened(wanted: WorkerOrders, clock: Clock) -> RecordStore:
    if wanted.mongodb:
        from backends.mongo.connections import MongoOptions  # noqa: PLC0415 - the driver comes along, and is large
        from backends.mongo.records import MongoRecords  # noqa: PLC0415 - likewise

        store = await MongoRecords.open(wanted.records_dsn, clock=clock, options=MongoOptions(driver=wanted.driver))
        store._database.has_transactions &= wanted.transactions  # noqa: SLF001 - as of a server that has none
        return store
    options = PostgresOptions(connections=PostgresSettings().pool_size)
    return await PostgresRecords.open(wanted.records_dsn, clock=clock, options=options)


async def _delivery(archive: Archive, group: str) -> Delivery:
    workers, streams = WorkerSettings(), [str(one) for one in ARCHIVED_STREAMS]
    return Delivery(
        worker="archive",
        subscription=await archive.log.subscribe(group, streams, start_at=archive.start_at),
        handler=archive.handle,
        set_aside=_refuse,
        policy=DeliveryPolicy(batch_entries=workers.batch_entries),
        metrics=archive.metrics,
        stop=asyncio.Event(),
        idle_wait_seconds=workers.idle_wait_seconds,
    )


async def _refuse(entry: LogEntry, error: Exception, _attempts: int) -> None:
    """Nothing of a benchmark's is to be set aside."""
    raise RuntimeError(f"{entry.topic}[{entry.partition}] {entry.offset} was to be set aside") from error


def _limit(memory_bytes: int) -> None:
    """Bounds what this process may write to privately: past it, memory is refused and the worker ends.

    Source: https://man7.org/linux/man-pages/man2/getrlimit.2.html (RLIMIT_DATA since Linux 4.7), 2026-11-26.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    bytearray(_ROOM_BYTES)  # without so much room it ends here: in some callback of the loop, it would wait for ever


async def _hold(told: Told) -> None:
    """Takes over the partitions it is to own, and goes back to where they begin until the word is given."""
    subscription, owned = told.subscription, frozenset[object]()
    word = asyncio.create_task(_expect(told.orders, GO))
    while not word.done():
        for entry in await subscription.fetch(max_entries=1, wait_seconds=_LOOK_SECONDS):
            subscription.seek(entry.place, entry.offset)
        if subscription.assignment != owned:
            owned = subscription.assignment
            told.report()
        await asyncio.sleep(_LOOK_SECONDS)
    await word


async def _stop(delivery: Delivery, orders: Orders) -> None:
    await _expect(orders, STOP)
    delivery.stop.set()


async def _expect(orders: Orders, word: str) -> None:
    found = await orders.next(str)
    if found != word:
        raise ValueError(f"{word} was to come, and {found} came")
