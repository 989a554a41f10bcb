"""A store with many records: some kept by the archive worker, the others copies of these under ids of their own.

Ids, conversations and targets of a copy are as random as real ones, so that indexes grow as they do in production: page
by page, in no order. Each copy is a quarter of an hour later than the one before, and a later batch. Its parts are
kept and its targets erased, with a receipt each, as of whatever lies there for long. Bytes and digests are those of the
original: nobody looks into them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from benchmarks.stage import Place

    Connection = asyncpg.Connection[asyncpg.Record]
    Filled = Callable[[int, int], None]

_COPIES_AT_ONCE = 10
_LAST_SHARE = 20

_FRESH = """
CREATE FUNCTION pg_temp.fresh(id text, copy bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT left(id, 4) || left(translate(
        lower(encode(sha256(convert_to(id || '/' || copy, 'UTF8')), 'base64')), '0189+/', 'abcdef'), 32)
$$
"""
"""Base32 letters in no order: an id of the same kind and length, as good as an HMAC's."""
_REMEMBER = "CREATE TEMPORARY TABLE {table}_reference AS SELECT * FROM custody_pas.{table}"
_COPY = """
INSERT INTO custody_pas.{table} ({columns})
SELECT {values} FROM pg_temp.{source}_reference, generate_series($1::bigint, $2::bigint) AS copy ORDER BY copy
"""
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''
ORDER BY attnum
"""
_BATCHES = "SELECT max(row_number) >> 24 FROM custody_pas.records"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copied:
    """What a table's rows are made of: `changed` columns, and the others as they are in the table `source`."""

    table: str
    source: str
    changed: Mapping[str, str]


def _fresh(name: str) -> str:
    return f"pg_temp.fresh({name}, copy)"


def _later(name: str) -> str:
    """So that the last copy comes just before the original, which is of now."""
    return f"{name} - ({{copies}} + 1 - copy) * interval '15 minutes'"


_COPIED = (
    _Copied(
        table="records",
        source="records",
        changed={
            "record_id": _fresh("record_id"),
            "conversation": _fresh("conversation"),
            "variant_of": _fresh("variant_of"),
            "row_number": "row_number + (copy * {batches} << 24)",
            "kept_at": _later("kept_at"),
            "received_at": _later("received_at"),
            "target_ids": "ARRAY(SELECT pg_temp.fresh(one, copy) FROM unnest(target_ids) AS one)",
        },
    ),
    _Copied(
        table="parts",
        source="parts",
        changed={
            **{name: _fresh(name) for name in ("record_id", "origin_id", "target_id")},
            "kept_at": _later("kept_at"),
        },
    ),
    _Copied(
        table="part_results",
        source="parts",
        changed={
            **{name: _fresh(name) for name in ("origin_id", "target_id")},
            "state": "'kept'",
            "reason": "NULL",
            "witnessed": "true",
            "shared": "false",
            "size": "60000",
            "sha256": "fingerprint",
            "version": "NULL",
            "place": f"tenant || '/' || {_fresh('record_id')} || '/' || number",
            "kept_at": _later("kept_at"),
        },
    ),
    _Copied(
        table="targets",
        source="targets",
        changed={
            **{name: _fresh(name) for name in ("target_id", "conversation")},
            "state": "'erased'",
            "reason": "NULL",
            "due_at": "NULL",
            "attempt": "1",
            **{name: _later(name) for name in ("not_before", "expires_at", "changed_at")},
        },
    ),
    _Copied(
        table="receipts",
        source="targets",
        changed={
            "target_id": _fresh("target_id"),
            "attempt": "1",
            "outcome": "'erased'",
            "evidence": "'http_200_success'",
            "witnessed": "true",
            "at": _later("changed_at"),
        },
    ),
    _Copied(
        table="unseen",
        source="unseen",
        changed={"record_id": _fresh("record_id"), "received_at": _later("received_at")},
    ),
    _Copied(table="tallies", source="tallies", changed={"bucket": _later("bucket")}),
)


@asynccontextmanager
async def filling(place: Place, records: int, filled: Filled) -> AsyncGenerator[Filler]:
    """What fills a store, with what the worker kept in it, up to about so many records.

    `filled` is told how far it is, and how far it is to go.
    """
    connection = await asyncpg.connect(place.admin_dsn)
    try:
        kept = await _count(connection)
        copies = round(records / kept) - 1
        batches: int = await connection.fetchval(_BATCHES)
        await connection.execute(_FRESH)
        for table in {one.source for one in _COPIED}:
            await connection.execute(_REMEMBER.format(table=table))
        statements = [await _statement(connection, one, copies=copies, batches=batches) for one in _COPIED]
        await connection.execute("SELECT setval('custody_pas.keep_numbers', $1)", (copies + 1) * batches)
        yield Filler(connection=connection, statements=statements, kept=kept, copies=copies, filled=filled)
    finally:
        await connection.close()


@dataclass(slots=True, kw_only=True)
class Filler:
    """Makes so many copies of the records that were `kept`, numbered from 1: some now and some later."""

    connection: Connection
    statements: Sequence[str]
    kept: int
    copies: int
    filled: Filled
    _made: int = 0

    async def fill(self, *, but: int = 0) -> None:
        """Makes all copies that are left but so many, some at a time."""
        while self._made < self.copies - but:
            last = min(self._made + _COPIES_AT_ONCE, self.copies - but)
            async with self.connection.transaction():
                for statement in self.statements:
                    await self.connection.execute(statement, self._made + 1, last)
            self._made = last
            self.filled(self.kept * (last + 1), self.kept * (self.copies + 1))

    @property
    def last(self) -> int:
        """How many copies change nearly every page of an index, with about a hundred ids on each: a twentieth."""
        return max(1, self.copies // _LAST_SHARE)


async def count(place: Place) -> int:
    """How many records a store has."""
    connection = await asyncpg.connect(place.admin_dsn)
    try:
        return await _count(connection)
    finally:
        await connection.close()


async def _count(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM custody_pas.records")
    return found


async def _statement(connection: Connection, copied: _Copied, *, copies: int, batches: int) -> str:
    columns = [name for (name,) in await connection.fetch(_COLUMNS, f"custody_pas.{copied.table}")]
    values = ", ".join(copied.changed.get(name, name) for name in columns).format(copies=copies, batches=batches)
    return _COPY.format(table=copied.table, columns=", ".join(columns), values=values, source=copied.source)
