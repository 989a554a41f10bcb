"""The tables on Postgres keep every promise of the suite, by the writers' own login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.postgres.records import PostgresRecords
from backends.postgres.tables import PostgresTables
from tests.contract.table_store import TableBench, TableContract
from tests.records import Desk
from tests.stores import as_writer, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers import SharedPostgres


@dataclass
class PostgresTableBench:
    desk: Desk
    store: PostgresRecords
    tables: PostgresTables


@pytest_asyncio.fixture
async def table_bench(postgres_server: SharedPostgres, seed: int) -> AsyncIterator[TableBench]:
    async with store_database(postgres_server) as dsn:
        desk = Desk(seed)
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time)
        tables = await PostgresTables.open(as_writer(dsn))
        yield PostgresTableBench(desk, store, tables)
        await tables.close()
        await store.close()


class TestPostgresTables(TableContract):
    pass
