"""Entries as a consumer reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from broker.core.ports import LogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import ConsumerRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def entries_of(records: Iterable[ConsumerRecord]) -> Sequence[LogEntry]:
    """A consumer's records as entries; what others wrote without a key or a value has an empty one."""
    return [
        LogEntry(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key or b"",
            headers=tuple([(name, value or b"") for name, value in record.headers]),
            value=record.value or b"",
            appended_at=_time_of(record.timestamp),
        )
        for record in records
    ]


@lru_cache(maxsize=64)
def _time_of(milliseconds: int) -> datetime:
    """A batch of entries has one time, so the last few are worth keeping."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
