"""Servers of Custody's own, for one machine: run where the settings want them, by whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from backends.postgres.embedded import EmbeddedPostgres, ServerOptions
from broker.core.errors import FatalError
from broker.settings import SERVERS, Settings
from broker.store_options import s3_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from backends.mongo.embedded import EmbeddedMongo
    from backends.s3.embedded import EmbeddedS3
    from broker.log.kafka.local import KafkaCluster
    from broker.store_settings import Kind

_HOST = "127.0.0.1"
_WATCH_SECONDS = 1.0
logger = structlog.get_logger(__name__)


@asynccontextmanager
async def embedded(settings: Settings, *, keep: bool = False, log: bool = True) -> AsyncIterator[None]:
    """Runs Custody's own servers as long as the context lasts, those that the settings want and that do not run yet.

    With `keep` they are looked after: started again if they end, and taken over once whoever had started them is gone.
    Without `log` a Kafka is left alone, which takes a while to start.
    """
    async with AsyncExitStack() as exits:
        for own in _own_servers(settings, exits, log=log):
            await own.ensure()
            if keep:
                watcher = asyncio.create_task(own.watch(), name="embedded")
                exits.push_async_callback(_ended, watcher)
        yield


def _own_servers(settings: Settings, exits: AsyncExitStack, *, log: bool) -> Iterator[_OwnServer]:
    own, used = settings.embedded, _kinds(settings)
    if own.directory is not None and "postgres" in used:
        options = ServerOptions(directory=own.directory, port=own.port)
        yield _OwnServer(own.port, lambda: EmbeddedPostgres.start(options), exits)
    if own.mongo_directory is not None and "mongo" in used:
        yield _OwnServer(own.mongo_port, partial(_start_mongo, own.mongo_directory, own.mongo_port), exits)
    if own.s3_directory is not None and "s3" in used:
        yield _OwnServer(own.s3_port, partial(_start_s3, settings, own.s3_directory, own.s3_port), exits)
    if own.kafka_directory is not None and log:
        yield _OwnServer(own.kafka_port, partial(_start_kafka, own.kafka_directory, own.kafka_port), exits)


def _kinds(settings: Settings) -> frozenset[Kind]:
    """What the log and the stores, the second one's too, are."""
    views = [settings, *filter(None, [settings.second()])]
    return frozenset(view.kind(server) for view in views for server in SERVERS)


async def _start_mongo(directory: Path, port: int) -> EmbeddedMongo:
    from backends.mongo.embedded import EmbeddedMongo, ServerOptions  # noqa: PLC0415 - its driver, for those who use it

    return await EmbeddedMongo.start(ServerOptions(directory=directory, port=port))


async def _start_s3(settings: Settings, directory: Path, port: int) -> EmbeddedS3:
    """With the very keys that the settings name: nobody else has any."""
    from backends.s3.embedded import EmbeddedS3, S3ServerOptions  # noqa: PLC0415 - as above

    view = next(one for one in (settings, settings.second()) if one is not None and one.kind("blobs") == "s3")
    access_key, secret_key = s3_keys(view)
    options = S3ServerOptions(directory=directory, port=port, access_key=access_key, secret_key=secret_key)
    return await EmbeddedS3.start(options)


async def _start_kafka(directory: Path, port: int) -> KafkaCluster:
    from broker.log.kafka.local import ClusterOptions, KafkaCluster  # noqa: PLC0415 - as above

    return await KafkaCluster.start(ClusterOptions(directory=directory, port=port))


class _Server(Protocol):
    """What one machine's own servers have in common."""

    @property
    def running(self) -> bool: ...

    async def restart(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _OwnServer:
    """A server of Custody's own, where this process is the one that runs it."""

    port: int
    start: Callable[[], Awaitable[_Server]]
    exits: AsyncExitStack
    server: _Server | None = None

    async def ensure(self) -> None:
        if self.server is not None:
            if not self.server.running:
                await self.server.restart()
        elif not await _answers(self.port):
            try:
                self.server = await self.start()
            except FatalError:
                if not await _answers(self.port):  # nobody else was faster either
                    raise
            else:
                self.exits.push_async_callback(self.server.close)

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                await self.ensure()
            except FatalError as error:
                logger.warning("no server", action="embedded.failed", code=error.code, why=str(error))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    writer.close()
    return True
