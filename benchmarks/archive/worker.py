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
    from collections.abc import Callable, Sequence

    from benchmarks.child import Orders
    from benchmarks.machine import Spent
    from broker.core.ports import Clock, EventLog, LogEntry, RecordStore

    Count = Callable[[int], None]


class Countdown:
    """Hands batches on, and stops the loop after the last one."""

    def __init__(self, archive: Archive, entries: int, count: Count, stop: asyncio.Event) -> None:
        self.stop = stop
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


async def drain(
    wanted: WorkerOrders, count: Count, *, clock: Clock = lambda: tenant.AT, stop: asyncio.Event | None = None
) -> Spent:
    """Keeps what the orders say unless it is stopped before, and counts how far it has come; what it took."""
    telemetry = TelemetrySettings(log_level="warning")
    configure_logging(telemetry, profile=Profile.DEVELOPMENT)
    metrics = measures.metrics(telemetry)
    log = await open_log(wanted.log, metrics)
    options = PostgresOptions(connections=PostgresSettings().pool_size)
    store = await PostgresRecords.open(wanted.records_dsn, clock=clock, options=options)
    archive = _archive(log, store, metrics, clock)
    countdown = Countdown(archive, wanted.entries, count, stop or asyncio.Event())
    archive.delivery = await _delivery(wanted, archive, countdown, metrics)
    meter = Meter()
    await archive.delivery.run()
    spent = meter.spent()
    await store.close()
    await log.close()
    return spent


def _archive(log: EventLog, store: RecordStore, metrics: measures.OtelMetrics, clock: Clock) -> Archive:
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


async def _delivery(
    wanted: WorkerOrders, archive: Archive, countdown: Countdown, metrics: measures.OtelMetrics
) -> Delivery:
    workers = WorkerSettings()
    return Delivery(
        worker="archive",
        subscription=await archive.log.subscribe(
            wanted.group, [str(one) for one in ARCHIVED_STREAMS], start_at=archive.start_at
        ),
        handler=countdown.handle,
        set_aside=countdown.set_aside,
        policy=DeliveryPolicy(batch_entries=workers.batch_entries),
        metrics=metrics,
        stop=countdown.stop,
        idle_wait_seconds=workers.idle_wait_seconds,
    )
