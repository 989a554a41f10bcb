"""What an entry is in the database: its partition by its key, its headers in bytes, and back again. Pure."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from broker.core.ports import LogEntry
from broker.core.values import Hidden, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from broker.core.ports import NewEntry
    from broker.core.topics import TopicPartition

_encoder = msgspec.msgpack.Encoder()
_headers: msgspec.msgpack.Decoder[tuple[tuple[str, bytes], ...]] = msgspec.msgpack.Decoder(
    tuple[tuple[str, bytes], ...]
)

_ROW_OVERHEAD_BYTES = 64


class Row(Value, frozen=True):
    """An entry on its way into a partition."""

    partition_id: int
    key: bytes
    headers: bytes
    value: Hidden[bytes]

    @property
    def size(self) -> int:
        """About what it takes up, in bytes."""
        return len(self.key) + len(self.headers) + len(self.value) + _ROW_OVERHEAD_BYTES


def partition_of(key: bytes, partitions: int) -> int:
    """CRC-32 (ISO 3309, as in zlib, gzip and PNG) of the key, unsigned, modulo the number of partitions."""
    return zlib.crc32(key) % partitions


def row_of(entry: NewEntry, partition_ids: Sequence[int]) -> Row:
    """The row of an entry, given the ids of its topic's partitions in order."""
    place = partition_ids[partition_of(entry.key, len(partition_ids))]
    return Row(place, entry.key, _encoder.encode(entry.headers), entry.value)


def few_arguments(rows: Sequence[Row]) -> tuple[Sequence[object], ...]:
    """The parameters of `append_few`."""
    seen: Counter[int] = Counter()
    numbers = []
    for row in rows:
        numbers.append(seen[row.partition_id])
        seen[row.partition_id] += 1
    return (
        list(seen),
        list(seen.values()),
        [row.partition_id for row in rows],
        numbers,
        [row.key for row in rows],
        [row.headers for row in rows],
        [row.value for row in rows],
    )


COLUMNS = ("partition_id", "log_offset", "appended_at", "key", "headers", "value")


def placed(
    rows: Iterable[Row], bases: Mapping[int, tuple[int, datetime]]
) -> Iterable[tuple[int, int, datetime, bytes, bytes, bytes]]:
    """The tuples of `COLUMNS`, for COPY, from the first offset and the time that each partition was given."""
    following = {partition_id: base for partition_id, (base, _) in bases.items()}
    for row in rows:
        offset = following[row.partition_id]
        following[row.partition_id] = offset + 1
        yield row.partition_id, offset, bases[row.partition_id][1], row.key, row.headers, row.value


def entry_at(
    place: TopicPartition, offset: int, appended_at: datetime, key: bytes, headers: bytes, value: bytes
) -> LogEntry:
    """A row as read."""
    return LogEntry(
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        key=key,
        headers=_headers.decode(headers),
        value=value,
        appended_at=appended_at,
    )
