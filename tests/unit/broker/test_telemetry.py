"""Logs, metrics and traces: in the right form, on the right stream, and without content."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, get_args

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from broker.core.errors import LogUnavailableError, SettingsError
from broker.core.metrics import CounterName, GaugeName
from broker.core.ports import LogEntry
from broker.core.seal import entry_of
from broker.core.tracing import TRACEPARENT, NoTracing, traced
from broker.core.values import replace
from broker.discretion import LEFT_OUT
from broker.http import Liveness
from broker.measures import COUNTERS, GAUGES, metrics
from broker.settings import Profile, TelemetrySettings
from broker.telemetry import configure_logging
from broker.tracing import OtelTracing, tracing
from broker.workers.deliver import Pulse
from tests.records import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from broker.core.ports import NewEntry

PHONE = "27821234567"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_production_logs_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(), profile=Profile.PRODUCTION)
    structlog.get_logger("broker.test").info("kept", action="archive.kept", records=3)
    out, err = capsys.readouterr()
    (event,) = events(err)
    assert out == ""
    assert event.pop("time")
    assert event == {"event": "kept", "action": "archive.kept", "records": 3, "level": "info", "logger": "broker.test"}


def test_a_person_gets_lines_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="console"))
    structlog.get_logger("broker.test").warning("waiting", action="delivery.waiting")
    assert "waiting" in capsys.readouterr().err


def test_the_level_is_that_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_level="error", log_format="json"))
    structlog.get_logger("broker.test").warning("waiting", action="delivery.waiting")
    logging.getLogger("uvicorn.error").warning("slow")
    logging.getLogger("broker.x").warning("slow")
    assert [one["event"] for one in events(capsys.readouterr().err)] == ["slow"]


def test_content_that_slips_in_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="json"))
    log = structlog.get_logger("broker.test")
    log.info("kept", number=PHONE, as_int=int(PHONE), body=PHONE.encode(), item={"from": PHONE}, why=f"to {PHONE}")
    structlog.contextvars.bind_contextvars(sender=PHONE)
    log.info(f"kept for {PHONE}")  # noqa: G004 - what must not be, caught all the same
    structlog.contextvars.clear_contextvars()
    assert PHONE not in capsys.readouterr().err


def test_an_exception_is_told_by_type_and_place_and_not_by_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="json"))
    try:
        int(f"my secret {PHONE}")
    except ValueError:
        structlog.get_logger("broker.test").exception("failed", action="test.failed")
    text = capsys.readouterr().err
    (event,) = events(text)
    assert event["error_type"] == "ValueError"
    assert "test_telemetry.py" in str(event["trace"])
    assert "my secret" not in text


def test_the_words_of_custodys_own_errors_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="json"))
    error = LogUnavailableError("the log does not answer; try again later")
    structlog.get_logger("broker.test").error("failed", exc_info=error)
    (event,) = events(capsys.readouterr().err)
    assert (event["code"], event["why"]) == ("log_unavailable", "the log does not answer; try again later")


def test_libraries_log_their_constant_words_only(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="json"))
    logging.getLogger("aiohttp.client").warning("unexpected header %s", "my secret")
    logging.getLogger("asyncpg").error("row\nDETAIL: my secret")
    logging.getLogger("uvicorn.access").critical("GET /?hub.verify_token=my secret")
    logging.getLogger("uvicorn.error").warning("Started server process [%d]", 42)
    text = capsys.readouterr().err
    assert [one["event"] for one in events(text)] == ["unexpected header %s", "row", "Started server process [42]"]
    assert "my secret" not in text


def test_a_task_that_failed_unseen_does_not_tell_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TelemetrySettings(log_format="json"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        error = ValueError("my secret")
        loop.call_exception_handler({"message": "Task exception was never retrieved", "exception": error})

    asyncio.run(main())
    text = capsys.readouterr().err
    assert "Task exception was never retrieved" in text
    assert "my secret" not in text


def test_every_metric_has_its_meaning() -> None:
    assert set(COUNTERS) == set(get_args(CounterName))
    assert set(GAUGES) == set(get_args(GaugeName))


def test_numbers_can_be_had_as_a_snapshot() -> None:
    numbers = metrics(TelemetrySettings())
    numbers.count("custody.keep.answers", 2, outcome="stored")
    numbers.count("custody.keep.answers", outcome="stored")
    numbers.count("custody.keep.answers", outcome="duplicate")
    numbers.gauge("custody.media.open", 7)
    numbers.gauge("custody.media.open", 4)
    taken = numbers.snapshot()
    assert sorted(taken["custody.keep.answers"], key=str) == [
        {"labels": {"outcome": "duplicate"}, "value": 1},
        {"labels": {"outcome": "stored"}, "value": 3},
    ]
    assert taken["custody.media.open"] == [{"labels": {}, "value": 4}]
    numbers.close()


def test_labels_are_discreet() -> None:
    numbers = metrics(TelemetrySettings())
    numbers.count("custody.keep.answers", outcome=PHONE)
    assert PHONE not in str(numbers.snapshot())
    numbers.close()


def test_what_is_told_alike_is_counted_together() -> None:
    numbers = metrics(TelemetrySettings())
    numbers.count("custody.webhook.items", 2, tenant="acme", kind=PHONE)
    numbers.count("custody.webhook.items", 3, tenant="acme", kind=f"{PHONE}1")
    numbers.count("custody.webhook.items", 4, kind=PHONE, tenant="acme")
    labels = {"tenant": "acme", "kind": LEFT_OUT}
    assert numbers.snapshot()["custody.webhook.items"] == [{"labels": labels, "value": 9}]
    numbers.close()


def test_an_exporter_that_is_not_installed_is_a_finding() -> None:
    with pytest.raises(SettingsError, match="CUSTODY_TELEMETRY__METRICS: otlp needs the package"):
        metrics(TelemetrySettings(metrics="otlp"))


def test_a_gauge_can_be_asked_for_when_it_is_wanted() -> None:
    numbers, ages = metrics(TelemetrySettings()), {"archive": 3.0}
    numbers.observe("custody.delivery.last_progress_seconds", lambda: ages)
    shown = [{"labels": {"worker": "archive"}, "value": 3.0}]
    assert numbers.snapshot()["custody.delivery.last_progress_seconds"] == shown
    ages["archive"] = 4.5
    assert numbers.snapshot()["custody.delivery.last_progress_seconds"][0]["value"] == 4.5
    numbers.close()


def test_an_age_is_that_of_a_workers_last_turn() -> None:
    liveness, pulses = Liveness(frozen_after_seconds=60.0), {"archive": Pulse(), "relay": Pulse()}
    assert liveness.ages(pulses, 100.0) == {"archive": 0.0, "relay": 0.0}
    pulses["relay"].beats += 1
    assert liveness.ages(pulses, 130.0) == {"archive": 30.0, "relay": 0.0}
    pulses["archive"].beats += 1
    assert liveness.ages(pulses, 131.0) == {"archive": 0.0, "relay": 1.0}
    assert liveness.frozen(pulses, 100_000.0) == ["archive", "relay"]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(spans: InMemorySpanExporter) -> OtelTracing:
    found = OtelTracing()
    found.export_to(SimpleSpanProcessor(spans))
    return found


def test_a_span_has_a_constant_name_and_tells_an_error_by_its_type_only(
    traces: OtelTracing, spans: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="my secret"), traces.span("fetch", account=PHONE):
        raise ValueError("my secret")
    (span,) = spans.get_finished_spans()
    assert span.name == "fetch"
    assert (span.attributes or {}).get("error.type") == "ValueError"
    assert "my secret" not in span.to_json()
    assert PHONE not in span.to_json()
    with pytest.raises(ValueError, match="SpanName"), traces.span(PHONE):  # type: ignore[arg-type]  # the point
        pass


async def test_what_is_kept_is_linked_to_the_deliveries_that_brought_it(
    traces: OtelTracing, spans: InMemorySpanExporter
) -> None:
    desk, batch = Desk(7), []
    for offset in range(3):
        with traces.span("webhook"):
            (entry,) = traced([entry_of(desk.text())], traces.traceparent())
        batch.append(_read(entry, offset))
    batch += [_read(entry_of(desk.text()), 3), replace(batch[0], headers=((TRACEPARENT, b"junk"),))]
    assert traces.traceparent() is None

    async def handle(entries: Sequence[LogEntry]) -> None:
        assert entries == batch
        raise LogUnavailableError(PHONE)

    with pytest.raises(LogUnavailableError):
        await traces.handler("keep", handle)(batch)
    *webhooks, keep = spans.get_finished_spans()
    assert [link.context.span_id for link in keep.links] == [one.context.span_id for one in webhooks]
    assert (keep.attributes or {})["error.type"] == "LogUnavailableError"
    assert PHONE not in keep.to_json()


def test_a_trace_that_is_not_taken_says_nothing_to_the_log() -> None:
    traces = tracing(TelemetrySettings(traces="console", traces_ratio=0))
    assert traces is not None
    with traces.span("webhook"):
        assert traces.traceparent() is None
    traces.close()


def test_nobody_who_wants_no_traces_gets_any() -> None:
    assert tracing(TelemetrySettings()) is None
    entries = [entry_of(Desk(7).text())]
    with NoTracing().span("webhook"):
        assert traced(entries, None) is entries
    with pytest.raises(SettingsError, match="CUSTODY_TELEMETRY__TRACES: otlp needs the package"):
        tracing(TelemetrySettings(traces="otlp"))


def _read(entry: NewEntry, offset: int) -> LogEntry:
    return LogEntry(
        topic=entry.topic,
        partition=0,
        offset=offset,
        key=entry.key,
        headers=entry.headers,
        value=entry.value,
        appended_at=Desk(7).time.now,
    )
