"""A simulator, something that receives its webhooks, and a client of its Graph API, all on loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from connectors.simulator import DeliveryConfig, Simulator, SimulatorConfig, sample, serving
from tests.unit.connectors.simulator.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def config() -> SimulatorConfig:
    """Two companies; waiting takes a hundredth of its time."""
    delivery = DeliveryConfig(retry_first_seconds=0.2, status_gap_seconds=0.1)
    return replace(sample(seed=7), time_scale=0.01, delivery=delivery)


@pytest.fixture
async def receiver(config: SimulatorConfig) -> Receiver:
    """Receives for the first company's app."""
    return Receiver(secret=config.apps[0].secret, verify_token=config.apps[0].verify_token)


@pytest.fixture
async def provider(config: SimulatorConfig, receiver: Receiver) -> AsyncIterator[Simulator]:
    """A running simulator whose first app delivers to `receiver`."""
    async with serving(receiver.app) as url, Simulator(config) as running:
        running.set_callback(config.apps[0].app_id, url)
        yield running


@pytest.fixture
async def graph(provider: Simulator, config: SimulatorConfig) -> AsyncIterator[aiohttp.ClientSession]:
    """Calls the Graph API as the first number."""
    headers = {"Authorization": f"Bearer {config.numbers[0].access_token}"}
    async with aiohttp.ClientSession(f"{provider.base_url}/v25.0/", headers=headers) as session:
        yield session


@pytest.fixture
def account(config: SimulatorConfig) -> str:
    """The first number's id."""
    return config.numbers[0].phone_number_id
