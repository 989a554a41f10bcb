"""The record store on MongoDB keeps every promise of the suite, by either driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.mongo.connections import MongoOptions
from backends.mongo.records import MongoRecords
from tests.contract.record_store import Bench, KeepContract
from tests.contract.record_store_account import AccountContract
from tests.contract.record_store_losses import GapContract, LossContract
from tests.contract.record_store_second import SecondStoreContract
from tests.contract.record_store_succession import SuccessionContract
from tests.contract.record_store_targets import ReceiptContract, TargetContract
from tests.mongo_servers import as_writer
from tests.mongo_stores import DRIVERS, administered, mongo_database
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from backends.mongo.drivers import DriverName
    from tests.mongo_servers import SharedMongo


@dataclass
class MongoBench:
    desk: Desk
    store: MongoRecords
    admin_uri: str

    async def forget_record(self, record_id: str) -> None:
        await self._delete("records", "record_id", record_id)

    async def forget_target(self, target_id: str) -> None:
        await self._delete("targets", "target_id", target_id)

    async def forget_results(self, record_id: str) -> None:
        await self._delete("part_results", "origin_id", record_id)

    async def _delete(self, collection: str, column: str, name: str) -> None:
        async with administered(self.admin_uri) as database:
            deleted = await database[collection].delete_many({"tenant": TENANT, column: name})
            assert deleted.deleted_count


@pytest_asyncio.fixture(params=DRIVERS)
async def bench(mongo_server: SharedMongo, seed: int, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    driver: DriverName = request.param
    async with mongo_database(mongo_server) as uri:
        desk = Desk(seed)
        store = await MongoRecords.open(as_writer(uri), clock=desk.time, options=MongoOptions(driver=driver))
        yield MongoBench(desk, store, uri)
        await store.close()


class TestMongoKeeps(KeepContract):
    pass


class TestMongoTargets(TargetContract):
    pass


class TestMongoReceipts(ReceiptContract):
    pass


class TestMongoAccount(AccountContract):
    pass


class TestMongoLosses(LossContract):
    pass


class TestMongoGaps(GapContract):
    pass


class TestMongoSuccession(SuccessionContract):
    pass


class TestMongoAsSecond(SecondStoreContract):
    pass
