"""The rows that the worker wrote in its first run: what the floor writes again, and what every run is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from benchmarks.digests import Digest, digest
from broker.core.plan import bucket_start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Connection = asyncpg.Connection[asyncpg.Record]

TABLES = ("records", "parts", "targets", "unseen")
"""What this traffic adds rows to, beside the counters in `progress` and `tallies`."""

_EVERY_TABLE = """
SELECT relname FROM pg_class
WHERE relnamespace = 'custody_pas'::regnamespace AND relkind = 'r' AND relname NOT IN ('schema_versions', 'tallies')
ORDER BY relname
"""
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''
ORDER BY attnum
"""
_STARTS = "SELECT topic, partition, start_offset FROM custody_pas.progress"
_TALLIES = """
(SELECT tenant, account, bucket, sum(entries) AS entries, sum(duplicates) AS duplicates
 FROM custody_pas.tallies GROUP BY tenant, account, bucket) AS summed
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one table."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one transaction of the floor writes."""

    tables: Sequence[Table]
    tallies: Sequence[tuple[object, ...]]
    progress: Sequence[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A store's rows, cut into batches in the order they were written in."""

    batches: Sequence[Rows]

    @classmethod
    async def load(cls, dsn: str, *, batch_rows: int) -> Self:
        """Reads them all into memory."""
        connection = await asyncpg.connect(dsn)
        try:
            tables = [await _table(connection, name) for name in TABLES]
            starts = {(topic, number): start for topic, number, start in await connection.fetch(_STARTS)}
        finally:
            await connection.close()
        return cls(list(_batches(tables, starts, batch_rows)))


async def digests(admin_dsn: str) -> dict[str, Digest]:
    """How many rows each table of a store has, and a digest of them, whatever their order.

    Every table there is, so that none is forgotten. Left out is what depends on how the entries fell into batches:
    `row_number`, and under which partition a tally stands.
    """
    connection = await asyncpg.connect(admin_dsn)
    try:
        found = {}
        for (name,) in await connection.fetch(_EVERY_TABLE):
            columns = [one for one in await _columns(connection, name) if one != "row_number"]
            found[name] = await digest(connection, columns=", ".join(columns), source=f"custody_pas.{name}")
        found["tallies"] = await digest(connection, columns="summed.*", source=_TALLIES)
        return found
    finally:
        await connection.close()


async def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    return tuple(name for (name,) in await connection.fetch(_COLUMNS, f"custody_pas.{table}"))


async def _table(connection: Connection, name: str) -> Table:
    """A table's rows as they lie: nothing was updated, so that this is about the order they were written in."""
    columns = await _columns(connection, name)
    listed = ", ".join(columns)
    rows = await connection.fetch(f"SELECT {listed} FROM custody_pas.{name} ORDER BY ctid")  # noqa: S608 - names of ours
    return Table(name, columns, [tuple(row) for row in rows])


def _batches(tables: Sequence[Table], starts: Mapping[tuple[str, int], int], batch_rows: int) -> Iterator[Rows]:
    """Every table in as many slices as it takes for `batch_rows` records in each."""
    records = tables[0]
    count = max(1, -(-len(records.rows) // batch_rows))
    for number in range(count):
        slices = [Table(one.name, one.columns, _slice(one.rows, number, count)) for one in tables]
        own = Table(records.name, records.columns, slices[0].rows)
        yield Rows(tables=slices, tallies=_tallies(own), progress=_progress(own, starts))


def _slice(rows: Sequence[tuple[Any, ...]], number: int, count: int) -> Sequence[tuple[Any, ...]]:
    return rows[len(rows) * number // count : len(rows) * (number + 1) // count]


def _picked(records: Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return map(itemgetter(*(records.columns.index(name) for name in names)), records.rows)


def _progress(records: Table, starts: Mapping[tuple[str, int], int]) -> list[tuple[object, ...]]:
    """The last record of each partition moves that partition's row."""
    last: dict[tuple[str, int], tuple[object, ...]] = {}
    picked = _picked(records, "log", "topic", "partition", "tenant", "log_offset", "keep_seq", "record_id")
    for log, topic, partition, tenant, offset, keep_seq, record_id in sorted(picked, key=itemgetter(4)):
        start = starts[topic, partition]
        last[topic, partition] = (log, topic, partition, tenant, start, offset + 1, keep_seq, record_id)
    return [last[place] for place in sorted(last)]


def _tallies(records: Table) -> list[tuple[object, ...]]:
    picked = list(_picked(records, "log", "topic", "partition", "account", "received_at", "tenant"))
    under = min(one[:3] for one in picked)
    counts = Counter((account, bucket_start(at), tenant) for *_, account, at, tenant in picked)
    return [(*under, *key, amount) for key, amount in counts.items()]
