"""The subject: the erase worker as `custody run erase` puts it together, until so many commands are carried out."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import telemetry, tenant
from benchmarks.erase.orders import CONCURRENCY, WorkerOrders
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from benchmarks.provider import address
from broker import collector
from broker.core.delivery import DeliveryPolicy
from broker.core.topics import Stream
from broker.servers import now
from broker.settings import WorkerSettings
from broker.workers.deliver import Delivery
from broker.workers.erase import GROUP, Erase
from broker.workers.witness import Witness
from connectors.whatsapp_cloud.capabilities import NAME
from connectors.whatsapp_cloud.client import CloudSettings
from connectors.whatsapp_cloud.connector import WhatsAppCloud

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.child import Orders
    from broker import measures
    from broker.core.ports import EventLog, LogEntry


@dataclass(slots=True)
class _Countdown:
    """Hands batches on, and stops the loop after the last one."""

    eraser: Erase
    left: int
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        await self.eraser.handle(batch)
        self.left -= len(batch)
        if self.left <= 0:
            self.stop.set()


async def main(orders: Orders) -> None:
    """Carries out what the orders say, and answers with what it took."""
    wanted = await orders.next(WorkerOrders)
    metrics = telemetry.metrics()
    log = await open_log(wanted.log, metrics)
    registry = tenant.registry()
    settings = CloudSettings(graph_url=address(wanted.port))
    cloud = WhatsAppCloud(clock=now, app_of=registry.apps.get, settings=settings)
    eraser = Erase(
        log=log,
        connectors={NAME: cloud},
        registry=lambda: registry,
        witness=Witness(clock=now),
        metrics=metrics,
        clock=now,
        entropy=secrets.token_bytes,
        concurrency=CONCURRENCY,
    )
    delivery = await _delivery(log, _Countdown(eraser, wanted.targets), metrics)
    collector.settle()
    meter = Meter()
    await delivery.run()
    orders.answer(meter.spent())
    await cloud.close()
    await log.close()


async def _delivery(log: EventLog, countdown: _Countdown, metrics: measures.OtelMetrics) -> Delivery:
    eraser = countdown.eraser
    return Delivery(
        worker="erase",
        subscription=await log.subscribe(GROUP, [Stream.ERASURES], start_at=eraser.start_at),
        handler=countdown.handle,
        set_aside=eraser.set_aside,
        policy=DeliveryPolicy(batch_entries=eraser.batch_entries),
        metrics=metrics,
        stop=countdown.stop,
        idle_wait_seconds=WorkerSettings().idle_wait_seconds,
    )
