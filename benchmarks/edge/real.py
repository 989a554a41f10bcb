"""The subject: the edge as `custody run edge` serves it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import telemetry, tenant
from benchmarks.edge.orders import ServerOrders
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from broker import collector
from broker.core.ports import EventLog
from broker.http import serve
from broker.servers import now
from broker.settings import WorkerSettings
from broker.workers.deliver import Pulse
from connectors.whatsapp_cloud import webhook

if TYPE_CHECKING:
    from starlette.routing import Route

    from benchmarks.child import Orders
    from broker.core.metrics import Metrics

HOST = "127.0.0.1"


@dataclass(slots=True)
class OneEdge:
    """A process with nothing but an edge in it."""

    opened: EventLog
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)

    async def log(self) -> EventLog:
        """The log."""
        return self.opened


async def main(orders: Orders) -> None:
    """Serves until the parent wants no more."""
    wanted = await orders.next(ServerOrders)
    metrics = telemetry.metrics()
    log = await open_log(wanted.log, metrics)
    edge = OneEdge(log)
    routes = _routes(log, metrics, frozen=wanted.frozen)
    collector.settle()
    frozen_after_seconds = WorkerSettings().frozen_after_seconds
    serving = asyncio.create_task(
        serve(routes, edge, host=HOST, port=wanted.port, drain_seconds=1, frozen_after_seconds=frozen_after_seconds)
    )
    await account(orders)
    edge.stop.set()
    await serving
    await log.close()


def _routes(log: EventLog, metrics: Metrics, *, frozen: bool) -> list[Route]:
    registry = tenant.registry()
    return webhook.routes(
        registry=lambda: registry,
        log=log,
        clock=(lambda: tenant.AT) if frozen else now,
        entropy=bytes if frozen else secrets.token_bytes,
        metrics=metrics,
    )


async def account(orders: Orders) -> None:
    """Tells what was spent since it was last asked, as often as the parent asks."""
    meter = Meter()
    async for _ in orders.all(str):
        orders.answer(meter.spent())
        meter = Meter()
