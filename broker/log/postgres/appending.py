"""Appending: what several callers bring is written together, one transaction after the other."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.errors import CustodyError, LogUnavailableError, TooLargeError
from broker.core.topics import split_topic
from broker.log.postgres.connections import end
from broker.log.postgres.errors import CONFLICTS, DRIVER_ERRORS, is_lost, translated
from broker.log.postgres.queries import queries
from broker.log.postgres.rows import COLUMNS, Row, few_arguments, placed, row_of

if TYPE_CHECKING:
    import asyncpg

    from broker.core.metrics import Metrics
    from broker.core.ports import NewEntry
    from broker.log.postgres.catalog import Catalog
    from broker.log.postgres.connections import Connections
    from broker.log.postgres.options import PostgresLogOptions
    from broker.log.postgres.wakeups import Wakeups

FEW_ENTRIES = 64
"""Up to so many, one statement is quicker than a transaction with COPY in it (measured: 2.5 x at 1, 0.6 x at 500)."""
FEW_BYTES = 2**20
"""Beyond so many, COPY streams what a statement would hold several times over."""

_CONFLICT_ATTEMPTS = 5


@dataclass(slots=True, eq=False)
class _Waiting:
    """One caller's entries: all of them are written, or none."""

    rows: Sequence[Row]
    done: asyncio.Future[None]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(row.size for row in self.rows)


class Appender:
    """Writes in groups: while one transaction becomes durable, the next callers gather."""

    def __init__(
        self,
        connections: Connections,
        catalog: Catalog,
        wakeups: Wakeups,
        *,
        options: PostgresLogOptions,
        metrics: Metrics,
    ) -> None:
        self._connections = connections
        self._catalog = catalog
        self._wakeups = wakeups
        self._options = options
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._work = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._closed = False

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """See `EventLog.append`. `TooLargeError` for an entry over `entry_bytes`, or over `append_bytes` together."""
        if not entries:
            return
        largest = max(entry.size for entry in entries)
        if largest > self._options.entry_bytes:
            raise TooLargeError(
                f"an entry of {largest} bytes; the log takes {self._options.entry_bytes} for one. "
                "Nothing was appended: put large bytes into the blob store"
            )
        partition_ids = await self._catalog.partition_ids({entry.topic for entry in entries})
        rows = [row_of(entry, partition_ids[entry.topic]) for entry in entries]
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future())
        if waiting.size > self._options.append_bytes:
            raise TooLargeError(
                f"an append of {waiting.size} bytes; the log takes {self._options.append_bytes} at once. "
                "Nothing was appended: bring fewer entries, or put large bytes into the blob store"
            )
        self._enqueue(waiting)
        await waiting.done
        self._count(entries)

    async def close(self) -> None:
        """Writes what callers wait for, then ends."""
        self._closed = True
        self._work.set()
        if self._writer is not None:
            await self._writer
        if self._connection is not None:
            await end(self._connection)

    def _enqueue(self, waiting: _Waiting) -> None:
        if self._closed:
            raise LogUnavailableError("the log is closed: open it again; nothing was appended")
        self._queue.append(waiting)
        self._work.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups(), name="log-appender")

    async def _write_groups(self) -> None:
        while self._queue or not self._closed:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                if await self._reaches():
                    await self._settle(self._next_group())

    async def _reaches(self) -> bool:
        """Whether there is a connection. Where none can be made, everyone who waits is told at once."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connections.dedicate()
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for it
            waiting, self._queue = list(self._queue), deque()
            _tell(waiting, error)
            return False
        return True

    def _next_group(self) -> list[_Waiting]:
        """Callers in the order they came, up to the bounds of a group; a larger one goes alone."""
        group: list[_Waiting] = []
        entries = size = 0
        while self._queue:
            waiting = self._queue[0]
            entries += len(waiting.rows)
            size += waiting.size
            if group and (entries > self._options.group_entries or size > self._options.group_bytes):
                break
            self._queue.popleft()
            if not waiting.done.done():  # its caller may have gone
                group.append(waiting)
        return group

    async def _settle(self, group: list[_Waiting]) -> None:
        """Writes a group and tells its callers. What one caller brought does not fail the others."""
        if not group:
            return
        try:
            await self._write([row for waiting in group for row in waiting.rows])
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for it
            await self._refuse(group, error)
        else:
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_result(None)

    async def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        outage = isinstance(error, CustodyError) or (isinstance(error, DRIVER_ERRORS) and is_lost(error))
        if len(group) > 1 and not outage:
            for waiting in group:
                await self._settle([waiting])
            return
        _tell(group, error)

    async def _write(self, rows: Sequence[Row]) -> None:
        """One transaction. A conflict, which had no effect, is tried again at once."""
        for attempt in range(1, _CONFLICT_ATTEMPTS + 1):
            try:
                await self._write_once(rows)
            except CONFLICTS:
                if attempt == _CONFLICT_ATTEMPTS:
                    raise
            else:
                break
        self._wakeups.appended(frozenset(row.partition_id for row in rows))

    async def _write_once(self, rows: Sequence[Row]) -> None:
        connection = self._connection
        if connection is None:
            raise LogUnavailableError("the log has no connection; nothing was appended")
        try:
            if len(rows) <= FEW_ENTRIES and sum(row.size for row in rows) <= FEW_BYTES:
                await connection.execute(queries()["append_few"], *few_arguments(rows))
            else:
                await _copy(connection, rows)
        except BaseException as error:
            if is_lost(error):
                connection.terminate()
            raise

    def _count(self, entries: Sequence[NewEntry]) -> None:
        for topic, amount in Counter(entry.topic for entry in entries).items():
            self._metrics.count("custody.log.appended", amount, stream=split_topic(topic)[1])


async def _copy(connection: asyncpg.Connection[asyncpg.Record], rows: Sequence[Row]) -> None:
    counts = Counter(row.partition_id for row in rows)
    async with connection.transaction():
        taken = await connection.fetch(queries()["take_offsets"], list(counts), list(counts.values()))
        bases = {partition_id: (base, at) for partition_id, base, at in taken}
        await connection.copy_records_to_table(
            "entries", schema_name="custody_log", columns=COLUMNS, records=placed(rows, bases)
        )


def _tell(waiting: Sequence[_Waiting], error: Exception) -> None:
    problem = translated(error, "appending") if isinstance(error, DRIVER_ERRORS) else error
    for one in waiting:
        if not one.done.done():
            one.done.set_exception(problem)
