"""The tables in memory as rows: for copying and comparing, see `TableStore`."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.memory import row_forms
from backends.memory.records import MemoryRecords
from broker.core.tables import PART_RESULTS, RECORDS, TABLES, Row, Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.tables import Key


@dataclass(frozen=True, slots=True)
class MemoryTables:
    """See `TableStore`: the same rows as those of the record store it is given."""

    records: MemoryRecords

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[MemorySnapshot]:
        tables = self.records.tables
        found = {table.name: sorted(row_forms.FORMS[table.name].read(tables), key=table.key_of) for table in TABLES}
        yield MemorySnapshot(found)

    async def insert(self, table: Table, rows: Sequence[Row]) -> int:
        tables, form = self.records.tables, row_forms.FORMS[table.name]
        known = {(_tenant(table, row), table.key_of(row)) for row in form.read(tables)}
        fresh = [row for row in rows if (_tenant(table, row), table.key_of(row)) not in known]
        for row in fresh:
            form.write(tables, dict(zip(table.columns, row, strict=True)))
        if table is RECORDS:
            tables.records = dict(sorted(tables.records.items(), key=lambda item: tables.row_numbers[item[0]]))
        if table is PART_RESULTS:
            for results in tables.results.values():
                results.sort(key=lambda one: one.order)
        return len(fresh)

    async def update(self, table: Table, rows: Sequence[Row]) -> int:
        tables, form = self.records.tables, row_forms.FORMS[table.name]
        known = {(_tenant(table, row), table.key_of(row)): row for row in form.read(tables)}
        changed = [row for row in rows if (_tenant(table, row), table.key_of(row)) in known]
        for row in changed:
            kept = dict(zip(table.columns, known[_tenant(table, row), table.key_of(row)], strict=True))
            given = dict(zip(table.columns, row, strict=True))
            form.write(tables, kept | {name: given[name] for name in table.mutable})
        return len(changed)

    async def renumber(self) -> None:
        tables = self.records.tables
        for table in TABLES:
            if table.numbered is not None:
                place = table.columns.index(table.numbered)
                numbers = [row_forms.whole(row[place]) for row in row_forms.FORMS[table.name].read(tables)]
                tables.numbered[table.name] = max([tables.numbered[table.name], *numbers])

    async def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """See `TableSnapshot`: rows by table, in the order of their keys."""

    found: dict[str, list[Row]]

    async def tenants(self) -> Sequence[str]:
        return sorted({_tenant(table, row) for table in TABLES for row in self.found[table.name]})

    async def count(self, table: Table, tenant: str) -> int:
        return len(self._of(table, tenant))

    async def scan(
        self, table: Table, tenant: str, columns: Sequence[str], *, after: Key | None = None
    ) -> AsyncIterator[Row]:
        rows, places = self._of(table, tenant), [table.columns.index(name) for name in columns]
        start = 0 if after is None else bisect_right(rows, after, key=table.key_of)
        for row in rows[start:]:
            yield tuple(row[place] for place in places)

    async def rows(self, table: Table, tenant: str, keys: Sequence[Key]) -> Sequence[Row]:
        found = {table.key_of(row): row for row in self._of(table, tenant)}
        return [found[key] for key in keys if key in found]

    def _of(self, table: Table, tenant: str) -> list[Row]:
        return [row for row in self.found[table.name] if _tenant(table, row) == tenant]


def _tenant(table: Table, row: Row) -> str:
    return str(row[table.columns.index("tenant")])
