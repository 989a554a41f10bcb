"""What the workers of one process share: log, stores, connectors, each opened once, when it is first needed.

A server that is down is waited for, so that no worker holds up another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from broker import app
from broker.core.delivery import DeliveryPolicy, code_of
from broker.core.errors import BlobsUnavailableError, RetryableError, SettingsError
from broker.core.metrics import Metrics
from broker.core.registry import Registry
from broker.settings import Settings
from broker.tracing import OtelTracing
from broker.workers.deliver import wait_for

if TYPE_CHECKING:
    from broker.core.ports import BlobStore, Connector, EventLog, RecordStore, StartAt, Subscription

T = TypeVar("T")
C = TypeVar("C", bound=app.Closable)
logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Shared:
    """Opened lazily, so that each worker needs only its own servers."""

    settings: Settings
    registry: Callable[[], Registry]
    metrics: Metrics
    stop: asyncio.Event
    exits: AsyncExitStack
    tracing: OtelTracing | None = None
    _opened: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def log(self) -> EventLog:
        """The log, opened once."""
        return await self._once("log", self._opener(lambda settings: app.open_log(settings, self.metrics)))

    async def subscribe(
        self, log: EventLog, group: str, streams: Sequence[str], *, start_at: StartAt | None = None
    ) -> Subscription:
        """Joins a group, and waits for a log that went down since it was opened."""
        return await self._open("log", lambda: log.subscribe(group, streams, start_at=start_at))

    async def records(self) -> RecordStore:
        return await self._once("records", self._opener(app.open_records))

    async def blobs(self) -> BlobStore:
        return await self._once("blobs", self._opener(app.open_blobs))

    async def blobs_if_there(self) -> BlobStore:
        """For workers that need blobs only when something is too large for the log: tries once, and waits for nobody.

        Missing settings are an outage too: the work waits for whoever sets them, and nothing is set aside for it.
        """
        async with self._opening:
            opened = self._opened.get("blobs")
            if opened is None:
                try:
                    store = await self._opener(app.open_blobs)()
                except SettingsError as error:
                    logger.error("no blob store", action="run.no_blobs", findings=error.findings)  # noqa: TRY400 - ours
                    raise BlobsUnavailableError("the settings name no blob store: set CUSTODY_BLOBS__DSN") from None
                opened = self._opened["blobs"] = asyncio.get_running_loop().create_future()
                opened.set_result(store)
        if not opened.done():
            raise BlobsUnavailableError("the blob store has not answered yet")
        found: BlobStore = opened.result()
        return found

    async def connectors(self) -> Mapping[str, Connector]:
        return await self._once("connectors", self._open_connectors)

    async def _open_connectors(self) -> Mapping[str, Connector]:
        found = await app.open_connectors(self.settings, self.registry)
        for connector in found.values():
            self.exits.push_async_callback(connector.close)
        if self.tracing is None:
            return found
        from broker.tracing import TracedConnector  # noqa: PLC0415 - OpenTelemetry's traces are for this alone

        return {name: TracedConnector(one, self.tracing) for name, one in found.items()}

    def _opener(self, opener: Callable[[Settings], Awaitable[C]]) -> Callable[[], Awaitable[C]]:
        return lambda: app.entered(self.exits, opener(self.settings))

    async def _once(self, name: str, opener: Callable[[], Awaitable[T]]) -> T:
        """Opens what workers share once, and waits for a server that is down."""
        if name not in self._opened:
            self._opened[name] = asyncio.ensure_future(self._open(name, opener))
        found: T = await asyncio.shield(self._opened[name])
        return found

    async def _open(self, name: str, opener: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            try:
                return await opener()
            except RetryableError as error:
                attempt += 1
                logger.warning("waiting", action="run.opening", server=name, code=code_of(error), why=str(error))
                await wait_for(self.stop, self.policy().wait_seconds(attempt))
                if self.stop.is_set():
                    raise

    def policy(self) -> DeliveryPolicy:
        workers = self.settings.workers
        return DeliveryPolicy(
            first_wait_seconds=workers.first_wait_seconds,
            most_wait_seconds=workers.most_wait_seconds,
            dead_letters_in_a_row=workers.dead_letters_in_a_row,
            batch_entries=workers.batch_entries,
        )
