"""What a log and a store take, and what the server has spent on them: looked at before and after a piece of work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import psutil

from backends.postgres.sql import BLOBS, RECORDS
from benchmarks.stage import WAL_BYTES

if TYPE_CHECKING:
    from benchmarks.stage import Place, Stage
    from broker.core.topics import Stream

_STREAMS = """
SELECT stream, count(*) AS entries, sum(pg_column_size(entries.*)) AS row_bytes,
       sum(coalesce(octet_length(key), 0) + octet_length(headers) + octet_length(value)) AS entry_bytes
FROM custody_log.entries JOIN custody_log.log_partitions USING (partition_id) JOIN custody_log.topics USING (topic_id)
GROUP BY stream
"""
_LOG_BYTES = "SELECT pg_total_relation_size('custody_log.entries')"
_TABLES_BYTES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lain:
    """What lies on a stream: entries, the bytes of their rows, and of key, headers and value alone."""

    entries: int = 0
    row_bytes: int = 0
    entry_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What there is at a moment; `server_seconds` are CPU time of the server since it was started."""

    server_seconds: float
    wal_bytes: int
    store_bytes: int
    log_bytes: int
    streams: Mapping[str, Lain]

    def on(self, stream: Stream) -> Lain:
        """What lies on a stream."""
        return self.streams.get(stream, Lain())

    @property
    def disk_bytes_a_byte(self) -> float:
        """What the log takes on disk for each byte of its rows: indexes, and what is free in pages."""
        return self.log_bytes / sum(one.row_bytes for one in self.streams.values())


async def standing(stage: Stage, *, log_dsn: str, store: Place) -> Standing:
    """What stands in a log and a store now."""
    log, records = await asyncpg.connect(log_dsn), await asyncpg.connect(store.admin_dsn)
    try:
        streams = {
            row["stream"]: Lain(
                entries=row["entries"], row_bytes=int(row["row_bytes"]), entry_bytes=int(row["entry_bytes"])
            )
            for row in await log.fetch(_STREAMS)
        }
        return Standing(
            streams=streams,
            log_bytes=await log.fetchval(_LOG_BYTES),
            store_bytes=int(await records.fetchval(_TABLES_BYTES, RECORDS.namespace)),
            wal_bytes=int(await records.fetchval(WAL_BYTES)),
            server_seconds=server_seconds(stage),
        )
    finally:
        await log.close()
        await records.close()


async def blob_bytes(blobs: Place) -> int:
    """What a blob store's tables take on disk."""
    connection = await asyncpg.connect(blobs.admin_dsn)
    try:
        return int(await connection.fetchval(_TABLES_BYTES, BLOBS.namespace))
    finally:
        await connection.close()


def server_seconds(stage: Stage) -> float:
    """CPU time, user and system, of every process that the server has and had: sessions that are over count too.

    Looked at again where a session began or ended meanwhile, which would count twice or not at all.
    """
    first = psutil.Process(stage.server.process_id)
    while True:
        sessions = first.children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            own, now = first.cpu_times(), [one.cpu_times() for one in sessions]
            if first.children(recursive=True) == sessions:
                over = own.children_user + own.children_system
                return own.user + own.system + over + sum(one.user + one.system for one in now)
