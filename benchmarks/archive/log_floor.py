"""The log's side of the floor: entries read by plain SQL, notices appended by COPY."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.archive.orders import FloorOrders

    Connection = asyncpg.Connection[asyncpg.Record]

_READ = """
SELECT partition_id, log_offset, appended_at, key, headers, value
FROM custody_log.entries
WHERE partition_id = $1 AND log_offset >= $2 AND log_offset < $3
ORDER BY log_offset
"""
_TAKE_OFFSETS = """
UPDATE custody_log.log_partitions SET next_offset = next_offset + $2
WHERE partition_id = $1 RETURNING next_offset - $2, clock_timestamp()
"""
_COLUMNS = ("partition_id", "log_offset", "appended_at", "key", "headers", "value")


async def read_through(connection: Connection, wanted: FloorOrders) -> AsyncIterator[int]:
    """Reads the partitions to their ends, a batch each time; how many entries it had."""
    for partition_id, end in wanted.reads.items():
        for first in range(0, end, wanted.batch_rows):
            yield len(await connection.fetch(_READ, partition_id, first, min(first + wanted.batch_rows, end)))


async def notices_of(dsn: str, ends: Mapping[int, int], *, batches: int) -> Sequence[Sequence[tuple[Any, ...]]]:
    """The notices below these ends, in as many portions as there are batches."""
    connection = await asyncpg.connect(dsn)
    try:
        found = [
            (partition_id, key, headers, value)
            for one, end in ends.items()
            for partition_id, _, _, key, headers, value in await connection.fetch(_READ, one, 0, end)
        ]
    finally:
        await connection.close()
    shares = range(batches if found else 0)
    return [found[len(found) * one // batches : len(found) * (one + 1) // batches] for one in shares]


async def publish(connection: Connection, portions: Sequence[Sequence[tuple[Any, ...]]]) -> AsyncIterator[None]:
    """Appends a portion each time, in one transaction, offsets taken in it."""
    for portion in portions:
        async with connection.transaction():
            taken = {}
            for partition_id, amount in sorted(Counter(one[0] for one in portion).items()):
                taken[partition_id] = tuple((await connection.fetch(_TAKE_OFFSETS, partition_id, amount))[0])
            await connection.copy_records_to_table(
                "entries", schema_name="custody_log", columns=_COLUMNS, records=_placed(portion, taken)
            )
        yield


def _placed(portion: Sequence[tuple[Any, ...]], taken: Mapping[int, tuple[Any, ...]]) -> list[tuple[object, ...]]:
    following = {partition_id: base for partition_id, (base, _) in taken.items()}
    rows: list[tuple[object, ...]] = []
    for partition_id, key, headers, value in portion:
        rows.append((partition_id, following[partition_id], taken[partition_id][1], key, headers, value))
        following[partition_id] += 1
    return rows
