"""What workers share: the blob store that some need only now and then."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
import structlog
from pydantic import SecretStr

from broker.core.errors import BlobsUnavailableError
from broker.core.metrics import NoMetrics
from broker.core.registry import Registry
from broker.demo.ports import free_ports
from broker.run import Runner
from broker.settings import Settings
from broker.store_settings import BlobsSettings


def runner(settings: Settings, exits: AsyncExitStack) -> Runner:
    return Runner(
        settings=settings,
        registry=lambda: Registry(tenants={}, apps={}, accounts={}),
        metrics=NoMetrics(),
        stop=asyncio.Event(),
        exits=exits,
    )


async def test_settings_without_a_blob_store_are_an_outage_and_say_what_is_missing() -> None:
    async with AsyncExitStack() as exits:
        one = runner(Settings(), exits)
        for _ in range(2):
            with (
                structlog.testing.capture_logs() as lines,
                pytest.raises(BlobsUnavailableError, match="CUSTODY_BLOBS__DSN"),
            ):
                await one.blobs_if_there()
            assert [(line["action"], line["log_level"]) for line in lines] == [("run.no_blobs", "error")]
            assert "CUSTODY_BLOBS__DSN" in lines[0]["findings"][0]


async def test_a_blob_store_that_does_not_answer_is_not_waited_for() -> None:
    (port,) = free_ports(1)
    dsn = SecretStr(f"postgresql://custody:secret@127.0.0.1:{port}/custody")
    async with AsyncExitStack() as exits:
        one = runner(Settings(blobs=BlobsSettings(dsn=dsn)), exits)
        for _ in range(2):
            with pytest.raises(BlobsUnavailableError):
                await one.blobs_if_there()


async def test_a_blob_store_that_another_worker_waits_for_is_not_there_yet() -> None:
    async with AsyncExitStack() as exits:
        one = runner(Settings(), exits)
        one._opened["blobs"] = asyncio.get_running_loop().create_future()
        with pytest.raises(BlobsUnavailableError):
            await one.blobs_if_there()
