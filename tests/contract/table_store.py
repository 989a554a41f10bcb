"""What every store promises as tables of rows: a suite that an implementation joins by giving it a bench."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import pytest

from backends.memory import MemoryRecords
from backends.memory.row_forms import whole
from backends.memory.rows import MemoryTables
from broker.core.tables import GAPS, RECORDS, TABLES, TARGETS, Row, Table
from tests.kept import Traffic, all_rows, copy_rows, everything
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from broker.core.ports import RecordStore
    from broker.core.ports.tables import TableStore

OTHER_TENANT = "zeta-life"
BY_NAME = {table.name: table for table in TABLES}


class TableBench(Protocol):
    """An empty store, as records and as tables, and the desk whose clock it has."""

    @property
    def desk(self) -> Desk: ...

    @property
    def store(self) -> RecordStore: ...

    @property
    def tables(self) -> TableStore: ...


class Beside:
    """An empty store in memory beside the one on the bench."""

    def __init__(self, desk: Desk) -> None:
        self.store = MemoryRecords(desk.time)
        self.tables = MemoryTables(self.store)


async def keep_some(store: RecordStore, desk: Desk) -> None:
    await Traffic(desk).keep(store)
    other = Desk(2, tenant=OTHER_TENANT)
    other.time = desk.time
    await Traffic(other).keep(store, rounds=1)


class TableContract:
    """Rows as they were kept, in order; inserting, updating, going on."""

    async def test_an_empty_store_has_nobodys_rows(self, table_bench: TableBench) -> None:
        async with table_bench.tables.snapshot() as snapshot:
            assert list(await snapshot.tenants()) == []

    async def test_what_was_kept_scans_in_the_order_of_keys(self, table_bench: TableBench) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        found = await all_rows(table_bench.tables)
        for (name, tenant), rows in found.items():
            table = BY_NAME[name]
            keys = [table.key_of(row) for row in rows]
            assert rows, (name, tenant)
            assert keys == sorted(set(keys)), name
            assert {row[table.columns.index("tenant")] for row in rows} == {tenant}

    async def test_the_same_was_kept_as_in_memory(self, table_bench: TableBench) -> None:
        beside = Beside(table_bench.desk)
        await keep_some(table_bench.store, Desk(3))
        await keep_some(beside.store, Desk(3))
        assert _plain(await all_rows(table_bench.tables)) == _plain(await all_rows(beside.tables))

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    async def test_a_scan_goes_on_behind_a_key(self, table_bench: TableBench, table: Table) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        async with table_bench.tables.snapshot() as snapshot:
            rows = [row async for row in snapshot.scan(table, TENANT, table.columns)]
            for place in range(len(rows)):
                after = table.key_of(rows[place])
                behind = [row async for row in snapshot.scan(table, TENANT, table.key, after=after)]
                assert behind == [table.key_of(row) for row in rows[place + 1 :]]
            assert await snapshot.count(table, TENANT) == len(rows)

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    async def test_whole_rows_by_key_in_the_order_asked_for(self, table_bench: TableBench, table: Table) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        async with table_bench.tables.snapshot() as snapshot:
            rows = [row async for row in snapshot.scan(table, TENANT, table.columns)]
            wanted = rows[::-2]
            assert await snapshot.rows(table, TENANT, [table.key_of(row) for row in wanted]) == wanted
            assert await snapshot.rows(table, "nobody", [table.key_of(row) for row in wanted]) == []
            assert await snapshot.rows(table, TENANT, []) == []

    async def test_a_snapshot_stays_as_it_was(self, table_bench: TableBench) -> None:
        desk = table_bench.desk
        await table_bench.store.keep([desk.arrive(desk.text())])
        async with table_bench.tables.snapshot() as snapshot:
            await snapshot.tenants()
            await table_bench.store.keep([desk.arrive(desk.text())])
            assert len([row async for row in snapshot.scan(RECORDS, TENANT, RECORDS.key)]) == 1
        async with table_bench.tables.snapshot() as snapshot:
            assert len([row async for row in snapshot.scan(RECORDS, TENANT, RECORDS.key)]) == 2

    async def test_two_scans_of_one_snapshot_take_turns(self, table_bench: TableBench) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        async with table_bench.tables.snapshot() as snapshot:
            targets = [row async for row in snapshot.scan(TARGETS, TENANT, TARGETS.key)]
            async for _ in snapshot.scan(RECORDS, TENANT, RECORDS.columns):
                assert [row async for row in snapshot.scan(TARGETS, TENANT, TARGETS.key)] == targets

    @pytest.mark.parametrize("into_memory", [True, False])
    async def test_what_was_inserted_reads_as_it_does_where_it_came_from(
        self, table_bench: TableBench, into_memory: bool
    ) -> None:
        beside = Beside(table_bench.desk)
        left, right = (table_bench, beside) if into_memory else (beside, table_bench)
        await keep_some(left.store, table_bench.desk)
        await copy_rows(left.tables, right.tables)
        assert await all_rows(right.tables) == await all_rows(left.tables)
        for tenant in (TENANT, OTHER_TENANT):
            assert await everything(right.store, tenant) == await everything(left.store, tenant)

    @pytest.mark.parametrize("into_memory", [True, False])
    async def test_keeping_goes_on_where_it_was_left(self, table_bench: TableBench, into_memory: bool) -> None:
        beside, desk = Beside(table_bench.desk), table_bench.desk
        left, right = (table_bench, beside) if into_memory else (beside, table_bench)
        traffic = Traffic(desk)
        await traffic.keep(left.store)
        await copy_rows(left.tables, right.tables)
        batch = [desk.arrive(desk.text()), desk.arrive(desk.image())]
        results = [desk.arrive(desk.lost(traffic.photos[-1], 2)), desk.arrive(desk.kept(traffic.photos[-1], 2))]
        for store in (left.store, right.store):
            await store.keep(batch)
            await store.keep(results)
            await store.claim_due(now=desk.time.now, limit=100, lease=timedelta(minutes=5))
        assert await everything(right.store, TENANT) == await everything(left.store, TENANT)
        assert _plain(await all_rows(right.tables)) == _plain(await all_rows(left.tables))

    async def test_what_is_there_is_left_as_it_is(self, table_bench: TableBench) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        before = await all_rows(table_bench.tables)
        for (name, _), rows in before.items():
            assert await table_bench.tables.insert(BY_NAME[name], rows) == 0
            assert await table_bench.tables.insert(BY_NAME[name], []) == 0
        gap = before[GAPS.name, TENANT][0]
        assert await table_bench.tables.insert(GAPS, [_with(GAPS, gap, state="closed", cause="another")]) == 0
        assert await all_rows(table_bench.tables) == before

    async def test_only_what_may_change_is_updated(self, table_bench: TableBench) -> None:
        await keep_some(table_bench.store, table_bench.desk)
        before = (await all_rows(table_bench.tables))[TARGETS.name, TENANT]
        later = table_bench.desk.time.pass_(hours=1)
        changed = {"state": "blocked", "reason": "a test", "due_at": None, "attempt": 7, "changed_at": later}
        given = _with(TARGETS, before[0], **changed, account="another")
        absent = _with(TARGETS, before[0], target_id="tgt_none")
        assert await table_bench.tables.update(TARGETS, [given, absent]) == 1
        assert await table_bench.tables.update(TARGETS, []) == 0
        after = (await all_rows(table_bench.tables))[TARGETS.name, TENANT]
        assert after == [_with(TARGETS, before[0], **changed), *before[1:]]

    async def test_renumbering_never_goes_back(self, table_bench: TableBench) -> None:
        desk = table_bench.desk
        await Traffic(desk).keep(table_bench.store)
        for _ in range(2):
            await table_bench.tables.renumber()
            await table_bench.store.keep([desk.arrive(desk.text(thread="4915"))])
        rows = (await all_rows(table_bench.tables))[RECORDS.name, TENANT]
        numbers = [row[RECORDS.columns.index("row_number")] for row in rows]
        assert len(set(numbers)) == len(numbers)
        ordered = await table_bench.store.conversation(TENANT, str(rows[0][RECORDS.columns.index("conversation")]))
        assert [one.kept_at for one in ordered] == sorted(one.kept_at for one in ordered)


def _with(table: Table, row: Row, **changed: object) -> Row:
    return tuple(changed.get(name, value) for name, value in zip(table.columns, row, strict=True))


def _plain(found: dict[tuple[str, str], list[Row]]) -> dict[tuple[str, str], list[Row]]:
    """Rows with each number replaced by its place in their order: numbers themselves are the store's own."""
    return {(name, tenant): _ordered(BY_NAME[name], rows) for (name, tenant), rows in found.items()}


def _ordered(table: Table, rows: list[Row]) -> list[Row]:
    if table.numbered is None:
        return rows
    at = table.columns.index(table.numbered)
    places = {number: place for place, number in enumerate(sorted(whole(row[at]) for row in rows))}
    return [(*row[:at], places[whole(row[at])], *row[at + 1 :]) for row in rows]
