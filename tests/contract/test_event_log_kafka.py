"""The event log's contract, on Kafka: one broker, emptied after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.contract.event_log import EventLogContract
from tests.kafka_logs import kafka_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.event_log import LogFactory
    from tests.kafka_servers import SharedKafka


class TestKafkaLog(EventLogContract):
    @pytest_asyncio.fixture
    async def logs(self, kafka_server: SharedKafka) -> AsyncIterator[LogFactory]:
        async with kafka_logs(kafka_server.bootstrap) as factory:
            yield factory
