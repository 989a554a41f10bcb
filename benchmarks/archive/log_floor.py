"""The log's side of the floor on Postgres: entries read by plain SQL, notices appended by COPY."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import asyncpg

from benchmarks.logs import LogAt, LogKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    Connection = asyncpg.Connection[asyncpg.Record]

_IDS = """
SELECT name || '/' || partition, partition_id
FROM custody_log.log_partitions JOIN custody_log.topics USING (topic_id)
"""
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


class FloorLog(Protocol):
    """What a floor does with a log, by the barest means. Ends are by `topic/partition`."""

    def read_through(self, ends: Mapping[str, int], batch_rows: int) -> AsyncIterator[int]:
        """Reads partitions to their ends, a batch each time; how many entries it had."""
        ...

    async def notices_of(self, ends: Mapping[str, int], *, batches: int) -> Sequence[Sequence[Any]]:
        """The notices below these ends, in as many portions as there are batches."""
        ...

    def publish(self, portions: Sequence[Sequence[Any]]) -> AsyncIterator[None]:
        """Appends a portion each time; durable then."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


async def open_floor(at: LogAt) -> FloorLog:
    """The floor of a log."""
    if at.kind is LogKind.KAFKA:
        from benchmarks.archive.kafka_floor import KafkaFloor  # noqa: PLC0415 - aiokafka, for those who use it

        return await KafkaFloor.open(at.address)
    return await PostgresFloor.open(at.address)


@dataclass(slots=True, kw_only=True)
class PostgresFloor:
    """Two connections, and the partitions' ids in the database."""

    reader: Connection
    publisher: Connection
    ids: Mapping[str, int]

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connected."""
        reader, publisher = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        return cls(reader=reader, publisher=publisher, ids=dict(map(tuple, await reader.fetch(_IDS))))

    async def read_through(self, ends: Mapping[str, int], batch_rows: int) -> AsyncIterator[int]:
        """See `FloorLog`."""
        for name, end in ends.items():
            for first in range(0, end, batch_rows):
                yield len(await self.reader.fetch(_READ, self.ids[name], first, min(first + batch_rows, end)))

    async def notices_of(self, ends: Mapping[str, int], *, batches: int) -> Sequence[Sequence[tuple[Any, ...]]]:
        """See `FloorLog`."""
        found = [
            (partition_id, key, headers, value)
            for name, end in ends.items()
            for partition_id, _, _, key, headers, value in await self.reader.fetch(_READ, self.ids[name], 0, end)
        ]
        shares = range(batches if found else 0)
        return [found[len(found) * one // batches : len(found) * (one + 1) // batches] for one in shares]

    async def publish(self, portions: Sequence[Sequence[tuple[Any, ...]]]) -> AsyncIterator[None]:
        """Each portion in one transaction, offsets taken in it."""
        for portion in portions:
            async with self.publisher.transaction():
                taken = {}
                for partition_id, amount in sorted(Counter(one[0] for one in portion).items()):
                    taken[partition_id] = tuple((await self.publisher.fetch(_TAKE_OFFSETS, partition_id, amount))[0])
                await self.publisher.copy_records_to_table(
                    "entries", schema_name="custody_log", columns=_COLUMNS, records=_placed(portion, taken)
                )
            yield

    async def close(self) -> None:
        """See `FloorLog`."""
        await self.reader.close()
        await self.publisher.close()


def _placed(portion: Sequence[tuple[Any, ...]], taken: Mapping[int, tuple[Any, ...]]) -> list[tuple[object, ...]]:
    following = {partition_id: base for partition_id, (base, _) in taken.items()}
    rows: list[tuple[object, ...]] = []
    for partition_id, key, headers, value in portion:
        rows.append((partition_id, following[partition_id], taken[partition_id][1], key, headers, value))
        following[partition_id] += 1
    return rows
