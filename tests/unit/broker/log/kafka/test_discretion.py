"""Nothing of an entry gets into a log: of a library's own logs only the constant words are kept (broker.telemetry)."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import aiokafka

from broker.log.kafka import KafkaLogOptions
from broker.log.kafka.connections import faststream_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def logged_words(source: str) -> Iterator[ast.expr]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS:
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id in {"log", "logger"}:
                yield node.args[0]


def test_what_aiokafka_logs_has_constant_words() -> None:
    files = [path.read_text() for path in Path(aiokafka.__file__).parent.rglob("*.py")]
    words = [one for source in files for one in logged_words(source)]
    assert len(words) > 100
    assert all(isinstance(one, ast.Constant) for one in words)


async def test_faststream_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broker = faststream_broker(KafkaLogOptions(bootstrap=("127.0.0.1:9",)), consumer_only=True)
    caplog.set_level(0)
    await broker.start()
    await broker.stop()
    assert [one for one in caplog.records if one.name.startswith("faststream")] == []
    assert broker.config.logger.logger.logger is None
