"""Metrics through OpenTelemetry, from the names in `broker.core.metrics`.

Labels pass the same net as logs. Whatever exports them, the numbers can also be had as a snapshot of this process.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
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

from broker import __version__
from broker.core.errors import SettingsError
from broker.core.metrics import CounterName, GaugeName
from broker.discretion import PLAIN
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
    "custody.log.lag_entries": "Entries not read or kept yet, of own and unread partitions, by group, tenant, stream",
    "custody.log.oldest_unkept_seconds": "For how long the oldest of them has waited, by group, tenant and stream",
    "custody.log.stopped_partitions": "Partitions that stopped, by group, tenant, stream and error code",
    "custody.log.waiting_partitions": "Partitions whose worker waits, by group, tenant, stream and error code",
    "custody.dead.open": "Dead letters that are not settled, by tenant and stream",
    "custody.delivery.last_progress_seconds": "Age of a worker's last sign of life",
}

OBSERVED: frozenset[GaugeName] = frozenset({"custody.delivery.last_progress_seconds"})
"""Gauges that nobody sets: see `OtelMetrics.observe`."""

_Labels = tuple[tuple[str, str], ...]
_OTLP = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
_CLOSE_SECONDS = 5
RESOURCE = Resource.create({"service.name": "custody", "service.version": __version__})


@dataclass(slots=True)
class OtelMetrics:
    """`broker.core.metrics.Metrics` on OpenTelemetry instruments, one for each name.

    Counting is on the hot path, and adding to a counter of OpenTelemetry takes longer than sealing a message: counts
    are kept here, and told when they are exported. Count in the event loop's thread.
    """

    meter: Meter
    reader: InMemoryMetricReader
    provider: MeterProvider
    _counts: dict[CounterName, Counter[_Labels]] = field(init=False, repr=False)
    _gauges: dict[GaugeName, Gauge] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._counts = {name: Counter() for name in COUNTERS}
        for name, meaning in COUNTERS.items():
            self.meter.create_observable_counter(name, [partial(_told, self._counts[name])], description=meaning)
        self._gauges = {
            name: self.meter.create_gauge(name, unit="s" if name.endswith("_seconds") else "", description=meaning)
            for name, meaning in GAUGES.items()
            if name not in OBSERVED
        }

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        self._counts[name][tuple(labels.items())] += amount

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        """Sets a gauge."""
        self._gauges[name].set(value, discreet(labels))

    def observe(self, name: GaugeName, values: Callable[[], Mapping[str, float]]) -> None:
        """Asks for a gauge's values, by worker, whenever it is exported: also while the event loop stands still."""

        def observed(_options: CallbackOptions) -> Iterator[Observation]:
            for worker, value in values().items():
                yield Observation(value, discreet({"worker": worker}))

        unit = "s" if name.endswith("_seconds") else ""
        self.meter.create_observable_gauge(name, [observed], unit=unit, description=GAUGES[name])

    def snapshot(self) -> dict[str, list[dict[str, object]]]:
        """Every number so far, by name: `[{"labels": {..}, "value": ..}, ..]`."""
        data = self.reader.get_metrics_data()
        scopes = [scope for one in data.resource_metrics for scope in one.scope_metrics] if data else []
        return {metric.name: _points(metric) for scope in scopes for metric in scope.metrics}

    def close(self) -> None:
        """Exports what is left, if that does not take long."""
        self.provider.shutdown(timeout_millis=_CLOSE_SECONDS * 1000)


def metrics(settings: TelemetrySettings) -> OtelMetrics:
    """Metrics as the settings want them exported. `SettingsError` where a package for that is missing."""
    reader = InMemoryMetricReader()
    readers: list[MetricReader] = [reader]
    if (exporter := _exporter(settings.metrics)) is not None:
        interval = settings.metrics_interval_seconds * 1000
        readers.append(PeriodicExportingMetricReader(exporter, export_interval_millis=interval))
    provider = MeterProvider(metric_readers=readers, resource=RESOURCE, shutdown_on_exit=False)
    return OtelMetrics(meter=provider.get_meter("custody", __version__), reader=reader, provider=provider)


def _exporter(kind: str) -> MetricExporter | None:
    if kind == "none":
        return None
    if kind == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    exporter: MetricExporter = otlp(_OTLP, "OTLPMetricExporter", setting="CUSTODY_TELEMETRY__METRICS")
    return exporter


def otlp(module: str, name: str, *, setting: str) -> Any:  # noqa: ANN401 - a package that need not be there
    """An exporter of the OTLP package. `SettingsError` where that is not installed."""
    try:
        return getattr(importlib.import_module(module), name)()
    except ImportError:
        fault = "otlp needs the package opentelemetry-exporter-otlp-proto-http, which is not installed"
        raise SettingsError([line(setting, fault, f"{setting}=none")]) from None


def _points(metric: Metric) -> list[dict[str, object]]:
    points = [point for point in metric.data.data_points if isinstance(point, NumberDataPoint)]
    return [{"labels": dict(point.attributes or {}), "value": point.value} for point in points]


def _told(counts: Counter[_Labels], _options: CallbackOptions) -> Iterator[Observation]:
    """The counts by what may be told of their labels, in which some may be alike."""
    told: Counter[_Labels] = Counter()
    for labels, amount in list(counts.items()):  # in one step, since the event loop goes on counting
        told[tuple(sorted(discreet(dict(labels)).items()))] += amount
    return (Observation(amount, dict(labels)) for labels, amount in told.items())


def discreet(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without what must not be told."""
    return {name: _plain(value) for name, value in labels.items()}


@lru_cache(maxsize=4096)
def _plain(value: str) -> str:
    return PLAIN.text(value)
