"""The collections of MongoDB keep every promise of the suite, by either driver and the writers' own login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.mongo.connections import MongoOptions
from backends.mongo.records import MongoRecords
from backends.mongo.tables import MongoTables
from tests.contract.table_store import TableBench, TableContract
from tests.mongo_servers import as_writer
from tests.mongo_stores import DRIVERS, mongo_database
from tests.records import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from tests.mongo_servers import SharedMongo


@dataclass
class MongoTableBench:
    desk: Desk
    store: MongoRecords
    tables: MongoTables


@pytest_asyncio.fixture(params=DRIVERS)
async def table_bench(
    mongo_server: SharedMongo, seed: int, request: pytest.FixtureRequest
) -> AsyncIterator[TableBench]:
    async with mongo_database(mongo_server) as uri:
        desk, options = Desk(seed), MongoOptions(driver=request.param)
        store = await MongoRecords.open(as_writer(uri), clock=desk.time, options=options)
        tables = await MongoTables.open(as_writer(uri), options)
        yield MongoTableBench(desk, store, tables)
        await tables.close()
        await store.close()


class TestMongoTables(TableContract):
    pass
