"""Replay, with the log on Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.contract.replay import ReplayContract
from tests.kafka_logs import kafka_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.event_log import LogFactory
    from tests.kafka_servers import SharedKafka


class TestReplayOnKafka(ReplayContract):
    @pytest_asyncio.fixture
    async def logs(self, kafka_server: SharedKafka) -> AsyncIterator[LogFactory]:
        async with kafka_logs(kafka_server.bootstrap) as factory:
            yield factory
