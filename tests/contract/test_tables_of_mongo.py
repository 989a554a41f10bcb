"""MongoDB's documents as rows of tables: in the order of keys, in one snapshot, and into another database unchanged."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.mongo.connections import MongoOptions
from backends.mongo.records import MongoRecords
from backends.mongo.tables import MongoTables
from broker.core.account import draw
from broker.core.tables import GAPS, PARTS, PROGRESS, RECORDS, TABLES, TALLIES, TARGETS
from tests.contract.record_store_account import everything
from tests.contract.test_records_mongo import MongoBench
from tests.mongo_servers import as_writer
from tests.mongo_stores import DRIVERS, mongo_database
from tests.records import LOG, TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from backends.mongo.drivers import DriverName
    from broker.core.ports import TableSnapshot
    from broker.core.tables import Row, Table
    from tests.mongo_servers import SharedMongo


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> DriverName:
    found: DriverName = request.param
    return found


@asynccontextmanager
async def opened(uri: str, driver: DriverName) -> AsyncGenerator[MongoTables]:
    tables = await MongoTables.open(as_writer(uri), MongoOptions(driver=driver))
    try:
        yield tables
    finally:
        await tables.close()


@pytest_asyncio.fixture
async def bench(mongo_server: SharedMongo, seed: int, driver: DriverName) -> AsyncIterator[MongoBench]:
    """A store with a little of everything."""
    async with mongo_database(mongo_server) as uri:
        desk = Desk(seed)
        store = await MongoRecords.open(as_writer(uri), clock=desk.time, options=MongoOptions(driver=driver))
        bench = MongoBench(desk, store, uri)
        await everything(bench)
        yield bench
        await store.close()


async def all_of(snapshot: TableSnapshot, table: Table) -> list[Row]:
    return [row async for row in snapshot.scan(table, TENANT, table.columns)]


async def test_every_table_is_copied_and_the_store_goes_on(
    mongo_server: SharedMongo, bench: MongoBench, driver: DriverName
) -> None:
    desk = bench.desk
    async with mongo_database(mongo_server) as other, opened(bench.admin_uri, driver) as left:
        async with opened(other, driver) as right:
            async with left.snapshot() as before:
                assert list(await before.tenants()) == [TENANT]
                for table in TABLES:
                    found = await all_of(before, table)
                    assert found, table.name
                    assert await before.count(table, TENANT) == len(found)
                    assert await right.insert(table, found) == len(found)
                    assert await right.insert(table, found[:1]) == 0
            await right.renumber()
            async with left.snapshot() as one, right.snapshot() as two:
                for table in TABLES:
                    assert await all_of(one, table) == await all_of(two, table), table.name
        store = await MongoRecords.open(as_writer(other), clock=desk.time, options=MongoOptions(driver=driver))
        try:
            assert draw(await store.tally(TENANT, LOG), desk.bounds()).problems() == []
            entry = desk.arrive(desk.text(thread="thread"))
            later = desk.arrive(desk.text(thread="thread"))
            await store.keep([entry])
            await store.keep([later])
        finally:
            await store.close()
        async with opened(other, driver) as right, right.snapshot() as after:
            numbers = {row[0]: int(str(row[2])) for row in await all_of(after, RECORDS)}
        newest = [numbers.pop(one.record.envelope.record_id) for one in (entry, later)]
        assert newest == sorted(newest)
        assert newest[0] > max(numbers.values())


async def test_rows_come_in_the_order_of_their_keys_and_from_behind_any_of_them_on(
    mongo_server: SharedMongo, driver: DriverName
) -> None:
    """A name that goes on with less than the stroke of an id is behind the shorter one all the same."""
    names = ["a", "a-b", "a.b", "a/b", "ab", "a\u00e9", "a\uffff", "a\U0001f600"]
    async with mongo_database(mongo_server) as uri, opened(uri, driver) as tables:
        async with tables.snapshot() as empty:
            assert (list(await empty.tenants()), await empty.count(PARTS, TENANT)) == ([], 0)
        at = Desk(1).time.now
        rows = [(name, n, TENANT, "image", "x/y", name, b"f", "tgt", at) for name in names for n in (2, 10, 1)]
        await tables.insert(PARTS, rows)
        async with tables.snapshot() as snapshot:
            found = await all_of(snapshot, PARTS)
            assert found == sorted(rows, key=PARTS.key_of)
            for place, row in enumerate(found):
                behind = [one async for one in snapshot.scan(PARTS, TENANT, ["record_id", "number"], after=row[:2])]
                assert behind == [one[:2] for one in found[place + 1 :]]
            keys = [row[:2] for row in rows]
            assert list(await snapshot.rows(PARTS, TENANT, [("none", 1), *keys])) == rows


async def test_a_snapshot_does_not_see_what_is_kept_later(bench: MongoBench, driver: DriverName) -> None:
    async with opened(bench.admin_uri, driver) as tables, tables.snapshot() as snapshot:
        before = await all_of(snapshot, PROGRESS)
        await bench.store.keep([bench.desk.arrive(bench.desk.text())])
        assert await all_of(snapshot, PROGRESS) == before
        async with tables.snapshot() as later:
            assert await all_of(later, PROGRESS) != before


async def test_only_what_may_change_is_updated(bench: MongoBench, driver: DriverName) -> None:
    async with opened(bench.admin_uri, driver) as tables:
        for table in (TARGETS, GAPS, PROGRESS, TALLIES):
            async with tables.snapshot() as snapshot:
                row = dict(zip(table.columns, (await all_of(snapshot, table))[0], strict=True))
            unchanged = {name: row[name] for name in table.columns if name not in table.mutable}
            changed = {name: "closed" if name == "state" and table is GAPS else row[name] for name in table.mutable}
            changed |= {"duplicates": 77} if "duplicates" in changed else {}
            changed |= {"attempt": 9} if "attempt" in changed else {}
            wanted = tuple((unchanged | changed)[name] for name in table.columns)
            lie = tuple("lie" if name == "account" else (unchanged | changed)[name] for name in table.columns)
            sent = wanted if "account" in table.key else lie
            assert await tables.update(table, [sent]) == 1
            async with tables.snapshot() as snapshot:
                assert list(await snapshot.rows(table, TENANT, [table.key_of(wanted)])) == [wanted]
        assert await tables.update(GAPS, [("none", TENANT, "dead", "closed", "acc", bench.desk.time.now)]) == 0
