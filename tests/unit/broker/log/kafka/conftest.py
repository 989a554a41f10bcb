"""Logs on the run's Kafka, which is empty at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.kafka_logs import KafkaLogs, kafka_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.kafka_servers import SharedKafka


@pytest_asyncio.fixture
async def logs(kafka_server: SharedKafka) -> AsyncIterator[KafkaLogs]:
    async with kafka_logs(kafka_server.bootstrap) as factory:
        yield factory
