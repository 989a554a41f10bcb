"""Traces through OpenTelemetry, and what is put around handlers and connectors where they are wanted.

Where they are not, nothing is put around anything.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from broker import __version__
from broker.core.ports import Connector
from broker.core.tracing import TRACEPARENT, SpanName
from broker.measures import RESOURCE, discreet, otlp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Link

    from broker.core.item import Change
    from broker.core.model import EraseCommand, FetchTask
    from broker.core.ports import Capabilities, EraseAnswer, Finding, LogEntry, OpenPart
    from broker.core.registry import Account
    from broker.settings import TelemetrySettings
    from broker.workers.deliver import Handler

_OTLP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_MOST_LINKS = 64

_propagator = TraceContextTextMapPropagator()


def _provider() -> TracerProvider:
    return TracerProvider(resource=RESOURCE, shutdown_on_exit=False)


@dataclass(slots=True)
class OtelTracing:
    """`broker.core.tracing.Tracing` on OpenTelemetry. Exceptions stay out of spans: their words may quote content."""

    provider: TracerProvider = field(default_factory=_provider)
    _tracer: Tracer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tracer = self.provider.get_tracer("custody", __version__)

    def export_to(self, processor: SpanProcessor) -> None:
        """Hands ended spans to `processor` as well."""
        self.provider.add_span_processor(processor)

    def span(self, name: SpanName, **labels: str) -> AbstractContextManager[None]:
        """A span around a piece of work; it says whether that failed, and with which type of error."""
        return self._span(name, labels)

    @contextmanager
    def _span(self, name: SpanName, labels: Mapping[str, str], links: Sequence[Link] = ()) -> Iterator[None]:
        if name not in get_args(SpanName):
            raise ValueError("a span's name is one of SpanName")
        with self._tracer.start_as_current_span(
            name, attributes=discreet(labels), links=links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def traceparent(self) -> str | None:
        """The current span as W3C has it, for the entries appended in it."""
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get("traceparent")

    def handler(self, name: SpanName, handle: Handler) -> Handler:
        """A worker's handler with a span around each batch, linked to the spans that its entries were appended in."""

        async def handle_in_span(batch: Sequence[LogEntry]) -> None:
            with self._span(name, {"entries": str(len(batch))}, _links(batch)):
                await handle(batch)

        return handle_in_span

    def close(self) -> None:
        """Exports what is left."""
        self.provider.shutdown()


def tracing(settings: TelemetrySettings) -> OtelTracing | None:
    """Traces as the settings want them exported; None where they want none. `SettingsError`: a package is missing."""
    if settings.traces == "none":
        return None
    exporter: SpanExporter = (
        ConsoleSpanExporter(out=sys.stderr)
        if settings.traces == "console"
        else otlp(_OTLP, "OTLPSpanExporter", setting="CUSTODY_TELEMETRY__TRACES")
    )
    sampler = ParentBased(TraceIdRatioBased(settings.traces_ratio))
    found = OtelTracing(TracerProvider(resource=RESOURCE, sampler=sampler, shutdown_on_exit=False))
    found.export_to(BatchSpanProcessor(exporter))
    return found


@dataclass(frozen=True, slots=True)
class TracedConnector:
    """A connector with a span around each part that is fetched and each object that is erased."""

    connector: Connector
    tracing: OtelTracing

    @property
    def name(self) -> str:
        return self.connector.name

    @property
    def capabilities(self) -> Capabilities:
        return self.connector.capabilities

    def parse(self, body: bytes) -> Sequence[Change]:
        return self.connector.parse(body)

    @asynccontextmanager
    async def open_part(self, account: Account, task: FetchTask) -> AsyncIterator[OpenPart]:
        with self.tracing.span("fetch", tenant=task.tenant, provider=task.provider, record_id=task.record_id):
            async with self.connector.open_part(account, task) as part:
                yield part

    async def erase(self, account: Account, command: EraseCommand) -> EraseAnswer:
        with self.tracing.span("erase", tenant=command.tenant, provider=command.provider, target=command.target_id):
            return await self.connector.erase(account, command)

    async def check(self, account: Account) -> Sequence[Finding]:
        return await self.connector.check(account)

    async def close(self) -> None:
        await self.connector.close()


def _links(batch: Sequence[LogEntry]) -> list[Link]:
    """To the first few of the spans that a batch was appended in."""
    parents = dict.fromkeys(parent for entry in batch if (parent := entry.header(TRACEPARENT)) is not None)
    contexts = (
        trace.get_current_span(_propagator.extract({"traceparent": parent})).get_span_context()
        for parent in list(parents)[:_MOST_LINKS]
    )
    return [trace.Link(context) for context in contexts if context.is_valid]
