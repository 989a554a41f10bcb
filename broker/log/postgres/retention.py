"""Taking entries away: below an offset, or past their topic's retention. In small transactions, so that none waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.topics import TopicPartition
from broker.log.postgres.errors import guarded
from broker.log.postgres.queries import queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from broker.log.postgres.connections import Connections


class Retention:
    """Moves the first offsets of partitions. It asks no group: who must not lose entries says so by `floors`."""

    def __init__(self, connections: Connections, *, trim_entries: int) -> None:
        self._connections = connections
        self._trim_entries = trim_entries

    async def trim(self, partition: TopicPartition, before: int) -> int:
        """See `EventLog.trim`; how many offsets went."""
        trimmed = 0
        while step := await self._trim_some(partition, before):
            trimmed += step
        return trimmed

    async def expire(self, now: datetime, floors: Mapping[TopicPartition, int]) -> int:
        """See `EventLog.expire`."""
        expired, went = 0, True
        while went:
            went = False
            for partition, before in (await self._expired(now)).items():
                step = await self.trim(partition, min(before, floors.get(partition, before)))
                expired, went = expired + step, went or step > 0
        return expired

    @guarded("trimming")
    async def _trim_some(self, partition: TopicPartition, before: int) -> int:
        async with self._connections.borrow() as connection:
            trimmed: int | None = await connection.fetchval(
                queries()["trim"], partition.topic, partition.partition, before, self._trim_entries
            )
        return trimmed or 0

    @guarded("looking for expired entries")
    async def _expired(self, now: datetime) -> Mapping[TopicPartition, int]:
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["expired"], now, self._trim_entries)
        return {TopicPartition(name, partition): before for name, partition, before in rows}
