"""The servers that the settings name: log, records and blobs, opened; and servers of Custody's own where wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

import structlog

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.connections import PostgresOptions
from backends.postgres.embedded import SUPERUSER, EmbeddedPostgres, ServerOptions
from backends.postgres.records import PostgresRecords
from broker.core.errors import FatalError, SettingsError
from broker.findings import line
from broker.kafka_settings import kafka_options
from broker.log.postgres import PostgresLog, PostgresLogOptions, PostgresTopics
from broker.settings import Profile, Server, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from broker.core.metrics import Metrics
    from broker.core.ports import BlobStore, EventLog, RecordStore
    from broker.core.topic_plan import TopicAdmin
    from broker.log.kafka.local import KafkaCluster

_HOST = "127.0.0.1"
_WATCH_SECONDS = 1.0
logger = structlog.get_logger(__name__)


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


async def open_log(settings: Settings, metrics: Metrics | None = None) -> EventLog:
    """The event log. `LogUnavailableError`: open it again later."""
    section = settings.log
    if section.kind == "kafka":
        from broker.log.kafka import KafkaLog  # noqa: PLC0415 - its clients take a second to import

        return await KafkaLog.open(kafka_options(section), metrics=metrics)
    return await _open_postgres_log(settings, metrics)


async def open_topics(settings: Settings) -> TopicAdmin:
    """Who looks after the log's topics. `LogUnavailableError`: open it again later."""
    section = settings.log
    if section.kind == "kafka":
        from broker.log.kafka.admin import KafkaTopics  # noqa: PLC0415 - as above

        return await KafkaTopics.open(kafka_options(section))
    return PostgresTopics(await _open_postgres_log(settings))


async def _open_postgres_log(settings: Settings, metrics: Metrics | None = None) -> PostgresLog:
    section = settings.log
    options = PostgresLogOptions(pool_size=section.pool_size, allow_unsafe_server=section.allow_unsafe_server)
    if section.entry_bytes is not None:
        options = replace(options, entry_bytes=section.entry_bytes)
    return await PostgresLog.open(lambda: settings.address("log"), options=options, metrics=metrics)


def bootstrap(settings: Settings) -> Sequence[str]:
    """The addresses of the log's brokers, for commands that are printed; a stand-in where the log has none."""
    return settings.log.bootstrap or ("BROKERS",)


async def open_records(settings: Settings) -> RecordStore:
    """The record store. `StoreUnavailableError`: open it again later."""
    options = PostgresOptions(connections=settings.records.pool_size)
    return await PostgresRecords.open(lambda: settings.address("records"), clock=now, options=options)


async def open_blobs(settings: Settings) -> BlobStore:
    """The blob store. `BlobsUnavailableError`: open it again later."""
    options = PostgresOptions(connections=settings.blobs.pool_size)
    return await PostgresBlobs.connect(lambda: settings.address("blobs"), options=options)


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
    own = settings.embedded
    if own.directory is not None:
        options = ServerOptions(directory=own.directory, port=own.port)
        yield _OwnServer(own.port, lambda: EmbeddedPostgres.start(options), exits)
    if own.kafka_directory is not None and log:
        yield _OwnServer(own.kafka_port, partial(_start_kafka, own.kafka_directory, own.kafka_port), exits)


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


def admin_address(settings: Settings, server: Server) -> str:
    """The DSN for migrations: the admin's, the embedded server's superuser, or else the common one."""
    own = settings.address(server)
    directory = settings.embedded.directory
    if directory is None or not is_embedded(settings, own):
        return settings.admin_address(server) or own
    password = _superuser_password(directory)
    return f"postgresql://{SUPERUSER}:{quote(password, safe='')}@{_HOST}:{settings.embedded.port}{urlsplit(own).path}"


def is_embedded(settings: Settings, dsn: str) -> bool:
    """Whether an address is on Custody's own server."""
    parts = urlsplit(dsn)
    return (
        settings.embedded.directory is not None
        and parts.hostname in {_HOST, "localhost"}
        and parts.port == settings.embedded.port
    )


def refuse_in_production(settings: Settings, what: str) -> None:
    """`SettingsError` under the production profile."""
    if settings.profile is Profile.PRODUCTION:
        fault = f"{what} does not start under production"
        raise SettingsError([line(setting_name("profile"), fault, f"{setting_name('profile')}=development")])


def _superuser_password(directory: Path) -> str:
    try:
        return (directory / "superuser.password").read_text()
    except OSError as error:
        fault = f"the superuser's password in it can't be read: {(error.strerror or 'an input error').lower()}"
        name = setting_name("embedded", "directory")
        raise SettingsError([line(name, fault, "a folder that this account made")]) from None


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    writer.close()
    return True
