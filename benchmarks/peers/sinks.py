"""The settings of the connectors: the fastest that are safe. See the package for what was chosen, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks import tenant
from benchmarks.peers.tables import ENTRIES, ENTRY, ID

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_ROWS = 5000
RECORD_ID = "envelope.record_id"
"""Where the id stands in an entry's JSON."""
_FETCH_BYTES = 16 * 2**20
_TEXT = {"value.converter": "org.apache.kafka.connect.storage.StringConverter"}
_HOIST = {
    "transforms.entry.type": "org.apache.kafka.connect.transforms.HoistField$Value",
    "transforms.entry.field": ENTRY,
}
_OTHER_HEADERS = "ce_specversion,ce_type,ce_source,ce_subject,ce_time,content-type"
_MONGODB = "com.mongodb.kafka.connect.sink"
_COMMON = {
    "topics": ",".join(tenant.ACCOUNTED_TOPICS),
    # No batch is larger than a poll, and no poll larger than what was fetched.
    "consumer.override.max.poll.records": str(BATCH_ROWS),
    "consumer.override.fetch.max.bytes": str(_FETCH_BYTES),
    "consumer.override.max.partition.fetch.bytes": str(_FETCH_BYTES),
}


def debezium(dsn: str) -> Mapping[str, str]:
    """Debezium's JDBC sink into the table at a `postgresql://` address: entries as bytes, statements of many rows."""
    found = urlsplit(dsn)
    return {
        **_COMMON,
        **_HOIST,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "connection.url": f"jdbc:postgresql://{found.hostname}:{found.port}{found.path}?reWriteBatchedInserts=true",
        "connection.username": found.username or "",
        "connection.password": found.password or "",
        "collection.name.format": ENTRIES,
        "schema.evolution": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_header",  # of all headers that are left
        "transforms": "entry,id",
        "transforms.id.type": "org.apache.kafka.connect.transforms.DropHeaders",
        "transforms.id.headers": _OTHER_HEADERS,
        "use.reduction.buffer": "true",
        "batch.size": str(BATCH_ROWS),
    }


def debezium_unnest(dsn: str) -> Mapping[str, str]:
    """The same with an array for each column: of text, since it can't make one of bytes."""
    return {**debezium(dsn), **_TEXT, "dialect.postgres.unnest.insert.enabled": "true"}


def mongodb(uri: str) -> Mapping[str, str]:
    """MongoDB's sink into the collection at a `mongodb://` address, whose path is the database: entries as bytes."""
    return {
        **_replacing(uri, ID),
        **_HOIST,
        "transforms": "entry,id",
        "transforms.id.type": "io.debezium.transforms.HeaderToValue",
        "transforms.id.headers": ID,
        "transforms.id.fields": ID,
        "transforms.id.operation": "copy",
    }


def mongodb_json(uri: str) -> Mapping[str, str]:
    """The same with entries as documents, field by field."""
    return {**_replacing(uri, RECORD_ID), **_TEXT}


def _replacing(uri: str, id_path: str) -> Mapping[str, str]:
    return {
        **_COMMON,
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "2",
        "connection.uri": f"{uri}&w=majority&journal=true",
        "database": urlsplit(uri).path.removeprefix("/"),
        "collection": ENTRIES,
        "document.id.strategy": f"{_MONGODB}.processor.id.strategy.PartialValueStrategy",
        "document.id.strategy.partial.value.projection.type": "AllowList",
        "document.id.strategy.partial.value.projection.list": id_path,
        "writemodel.strategy": f"{_MONGODB}.writemodel.strategy.ReplaceOneBusinessKeyStrategy",
        "bulk.write.ordered": "false",
    }
