"""Reading entries: batches for subscriptions, and single partitions outside any group."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from broker.log.postgres.errors import guarded
from broker.log.postgres.queries import queries
from broker.log.postgres.rows import entry_at
from broker.log.postgres.sharing import share_fetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import asyncpg

    from broker.core.ports import LogEntry
    from broker.core.topics import TopicPartition
    from broker.log.postgres.connections import Connection, Connections
    from broker.log.postgres.cursors import Cursor


class Reader:
    """Reads what is committed; offsets become visible in order, so that nothing is ever passed over."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @guarded("fetching")
    async def batch(self, cursors: Sequence[Cursor], max_entries: int, max_bytes: int) -> Sequence[LogEntry]:
        """Up to `max_entries`, fairly from these, and moves them past what it gives back."""
        positions = {cursor.partition_id: cursor.position or 0 for cursor in cursors}
        async with self._connections.borrow() as connection:
            spans = await _spans(connection, positions)
            if not spans:
                return []
            shares = share_fetch([end - first for _, first, end in spans], max_entries)
            rows = await connection.fetch(
                queries()["fetch"],
                [partition_id for partition_id, _, _ in spans],
                [first for _, first, _ in spans],
                [first + share for (_, first, _), share in zip(spans, shares, strict=True)],
                max_bytes,
            )
        return _handed_out({cursor.partition_id: cursor for cursor in cursors}, positions, rows)

    @guarded("reading")
    async def read(self, partition: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        """See `EventLog.read`."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["read"], partition.topic, partition.partition, offset, max_entries)
        return [entry_at(partition, *row) for row in rows]


async def _spans(connection: Connection, positions: Mapping[int, int]) -> Sequence[tuple[int, int, int]]:
    """What lies past each position: partition id, first and next offset; only where there is something."""
    ends = {
        partition_id: (max(first, positions[partition_id]), end)
        for partition_id, first, end in await connection.fetch(queries()["ends"], list(positions))
    }
    return [(one, *ends[one]) for one in positions if one in ends and ends[one][0] < ends[one][1]]


def _handed_out(
    cursors: Mapping[int, Cursor], positions: Mapping[int, int], rows: Sequence[asyncpg.Record]
) -> Sequence[LogEntry]:
    """The rows as entries, and their cursors moved. A cursor that was paused or moved meanwhile hands nothing out."""
    batch: list[LogEntry] = []
    for partition_id, group in groupby(rows, key=itemgetter("partition_id")):
        cursor = cursors[partition_id]
        entries = [entry_at(cursor.place, *tuple(row)[1:]) for row in group]
        if cursor.advance(positions[partition_id], entries[-1].offset + 1):
            batch += entries
    return batch
