"""The subject: the archive worker as `custody run archive` puts it together, until so many entries are kept."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from backends.postgres.connections import PostgresOptions
from backends.postgres.records import PostgresRecords
from benchmarks import tenant
from benchmarks.archive.orders import WorkerOrders
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from broker import measures
from broker.core.delivery import DeliveryPolicy
from broker.core.topics import ARCHIVED_STREAMS
from broker.settings import Profile, TelemetrySettings, WorkerSettings
from broker.store_settings import PostgresSettings
from broker.telemetry import configure_logging
from broker.workers.archive import Archive
from broker.workers.deliver import Delivery
from connectors.whatsapp_cloud.capabilities import CAPABILITIES, NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.child import Orders
    from benchmarks.machine import Spent
    from broker.core.ports import EventLog, LogEntry, RecordStore

    Count = Callable[[int], None]
    OpenStore = Callable[[str], Awaitable[RecordStore]]


class Countdown:
    """Hands batches on, and stops the loop after the last one."""

    def __init__(self, archive: Archive, entries: int, count: Count) -> None:
        self.stop = asyncio.Event()
        self._archive = archive
        self._entries = entries
        self._count = count
        self._done = 0

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        """A batch."""
        await self._archive.handle(batch)
        self._done += len(batch)
        self._count(self._done)
        if self._done >= self._entries:
            self.stop.set()

    async def set_aside(self, entry: LogEntry, error: Exception, _attempts: int) -> None:
        """Nothing of a benchmark's is to be set aside."""
        raise RuntimeError(f"{entry.topic}[{entry.partition}] {entry.offset} was to be set aside") from error


async def main(orders: Orders) -> None:
    """Keeps what the orders say, and answers with what it took."""
    orders.answer(await drain(await orders.next(WorkerOrders), lambda _done: None))


async def on_postgres(dsn: str) -> RecordStore:
    """The store, as `custody run` opens it."""
    options = PostgresOptions(connections=PostgresSettings().pool_size)
    return await PostgresRecords.open(dsn, clock=lambda: tenant.AT, options=options)


async def drain(wanted: WorkerOrders, count: Count, *, open_store: OpenStore = on_postgres) -> Spent:
    """Keeps what the orders say, and counts how far it has come; what it took."""
    telemetry = TelemetrySettings(log_level="warning")
    configure_logging(telemetry, profile=Profile.DEVELOPMENT)
    metrics = measures.metrics(telemetry)
    log = await open_log(wanted.log, metrics)
    store = await open_store(wanted.records_dsn)
    spent = await _drained(wanted, log, store, metrics, count)
    await store.close()
    await log.close()
    return spent


async def _drained(
    wanted: WorkerOrders, log: EventLog, store: RecordStore, metrics: measures.OtelMetrics, count: Count
) -> Spent:
    registry = tenant.registry()
    archive = Archive(
        log=log,
        store=store,
        registry=lambda: registry,
        capabilities={NAME: CAPABILITIES},
        metrics=metrics,
        clock=lambda: tenant.AT,
        entropy=secrets.token_bytes,
    )
    countdown = Countdown(archive, wanted.entries, count)
    workers = WorkerSettings()
    archive.delivery = Delivery(
        worker="archive",
        subscription=await log.subscribe(
            wanted.group, [str(one) for one in ARCHIVED_STREAMS], start_at=archive.start_at
        ),
        handler=countdown.handle,
        set_aside=countdown.set_aside,
        policy=DeliveryPolicy(batch_entries=workers.batch_entries),
        metrics=metrics,
        stop=countdown.stop,
        idle_wait_seconds=workers.idle_wait_seconds,
    )
    meter = Meter()
    await archive.delivery.run()
    return meter.spent()
