"""Readiness: 503 with a code, whatever the log says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from broker.core.errors import CustodyError, LogChangedError, LogUnavailableError
from broker.http import Health, Liveness
from broker.workers.deliver import Pulse

if TYPE_CHECKING:
    from starlette.requests import Request

    from broker.core.ports import EventLog


@dataclass
class Process:
    """One whose log answers, or not."""

    trouble: CustodyError | None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    pulses: dict[str, Pulse] = field(default_factory=dict)

    async def log(self) -> EventLog:
        return cast("EventLog", self)

    async def ping(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (None, (200, {"ready": True})),
        (LogUnavailableError("down"), (503, {"ready": False, "why": "log_unavailable"})),
        (LogChangedError("another log"), (503, {"ready": False, "why": "log_changed"})),
    ],
)
async def test_a_process_is_ready_while_its_log_answers(trouble: CustodyError | None, answer: object) -> None:
    health = Health(process=Process(trouble), liveness=Liveness(frozen_after_seconds=60))
    response = await health.ready(cast("Request", None))
    assert (response.status_code, json.loads(bytes(response.body))) == answer
