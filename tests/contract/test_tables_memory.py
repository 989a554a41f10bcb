"""The tables in memory keep every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from backends.memory import MemoryRecords
from backends.memory.rows import MemoryTables
from tests.contract.table_store import TableBench, TableContract
from tests.records import Desk


@dataclass
class MemoryTableBench:
    desk: Desk
    store: MemoryRecords = field(init=False)
    tables: MemoryTables = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryRecords(self.desk.time)
        self.tables = MemoryTables(self.store)


@pytest.fixture
def table_bench(seed: int) -> TableBench:
    return MemoryTableBench(Desk(seed))


class TestMemoryTables(TableContract):
    pass
