"""Logs and metrics of a process that is measured, as `custody run` has them."""

from __future__ import annotations

from broker import measures
from broker.settings import Profile, TelemetrySettings
from broker.telemetry import configure_logging


def metrics() -> measures.OtelMetrics:
    """The metrics; from now on warnings alone are logged."""
    telemetry = TelemetrySettings(log_level="warning")
    configure_logging(telemetry, profile=Profile.DEVELOPMENT)
    return measures.metrics(telemetry)
