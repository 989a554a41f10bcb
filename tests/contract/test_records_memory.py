"""The record store in memory keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from backends.memory import MemoryRecords
from tests.contract.record_store import Bench, KeepContract
from tests.contract.record_store_account import AccountContract
from tests.contract.record_store_losses import GapContract, LossContract
from tests.contract.record_store_second import SecondStoreContract
from tests.contract.record_store_succession import SuccessionContract
from tests.contract.record_store_targets import ReceiptContract, TargetContract
from tests.records import TENANT, Desk


@dataclass
class MemoryBench:
    desk: Desk
    store: MemoryRecords = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryRecords(self.desk.time)

    async def forget_record(self, record_id: str) -> None:
        del self.store.tables.records[TENANT, record_id]

    async def forget_target(self, target_id: str) -> None:
        del self.store.tables.targets[TENANT, target_id]

    async def forget_results(self, record_id: str) -> None:
        for key in [key for key in self.store.tables.results if key[:2] == (TENANT, record_id)]:
            del self.store.tables.results[key]


@pytest.fixture
def bench(seed: int) -> Bench:
    return MemoryBench(Desk(seed))


class TestMemoryKeeps(KeepContract):
    pass


class TestMemoryTargets(TargetContract):
    pass


class TestMemoryReceipts(ReceiptContract):
    pass


class TestMemoryAccount(AccountContract):
    pass


class TestMemoryLosses(LossContract):
    pass


class TestMemoryGaps(GapContract):
    pass


class TestMemorySuccession(SuccessionContract):
    pass


class TestMemoryAsSecond(SecondStoreContract):
    pass
