"""The subject: the media worker as `custody run media` puts it together, until so many parts are kept."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backends.postgres.blobs import PostgresBlobs
from backends.s3.blobs import S3Blobs
from benchmarks import telemetry, tenant
from benchmarks.logs import open_log
from benchmarks.machine import Meter
from benchmarks.media.orders import CONCURRENCY, WorkerOrders
from benchmarks.provider import address
from broker import collector, measures
from broker.core.delivery import DeliveryPolicy
from broker.core.ports import EventLog
from broker.core.topics import Stream
from broker.settings import WorkerSettings
from broker.workers.deliver import Delivery
from broker.workers.media import Fetcher, Fetching, MediaScan, fetcher, scan
from broker.workers.witness import Witness
from connectors.whatsapp_cloud.capabilities import NAME
from connectors.whatsapp_cloud.client import CloudSettings
from connectors.whatsapp_cloud.connector import WhatsAppCloud

if TYPE_CHECKING:
    from datetime import datetime

    from benchmarks.child import Orders
    from benchmarks.machine import Spent
    from benchmarks.media.orders import BlobsAt
    from broker.core.ports import BlobStore

_LOOK_SECONDS = 0.005


async def main(orders: Orders) -> None:
    """Fetches what the orders say, and answers with what it took."""
    wanted = await orders.next(WorkerOrders)
    metrics = telemetry.metrics()
    log, blobs = await open_log(wanted.log, metrics), await _opened(wanted.blobs)
    provider = address(wanted.port)
    settings = CloudSettings(graph_url=provider, extra_media_hosts=(urlsplit(provider).netloc,))
    cloud = WhatsAppCloud(clock=_noon, app_of=tenant.registry().apps.get, settings=settings)
    worker = _Worker(log=log, metrics=metrics, stop=asyncio.Event())
    orders.answer(await worker.fetch(wanted.parts, cloud, blobs))
    await cloud.close()
    await blobs.close()
    await log.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    """Both loops of the media worker."""

    log: EventLog
    metrics: measures.OtelMetrics
    stop: asyncio.Event

    async def fetch(self, parts: int, cloud: WhatsAppCloud, blobs: BlobStore) -> Spent:
        """Turns until so many results are in the log; what it took until then."""
        scanning, fetching = await self._scan(), await self._fetcher(cloud, blobs)
        collector.settle()
        meter = Meter()
        async with asyncio.TaskGroup() as group:
            group.create_task(scanning.run())
            group.create_task(fetching.run())
            while fetching.pulse.handled < parts:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_LOOK_SECONDS)
            spent = meter.spent()
            self.stop.set()
        return spent

    async def _scan(self) -> Delivery:
        scanner = MediaScan(log=self.log)
        return Delivery(
            worker="scan",
            subscription=await self.log.subscribe(scan.GROUP, [Stream.MESSAGES]),
            handler=scanner.handle,
            set_aside=scanner.set_aside,
            policy=DeliveryPolicy(batch_entries=WorkerSettings().batch_entries),
            metrics=self.metrics,
            stop=self.stop,
            idle_wait_seconds=WorkerSettings().idle_wait_seconds,
        )

    async def _fetcher(self, cloud: WhatsAppCloud, blobs: BlobStore) -> Fetcher:
        registry = tenant.registry()
        return Fetcher(
            log=self.log,
            subscription=await self.log.subscribe(fetcher.GROUP, [Stream.FETCHES]),
            fetching=Fetching(
                connectors={NAME: cloud},
                registry=lambda: registry,
                blobs=blobs,
                witness=Witness(clock=_noon),
                entropy=secrets.token_bytes,
            ),
            metrics=self.metrics,
            clock=_noon,
            stop=self.stop,
            policy=DeliveryPolicy(),
            concurrency=CONCURRENCY,
        )


async def _opened(at: BlobsAt) -> PostgresBlobs | S3Blobs:
    return await PostgresBlobs.connect(at.dsn) if at.s3 is None else await S3Blobs.connect(at.s3.options())


def _noon() -> datetime:
    """The moment that the messages were received at: their URLs are fresh."""
    return tenant.AT
