"""What can go wrong while setting the simulator up or asking it for something it cannot do."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator cannot do what was asked. `code` is stable; the message says what to change."""

    code = "simulator_error"


class RefusedInProductionError(SimulatorError):
    """A simulator must never stand where customers' messages are expected."""

    code = "refused_in_production"


class ConfigError(SimulatorError):
    """The settings name something that is not there, or name it twice."""

    code = "simulator_config"


class NotStartedError(SimulatorError):
    """The simulator was used before `async with` entered it, or after it left."""

    code = "simulator_not_started"
