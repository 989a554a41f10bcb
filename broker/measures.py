"""Metrics and traces through OpenTelemetry, from the names in `broker.core.metrics`.

Labels pass the same net as logs. Whatever exports them, the numbers can also be had as a snapshot of this process.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from opentelemetry.metrics import Counter, Meter
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    Metric,
    MetricExporter,
    MetricReader,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from broker import __version__
from broker.core.errors import SettingsError
from broker.core.metrics import CounterName, GaugeName
from broker.discretion import PLAIN
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import SpanProcessor

    from broker.settings import TelemetrySettings

COUNTERS: Mapping[CounterName, str] = {
    "custody.webhook.bodies": "Bodies received, by connector and outcome",
    "custody.webhook.items": "Items accepted, by connector, tenant and kind",
    "custody.webhook.unclaimed": "Changes kept raw for accounts nobody registered, by connector and reason",
    "custody.log.appended": "Entries appended, by stream",
    "custody.delivery.entries": "Entries handed to a worker and done, by worker",
    "custody.delivery.retries": "Batches tried again, by worker and error code",
    "custody.delivery.set_aside": "Entries set aside, by worker and error code",
    "custody.delivery.stopped": "Partitions stopped, by worker and error code",
    "custody.keep.answers": "What became of entries, by outcome",
    "custody.media.parts": "Parts settled, by state and reason",
    "custody.media.retries": "Fetches to be tried again, by error code",
    "custody.erase.commands": "Deletion commands published",
    "custody.erase.receipts": "Receipts, by outcome",
    "custody.gaps.data_loss": "Messages that the provider dropped for good (131035)",
}
GAUGES: Mapping[GaugeName, str] = {
    "custody.media.open": "Parts still to be fetched",
    "custody.media.nearest_deadline_seconds": "Time left of the part nearest its deadline",
    "custody.delivery.paused": "1 while a worker waits for a dependency, by worker",
    "custody.log.lag_entries": "Entries not kept yet, of a worker's own partitions, by tenant and stream",
    "custody.log.oldest_unkept_seconds": "For how long the oldest of them has been waiting, by tenant and stream",
    "custody.dead.open": "Dead letters that are not settled, by tenant and stream",
    "custody.delivery.last_progress_seconds": "Age of a worker's last sign of life",
}

SpanName = Literal["webhook", "keep", "fetch", "erase", "command"]

_OTLP = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
_RESOURCE = Resource.create({"service.name": "custody", "service.version": __version__})


@dataclass(slots=True)
class OtelMetrics:
    """`broker.core.metrics.Metrics` on OpenTelemetry instruments, one for each name."""

    meter: Meter
    reader: InMemoryMetricReader
    provider: MeterProvider
    _counters: dict[CounterName, Counter] = field(init=False, repr=False)
    _gauges: dict[GaugeName, Gauge] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._counters = {
            name: self.meter.create_counter(name, description=meaning) for name, meaning in COUNTERS.items()
        }
        self._gauges = {
            name: self.meter.create_gauge(name, unit="s" if name.endswith("_seconds") else "", description=meaning)
            for name, meaning in GAUGES.items()
        }

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        self._counters[name].add(amount, _discreet(labels))

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        """Sets a gauge."""
        self._gauges[name].set(value, _discreet(labels))

    def snapshot(self) -> dict[str, list[dict[str, object]]]:
        """Every number so far, by name: `[{"labels": {..}, "value": ..}, ..]`."""
        data = self.reader.get_metrics_data()
        scopes = [scope for one in data.resource_metrics for scope in one.scope_metrics] if data else []
        return {metric.name: _points(metric) for scope in scopes for metric in scope.metrics}

    def close(self) -> None:
        """Exports what is left."""
        self.provider.shutdown()


def metrics(settings: TelemetrySettings) -> OtelMetrics:
    """Metrics as the settings want them exported. `SettingsError` where a package for that is missing."""
    reader = InMemoryMetricReader()
    readers: list[MetricReader] = [reader]
    if (exporter := _exporter(settings.metrics)) is not None:
        interval = settings.metrics_interval_seconds * 1000
        readers.append(PeriodicExportingMetricReader(exporter, export_interval_millis=interval))
    provider = MeterProvider(metric_readers=readers, resource=_RESOURCE, shutdown_on_exit=False)
    return OtelMetrics(meter=provider.get_meter("custody", __version__), reader=reader, provider=provider)


def _exporter(kind: str) -> MetricExporter | None:
    if kind == "none":
        return None
    if kind == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    try:
        exporter: MetricExporter = importlib.import_module(_OTLP).OTLPMetricExporter()
    except ImportError:
        fault = "otlp needs the package opentelemetry-exporter-otlp-proto-http, which is not installed"
        raise SettingsError([line("CUSTODY_TELEMETRY__METRICS", fault, "CUSTODY_TELEMETRY__METRICS=none")]) from None
    return exporter


@dataclass(slots=True)
class Tracing:
    """Spans with constant names. Exceptions stay out of them: their words may quote content."""

    provider: TracerProvider = field(default_factory=lambda: TracerProvider(resource=_RESOURCE, shutdown_on_exit=False))

    def export_to(self, processor: SpanProcessor) -> None:
        """Hands ended spans to `processor` as well."""
        self.provider.add_span_processor(processor)

    @contextmanager
    def span(self, name: SpanName, **labels: str) -> Iterator[None]:
        """A span around a piece of work; it says whether that failed, and with which type of error."""
        if name not in get_args(SpanName):
            raise ValueError("a span's name is one of SpanName")
        tracer = self.provider.get_tracer("custody", __version__)
        with tracer.start_as_current_span(
            name, attributes=_discreet(labels), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise


def _points(metric: Metric) -> list[dict[str, object]]:
    points = [point for point in metric.data.data_points if isinstance(point, NumberDataPoint)]
    return [{"labels": dict(point.attributes or {}), "value": point.value} for point in points]


def _discreet(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: _discreet_value(value) for name, value in labels.items()}


@lru_cache(maxsize=4096)
def _discreet_value(value: str) -> str:
    return PLAIN.text(value)
