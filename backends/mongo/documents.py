"""Between rows and documents. A document has the columns of its table, and an `_id` that begins with the tenant.

Times are whole microseconds since 1970 in UTC, since BSON's own dates have milliseconds only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from bson.int64 import Int64

from broker.core.errors import UnstorableError
from broker.core.topics import split_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from backends.mongo.drivers import Document
    from broker.core.plan import DeadKey
    from broker.core.rows import Values
    from broker.core.topics import TopicPartition

Ids: TypeAlias = tuple[str, str]
"""Tenant, record id or target id."""

TIMES = frozenset(
    {"kept_at", "received_at", "not_before", "expires_at", "due_at", "changed_at", "at", "bucket"},
)
"""The columns that are times, in every collection."""
_LARGEST_INT32 = 2**31 - 1
"""Up to here the driver would make an `int` of a whole number, and a time is a `long`."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A time as it lies in a document."""
    value = (at - _EPOCH) // _MICROSECOND
    return value if value > _LARGEST_INT32 else Int64(value)


def time_of(value: int) -> datetime:
    """The time that lies in a document."""
    return _EPOCH + timedelta(microseconds=value)


def row_of(document: Document) -> Document:
    """A document with times as such: a row by column name."""
    for name in TIMES & document.keys():
        if document[name] is not None:
            document[name] = time_of(document[name])
    return document


def documents_of(collection: str, columns: Sequence[str], rows: Iterable[Values], **more: object) -> list[Document]:
    """The documents of rows of a collection; `more` are the columns that all have alike."""
    make_id, times = ID_OF[collection], [name for name in columns if name in TIMES]
    return [_document(make_id, times, dict(zip(columns, values, strict=True)), more) for values in rows]


def _document(
    make_id: Callable[[Mapping[str, Any]], str], times: Sequence[str], fields: Document, more: Mapping[str, object]
) -> Document:
    for value in fields.values():
        if isinstance(value, str) and "\0" in value:
            # MongoDB would keep it. Postgres has no form for it, and what one store keeps the other has to take.
            raise UnstorableError("a text holds a NUL, which not every store can keep; set the entry aside")
    for name in times:
        if fields[name] is not None:
            fields[name] = micros(fields[name])
    fields.update(more)
    return {"_id": make_id(fields), **fields}


def of_tenant(tenant: str) -> Document:
    """The ids of a tenant's documents. `0` follows `/`."""
    return {"$gte": f"{tenant}/", "$lt": f"{tenant}0"}


def key_id(key: Ids) -> str:
    """The `_id` of a record, target, gap or message unseen, and of the lock of a target."""
    return f"{key[0]}/{key[1]}"


def place_id(log: str, place: TopicPartition) -> str:
    """The `_id` of the progress in a partition."""
    return _place_id(log, place.topic, place.partition)


def dead_id(log: str, key: DeadKey) -> str:
    """The `_id` of a dead letter."""
    place, offset = key
    return f"{place_id(log, place)}/{offset:020d}"


def _place_id(log: object, topic: object, partition: object) -> str:
    return f"{split_topic(str(topic))[0]}/{log}/{topic}/{partition:06d}"


def _of_record(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}/{row['record_id']}"


def _of_part(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}/{row['record_id']}/{row['number']:06d}"


def _of_result(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}/{row['origin_id']}/{row['number']:06d}/{row['result_number']:016d}"


def _of_target(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}/{row['target_id']}"


def _of_receipt(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}/{row['target_id']}/{row['receipt_number']:016d}"


def _of_dead(row: Mapping[str, Any]) -> str:
    return f"{_of_place(row)}/{row['log_offset']:020d}"


def _of_tally(row: Mapping[str, Any]) -> str:
    return f"{_of_place(row)}/{row['account']}/{row['bucket']}"


def _of_place(row: Mapping[str, Any]) -> str:
    return _place_id(row["log"], row["topic"], row["partition"])


ID_OF: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "records": _of_record,
    "parts": _of_part,
    "part_results": _of_result,
    "targets": _of_target,
    "receipts": _of_receipt,
    "gaps": _of_record,
    "unseen": _of_record,
    "dead_letters": _of_dead,
    "tallies": _of_tally,
    "progress": _of_place,
}
"""What makes the `_id` of a document of a collection, from its columns."""
