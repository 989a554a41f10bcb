"""A provider to develop against and to be judged by: the WhatsApp Cloud API's documented protocol, and the truth.

It serves media, takes messages, keeps settings, delivers signed webhooks, misbehaves where told to, and knows what it
sent, what got a 200, what it still holds and what was deleted. It never starts under a production profile.
"""

from connectors.simulator.config import (
    ALL_FIELDS,
    AppConfig,
    DeliveryConfig,
    MediaConfig,
    NumberConfig,
    SimulatorConfig,
    WabaConfig,
)
from connectors.simulator.errors import ConfigError, NotStartedError, RefusedInProductionError, SimulatorError
from connectors.simulator.ids import Customer
from connectors.simulator.misbehaviour import Misbehaviour
from connectors.simulator.sample import sample
from connectors.simulator.scenario import Play
from connectors.simulator.server import serving
from connectors.simulator.simulator import Simulator

__all__ = [
    "ALL_FIELDS",
    "AppConfig",
    "ConfigError",
    "Customer",
    "DeliveryConfig",
    "MediaConfig",
    "Misbehaviour",
    "NotStartedError",
    "NumberConfig",
    "Play",
    "RefusedInProductionError",
    "Simulator",
    "SimulatorConfig",
    "SimulatorError",
    "WabaConfig",
    "sample",
    "serving",
]
