"""The servers that the settings name: log, records and blobs, opened; and who administers them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.connections import PostgresOptions
from backends.postgres.embedded import SUPERUSER
from backends.postgres.records import PostgresRecords
from broker.addresses import mongo_database, mongo_hosts
from broker.core.errors import SettingsError
from broker.findings import line
from broker.kafka_settings import kafka_options
from broker.log.postgres import PostgresLog, PostgresLogOptions, PostgresTopics
from broker.settings import Profile, Server, Settings, setting_name
from broker.store_options import mongo_options, s3_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from broker.core.metrics import Metrics
    from broker.core.ports import BlobStore, EventLog, RecordStore
    from broker.core.ports.tables import TableStore
    from broker.core.topic_plan import TopicAdmin

_HOST = "127.0.0.1"


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
    if settings.kind("records") == "mongo":
        from backends.mongo.records import MongoRecords  # noqa: PLC0415 - its drivers, for those who use them

        options = mongo_options(settings.records)
        return await MongoRecords.open(lambda: settings.address("records"), clock=now, options=options)
    return await PostgresRecords.open(lambda: settings.address("records"), clock=now, options=_pool(settings))


async def open_blobs(settings: Settings) -> BlobStore:
    """The blob store. `BlobsUnavailableError`: open it again later."""
    if settings.kind("blobs") == "s3":
        from backends.s3.blobs import S3Blobs  # noqa: PLC0415 - as above

        return await S3Blobs.connect(s3_options(settings))
    options = PostgresOptions(connections=settings.blobs.pool_size)
    return await PostgresBlobs.connect(lambda: settings.address("blobs"), options=options)


async def open_tables(settings: Settings) -> TableStore:
    """The record store as tables of rows, for copying and comparing. `StoreUnavailableError`: open it again later."""
    if settings.kind("records") == "mongo":
        from backends.mongo.tables import MongoTables  # noqa: PLC0415 - as above

        return await MongoTables.open(lambda: settings.address("records"), mongo_options(settings.records))
    from backends.postgres.tables import PostgresTables  # noqa: PLC0415 - few commands need it

    return await PostgresTables.open(lambda: settings.address("records"), _pool(settings))


def admin_address(settings: Settings, server: Server) -> str:
    """The address for migrations: the admin's, the embedded server's superuser, or else the common one."""
    own = settings.address(server)
    if not is_embedded(settings, server):
        return settings.admin_address(server) or own
    return _mongo_superuser(settings, own) if settings.kind(server) == "mongo" else _superuser(settings, own)


def is_embedded(settings: Settings, server: Server) -> bool:
    """Whether a server is one of Custody's own."""
    embedded = settings.embedded
    match settings.kind(server):
        case "postgres":
            parts = urlsplit(settings.address(server))
            return embedded.directory is not None and _is_here(parts.hostname, parts.port, embedded.port)
        case "mongo":
            hosts = [urlsplit(f"//{one}") for one in mongo_hosts(settings.address(server))]
            ours = all(_is_here(one.hostname, one.port, embedded.mongo_port) for one in hosts)
            return embedded.mongo_directory is not None and ours
        case "s3":
            parts = urlsplit(settings.blobs.endpoint or "")
            return embedded.s3_directory is not None and _is_here(parts.hostname, parts.port, embedded.s3_port)
        case "kafka":
            return embedded.kafka_directory is not None


def refuse_in_production(settings: Settings, what: str) -> None:
    """`SettingsError` under the production profile."""
    if settings.profile is Profile.PRODUCTION:
        fault = f"{what} does not start under production"
        raise SettingsError([line(setting_name("profile"), fault, f"{setting_name('profile')}=development")])


def _pool(settings: Settings) -> PostgresOptions:
    records = settings.records
    return PostgresOptions(
        connections=records.pool_size,
        connect_timeout_seconds=records.connect_timeout_seconds,
        command_timeout_seconds=records.command_timeout_seconds,
    )


def _is_here(host: str | None, port: int | None, ours: int) -> bool:
    return host in {_HOST, "localhost"} and port == ours


def _superuser(settings: Settings, own: str) -> str:
    password = quote(_superuser_password(settings.embedded.directory, "directory"), safe="")
    return f"postgresql://{SUPERUSER}:{password}@{_HOST}:{settings.embedded.port}{urlsplit(own).path}"


def _mongo_superuser(settings: Settings, own: str) -> str:
    from backends.mongo.embedded.server import SET_NAME, SUPERUSER  # noqa: PLC0415 - as above

    password = quote(_superuser_password(settings.embedded.mongo_directory, "mongo_directory"), safe="")
    place = f"{_HOST}:{settings.embedded.mongo_port}/{mongo_database(own)}"
    return f"mongodb://{SUPERUSER}:{password}@{place}?replicaSet={SET_NAME}&authSource=admin"


def _superuser_password(directory: Path | None, field: str) -> str:
    name, example = setting_name("embedded", field), "a folder that this account made"
    if directory is None:
        raise SettingsError([line(name, "is missing", example)])
    try:
        return (directory / "superuser.password").read_text()
    except OSError as error:
        fault = f"the superuser's password in it can't be read: {(error.strerror or 'an input error').lower()}"
        raise SettingsError([line(name, fault, example)]) from None
