"""Running the workers: each alone or all in one process, until SIGTERM or SIGINT.

On a signal the edge turns unready and drains, every worker finishes and commits the batch in hand, and partitions are
given back at once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from broker import app, collector
from broker.core.delivery import DeliveryPolicy
from broker.core.errors import CustodyError, RetryableError
from broker.core.ports import Entropy
from broker.core.topics import ARCHIVED_STREAMS, Stream
from broker.core.tracing import NoTracing
from broker.http import EDGE_PORT, HEALTH_PORT, Liveness, PortSetting, serve
from broker.shared import Shared
from broker.workers import archive, claim, erase, lag, media, relay, tidy, watch
from broker.workers.deliver import Delivery, Handler, Pulse, SetAside
from broker.workers.media import fetcher, scan
from broker.workers.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.routing import Route

    from broker.core.ports import EventLog, RecordStore
    from broker.measures import OtelMetrics
    from broker.settings import Settings
    from broker.tracing import OtelTracing

_LOOKS_BEFORE_FROZEN = 4
_DAY_SECONDS = 86_400
WORKERS = ("edge", "archive", "media", "relay", "erase", "claim", "tidy")

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Runner(Shared):
    """The workers of one process."""

    pulses: dict[str, Pulse] = field(default_factory=dict)
    entropy: Entropy = field(init=False)
    _seen: Witness | None = None

    def __post_init__(self) -> None:
        self.entropy = app.entropy(self.settings)

    async def run(self, names: Sequence[str]) -> None:
        """Runs these until `stop`; the first that fails for good ends them all."""
        starters: Mapping[str, Callable[[], Awaitable[None]]] = {
            "edge": self._edge,
            "archive": self._archive,
            "media": self._media,
            "relay": self._relay,
            "erase": self._erase,
            "claim": self._claim,
            "tidy": self._tidy,
        }
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(_named(name, starters[name], self.stop), name=name)
                if "edge" not in names and self.settings.health_port is not None:
                    group.create_task(self._serve_health())
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _edge(self) -> None:
        log = await self.log()
        routes = [
            route
            for provider in app.providers(self.settings)
            for route in provider.routes(
                registry=self.registry,
                log=log,
                clock=app.now,
                entropy=self.entropy,
                metrics=self.metrics,
                tracing=self.tracing or NoTracing(),
                blobs=self.blobs_if_there,
                draining=self.stop.is_set,
            )
        ]
        collector.settle()
        edge = self.settings.edge
        await self._serve(routes, EDGE_PORT, port=edge.port, drain_seconds=edge.drain_seconds)

    async def _serve_health(self) -> None:
        await self._serve([], HEALTH_PORT, port=self.settings.health_port or 0, drain_seconds=0)

    async def _serve(self, routes: Sequence[Route], setting: PortSetting, *, port: int, drain_seconds: float) -> None:
        await serve(
            routes,
            self,
            host=self.settings.edge.host,
            port=port,
            drain_seconds=drain_seconds,
            frozen_after_seconds=self.settings.workers.frozen_after_seconds,
            setting=setting,
        )

    async def _archive(self) -> None:
        log, store = await self.log(), await self.records()
        keeper = archive.Archive(
            log=log,
            store=store,
            registry=self.registry,
            capabilities={name: one.capabilities for name, one in (await self.connectors()).items()},
            metrics=self.metrics,
            clock=app.now,
            entropy=self.entropy,
            blobs=self.blobs_if_there,
        )
        streams = [str(stream) for stream in ARCHIVED_STREAMS]
        subscription = await self.subscribe(log, archive.GROUP, streams, start_at=keeper.start_at)
        handler = keeper.handle if self.tracing is None else self.tracing.handler("keep", keeper.handle)
        keeper.delivery = self._delivery("archive", subscription, handler, keeper.set_aside)
        keeper.delivery.mended = keeper.mended
        await self._watched(keeper.delivery, log, archive.GROUP, store=store)

    async def _media(self) -> None:
        log, blobs, connectors = await self.log(), await self.blobs(), await self.connectors()
        workers = self.settings.workers
        scanner = scan.MediaScan(log=log, blobs=self.blobs_if_there)
        subscription = await self.subscribe(log, scan.GROUP, [Stream.MESSAGES])
        worker = fetcher.Fetcher(
            log=log,
            subscription=await self.subscribe(log, fetcher.GROUP, [Stream.FETCHES]),
            fetching=media.Fetching(
                connectors=connectors,
                registry=self.registry,
                blobs=blobs,
                witness=self._witness(),
                entropy=self.entropy,
            ),
            metrics=self.metrics,
            clock=app.now,
            stop=self.stop,
            policy=DeliveryPolicy(
                first_wait_seconds=5 * workers.first_wait_seconds, most_wait_seconds=60 * workers.most_wait_seconds
            ),
            concurrency=workers.media_concurrency,
            grace=timedelta(seconds=workers.media_grace_seconds),
            pulse=self._pulse("media"),
        )
        async with asyncio.TaskGroup() as group:
            scanning = self._delivery("scan", subscription, scanner.handle, scanner.set_aside)
            group.create_task(self._watched(scanning, log, scan.GROUP))
            group.create_task(self._watched(worker, log, fetcher.GROUP, reached=worker.reached))

    async def _relay(self) -> None:
        workers, log, store = self.settings.workers, await self.log(), await self.records()
        collector.settle()
        await relay.Relay(
            log=log,
            store=store,
            metrics=self.metrics,
            clock=app.now,
            stop=self.stop,
            lease=timedelta(seconds=workers.erase_lease_seconds),
            batch=workers.relay_batch,
            poll_seconds=workers.relay_poll_seconds,
            policy=self.policy(),
            pulse=self._pulse("relay"),
            tracing=self.tracing or NoTracing(),
        ).run()

    async def _erase(self) -> None:
        log = await self.log()
        eraser = erase.Erase(
            log=log,
            connectors=await self.connectors(),
            registry=self.registry,
            witness=self._witness(),
            metrics=self.metrics,
            clock=app.now,
            entropy=self.entropy,
            concurrency=self.settings.workers.erase_concurrency,
        )
        subscription = await self.subscribe(log, erase.GROUP, [Stream.ERASURES], start_at=eraser.start_at)
        delivery = self._delivery("erase", subscription, eraser.handle, eraser.set_aside)
        delivery.policy = replace(delivery.policy, batch_entries=eraser.batch_entries)
        await self._watched(delivery, log, erase.GROUP)

    async def _claim(self) -> None:
        log = await self.log()
        worker = claim.Claim(
            log=log,
            subscription=await self.subscribe(log, claim.GROUP, [Stream.BODIES]),
            connectors=await self.connectors(),
            registry=self.registry,
            entropy=self.entropy,
            blobs=self.blobs_if_there,
            stop=self.stop,
            poll_seconds=self.settings.workers.claim_poll_seconds,
            pulse=self._pulse("claim"),
            metrics=self.metrics,
        )
        patience = self.settings.workers.claim_poll_seconds
        await self._watched(worker, log, claim.GROUP, reached=worker.reached, patience_seconds=patience)

    async def _tidy(self) -> None:
        await tidy.Tidy(
            log=await self.log(),
            clock=app.now,
            stop=self.stop,
            poll_seconds=self.settings.workers.tidy_poll_seconds,
            pulse=self._pulse("tidy"),
        ).run()

    async def _watched(
        self,
        reader: watch.Reader,
        log: EventLog,
        group: str,
        *,
        store: RecordStore | None = None,
        reached: watch.Reached = watch.committed_only,
        patience_seconds: float = 0.0,
    ) -> None:
        """Turns a worker's loop, and watches that each of its partitions moves on, and how far it is behind."""
        workers = self.settings.workers
        moving = watch.Watch(
            log=log,
            group=group,
            subscription=reader.subscription,
            pulse=reader.pulse,
            stop=self.stop,
            poll_seconds=workers.frozen_after_seconds / _LOOKS_BEFORE_FROZEN,
            monotonic=time.monotonic,
            patience_seconds=patience_seconds,
            reached=reached,
        )
        behind = lag.LagWatch(
            log=log,
            group=group,
            store=store,
            metrics=self.metrics,
            clock=app.now,
            assignment=lambda: reader.subscription.assignment,
            stop=self.stop,
            alarm_seconds=workers.lag_alarm_seconds or self.settings.retention_days * _DAY_SECONDS / 2,
            poll_seconds=workers.lag_poll_seconds,
            pulse=reader.pulse,
        )
        collector.settle()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.run())
            tasks.create_task(moving.run())
            tasks.create_task(behind.run())

    def _delivery(self, worker: str, subscription: app.Subscription, handler: Handler, set_aside: SetAside) -> Delivery:
        return Delivery(
            worker=worker,
            subscription=subscription,
            handler=handler,
            set_aside=set_aside,
            policy=self.policy(),
            metrics=self.metrics,
            stop=self.stop,
            idle_wait_seconds=self.settings.workers.idle_wait_seconds,
            pulse=self._pulse(worker),
        )

    def _pulse(self, worker: str) -> Pulse:
        return self.pulses.setdefault(worker, Pulse())

    def _witness(self) -> Witness:
        """One for all workers of the process: what one of them saw, vouches for the others too."""
        if self._seen is None:
            self._seen = Witness(clock=app.now, lately=timedelta(seconds=self.settings.workers.witness_seconds))
        return self._seen


async def run_workers(settings: Settings, names: Sequence[str]) -> None:
    """Runs these workers (all of them when none is named) until SIGTERM or SIGINT.

    Raises what ended them: a `FatalError` at the start, such as a schema that this version does not know.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    async with AsyncExitStack() as exits:
        registry = await exits.enter_async_context(app.live_registry(settings))
        metrics, tracing = app.metrics(settings), app.tracing(settings)
        for telemetry in (metrics, tracing):
            if telemetry is not None:
                exits.push_async_callback(_export, telemetry)
        runner = Runner(settings=settings, registry=registry, metrics=metrics, stop=stop, exits=exits, tracing=tracing)
        seen = Liveness(settings.workers.frozen_after_seconds)
        metrics.observe("custody.delivery.last_progress_seconds", lambda: seen.ages(runner.pulses, time.monotonic()))
        await runner.run(names or WORKERS)


async def _export(telemetry: OtelMetrics | OtelTracing) -> None:
    """Exports what is left, in a thread: the receiver may be slow, or away."""
    try:
        await asyncio.to_thread(telemetry.close)
    except Exception as error:  # noqa: BLE001 - numbers must not turn the end of the work into a failure
        logger.warning("not exported", action="run.telemetry", error_type=type(error).__name__)


async def _named(name: str, start: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    try:
        await start()
    except RetryableError:
        if not stop.is_set():
            raise
    logger.info("stopped", action="run.stopped", worker=name)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell of: one of Custody's own if there is one."""
    flat = list(_flat(failures))
    return next((one for one in flat if isinstance(one, CustodyError)), flat[0])


def _flat(failures: BaseExceptionGroup[BaseException]) -> Sequence[BaseException]:
    found: list[BaseException] = []
    for one in failures.exceptions:
        found += _flat(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found
