"""The record store on Postgres keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.postgres.records import PostgresRecords
from tests.contract.record_store import Bench, KeepContract
from tests.contract.record_store_account import AccountContract
from tests.contract.record_store_losses import GapContract, LossContract
from tests.contract.record_store_second import SecondStoreContract
from tests.contract.record_store_succession import SuccessionContract
from tests.contract.record_store_targets import ReceiptContract, TargetContract
from tests.records import TENANT, Desk
from tests.stores import as_writer, execute, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers import SharedPostgres


@dataclass
class PostgresBench:
    desk: Desk
    store: PostgresRecords
    admin_dsn: str

    async def forget_record(self, record_id: str) -> None:
        await self._delete("records WHERE tenant = $1 AND record_id = $2", record_id)

    async def forget_target(self, target_id: str) -> None:
        await self._delete("targets WHERE tenant = $1 AND target_id = $2", target_id)

    async def forget_results(self, record_id: str) -> None:
        await self._delete("part_results WHERE tenant = $1 AND origin_id = $2", record_id)

    async def _delete(self, what: str, name: str) -> None:
        status = await execute(self.admin_dsn, f"DELETE FROM custody_pas.{what}", TENANT, name)
        assert status != "DELETE 0"


@pytest_asyncio.fixture
async def bench(postgres_server: SharedPostgres, seed: int) -> AsyncIterator[Bench]:
    async with store_database(postgres_server) as dsn:
        desk = Desk(seed)
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time)
        yield PostgresBench(desk, store, dsn)
        await store.close()


class TestPostgresKeeps(KeepContract):
    pass


class TestPostgresTargets(TargetContract):
    pass


class TestPostgresReceipts(ReceiptContract):
    pass


class TestPostgresAccount(AccountContract):
    pass


class TestPostgresLosses(LossContract):
    pass


class TestPostgresGaps(GapContract):
    pass


class TestPostgresSuccession(SuccessionContract):
    pass


class TestPostgresAsSecond(SecondStoreContract):
    pass
