"""Makes a store equal to another one's snapshot: what is missing is inserted, what may change is changed, no more.

It can be cut off and begun again anywhere: what is there already is passed over. The first store goes on being written;
nobody else writes to the second one meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker.blob_copies import COPIED, THERE, Throttle, copy_blob
from broker.comparable import grouped
from broker.core.codec import BLOB_ENCODING, decode
from broker.core.model import BlobReference
from broker.core.parity import ONLY_RIGHT, Blob, merged
from broker.core.ports import BlobStore
from broker.core.ports.tables import TableSnapshot, TableStore
from broker.core.rows import sealed_record
from broker.core.seals import broken_seals
from broker.core.tables import PART_RESULTS, PROGRESS, RECORDS, TABLES, Key, Row, Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

AHEAD = "ahead"
_ROWS_AT_ONCE, _WIDE_ROWS_AT_ONCE = 500, 8
_BYTES_AT_ONCE = 8 * 1024 * 1024
_BLOBS_AT_ONCE = 4
_FIRST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something of the right store that copying would have to overwrite, or of the left one that is not sound.

    `what`: `only_right`; the columns that differ and never change; `ahead`, of progress; `altered_left`, of a record;
    of a blob, what `copy_blob` says.
    """

    tenant: str
    table: str
    key: tuple[str, ...]
    what: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.table} {' '.join(self.key)}: {', '.join(one.replace('_', ' ') for one in self.what)}"


@dataclass(slots=True, kw_only=True)
class Copied:
    """What was done: rows by table, blobs and their bytes; and what was refused."""

    inserted: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    blobs: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    refused: int = 0
    first: list[Refusal] = field(default_factory=list)

    def refuse(self, tenant: str, table: str, key: Key, *what: str) -> None:
        """Notes a refusal."""
        self.refused += 1
        if len(self.first) < _FIRST:
            self.first.append(Refusal(tenant=tenant, table=table, key=tuple(map(str, key)), what=what))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies one tenant after the other. `step` is told of each row that was looked at, and of each blob."""

    left: TableSnapshot
    left_blobs: BlobStore
    right: TableStore
    right_blobs: BlobStore
    throttle: Throttle = field(default_factory=Throttle)
    done: Copied = field(default_factory=Copied)
    step: Callable[[int], None] = lambda _: None

    async def refuse_ahead(self, tenant: str) -> bool:
        """Whether the right store has kept more of the log than the left one: then nothing may be written."""
        is_ahead = False
        async with self.right.snapshot() as right:
            async for ours, theirs in self._both(right, PROGRESS, tenant):
                if theirs is not None and _next(theirs) > (-1 if ours is None else _next(ours)):
                    is_ahead = True
                    self.done.refuse(tenant, PROGRESS.name, PROGRESS.key_of(theirs), AHEAD)
        return is_ahead

    async def rows(self, tenant: str) -> None:
        """A tenant's rows, table by table; `renumber` the store when all are through."""
        for table in TABLES:
            async with self.right.snapshot() as right:
                await _TableCopy(self, table, tenant).run(self._both(right, table, tenant))

    async def blobs(self, tenant: str) -> None:
        """A tenant's blobs, a few at once."""
        async for group in grouped(self._places(tenant), _BLOBS_AT_ONCE):
            became = await asyncio.gather(*(self._blob(one) for one in {one.place: one for one in group}.values()))
            for blob, what in became:
                self.done.blobs[what] += 1
                if what == COPIED:
                    self.done.bytes += blob.size
                elif what != THERE:
                    self.done.refuse(tenant, "blobs", (blob.place,), what)
            self.step(len(group))

    async def _blob(self, blob: Blob) -> tuple[Blob, str]:
        return blob, await copy_blob(self.left_blobs, self.right_blobs, blob, self.throttle)

    def _both(self, right: TableSnapshot, table: Table, tenant: str) -> AsyncIterator[tuple[Row | None, Row | None]]:
        columns = narrow(table)
        return merged(self.left.scan(table, tenant, columns), right.scan(table, tenant, columns), table.key_of)

    async def _places(self, tenant: str) -> AsyncIterator[Blob]:
        """Where the bytes of parts lie, and of contents that were too large for the log, if any is kept apart."""
        async for place, size, sha256 in self.left.scan(PART_RESULTS, tenant, ("place", "size", "sha256")):
            if isinstance(place, str) and isinstance(size, int) and isinstance(sha256, bytes):
                yield Blob(place=place, size=size, sha256=sha256)
        async for record_id, encoding in self.left.scan(RECORDS, tenant, ("record_id", "encoding")):
            if encoding == BLOB_ENCODING:
                for row in await self.left.rows(RECORDS, tenant, [(record_id,)]):
                    reference = decode(_named(RECORDS, row)["content"], BlobReference)
                    yield Blob(place=reference.place, size=reference.size, sha256=reference.sha256)


@dataclass(frozen=True, slots=True)
class _TableCopy:
    """One table of one tenant."""

    of: Copier
    table: Table
    tenant: str
    missing: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)

    async def run(self, pairs: AsyncIterator[tuple[Row | None, Row | None]]) -> None:
        async for ours, theirs in pairs:
            self._sort(ours, theirs)
            if len(self.missing) >= _ROWS_AT_ONCE or len(self.changed) >= _ROWS_AT_ONCE:
                await self._write()
            self.of.step(1)
        await self._write()

    def _sort(self, ours: Row | None, theirs: Row | None) -> None:
        done, name = self.of.done, self.table.name
        if ours is None:
            done.refuse(self.tenant, name, self.table.key_of(theirs or ()), ONLY_RIGHT)
        elif theirs is None:
            self.missing.append(ours)
        elif ours == theirs:
            done.there[name] += 1
        elif self.table is PROGRESS and _next(theirs) > _next(ours):
            done.refuse(self.tenant, name, self.table.key_of(ours), AHEAD)
        elif fixed := self._fixed(ours, theirs):
            done.refuse(self.tenant, name, self.table.key_of(ours), *fixed)
        else:
            self.changed.append(ours)

    def _fixed(self, ours: Row, theirs: Row) -> list[str]:
        """Which columns differ that are written once."""
        columns = zip(narrow(self.table), ours, theirs, strict=True)
        return [name for name, one, other in columns if one != other and name not in self.table.mutable]

    async def _write(self) -> None:
        store, done, name = self.of.right, self.of.done, self.table.name
        async for rows in self._whole():
            done.inserted[name] += await store.insert(self.table, rows)
        if self.changed:
            done.updated[name] += await store.update(self.table, self.changed)
        self.missing.clear()
        self.changed.clear()

    async def _whole(self) -> AsyncIterator[Sequence[Row]]:
        """The rows that are missing, whole, in batches of so many rows and bytes."""
        if not self.table.apart:
            if self.missing:
                yield list(self.missing)
            return
        batch: list[Row] = []
        size = 0
        for start in range(0, len(self.missing), _WIDE_ROWS_AT_ONCE):
            keys = [self.table.key_of(row) for row in self.missing[start : start + _WIDE_ROWS_AT_ONCE]]
            for row in await self.of.left.rows(self.table, self.tenant, keys):
                if self._is_sound(row):
                    batch.append(row)
                    size += sum(len(one) for one in row if isinstance(one, bytes))
            if size >= _BYTES_AT_ONCE:
                await self.of.throttle.take(size)
                yield batch
                batch, size = [], 0
        if batch:
            await self.of.throttle.take(size)
            yield batch

    def _is_sound(self, row: Row) -> bool:
        """Whether a record is what was kept; one that is not stays where it is, and is named."""
        altered = broken_seals(sealed_record(_named(self.table, row)))
        if altered:
            self.of.done.refuse(self.tenant, self.table.name, self.table.key_of(row), "altered_left", *altered)
        return not altered


def narrow(table: Table) -> tuple[str, ...]:
    """The columns that rows are told apart by."""
    return tuple(name for name in table.columns if name not in table.apart)


def _named(table: Table, row: Row) -> Mapping[str, Any]:
    return dict(zip(table.columns, row, strict=True))


def _next(row: Row) -> int:
    offset = row[PROGRESS.columns.index("next_offset")]
    return offset if isinstance(offset, int) else -1
