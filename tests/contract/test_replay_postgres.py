"""Replay, with the log on Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.contract.replay import ReplayContract
from tests.contract.test_event_log_postgres import postgres_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.event_log import LogFactory
    from tests.servers import SharedPostgres


class TestReplayOnPostgres(ReplayContract):
    @pytest_asyncio.fixture
    async def logs(self, postgres_server: SharedPostgres, database: str) -> AsyncIterator[LogFactory]:
        async with postgres_logs(postgres_server, database) as factory:
            yield factory
