"""Readiness: 503 with a code, whatever the log says. And nobody waits long to be let in."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
import uvloop

from broker.core.errors import CustodyError, LogChangedError, LogUnavailableError, SettingsError
from broker.core.metrics import NoMetrics
from broker.core.registry import Registry
from broker.http import EDGE_PORT, Health, Liveness, serve
from broker.run import Runner
from broker.settings import Settings
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


async def test_a_health_port_that_is_taken_is_told_by_its_own_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with AsyncExitStack() as exits:
            one = Runner(
                settings=Settings(health_port=port),
                registry=lambda: Registry(tenants={}, apps={}, accounts={}),
                metrics=NoMetrics(),
                stop=asyncio.Event(),
                exits=exits,
            )
            with pytest.raises(SettingsError) as told:
                await one.run([])
    assert told.value.findings == [f"CUSTODY_HEALTH_PORT: 127.0.0.1:{port}: address already in use; for example 8401"]


async def test_an_edge_port_that_is_taken_is_told_by_its_own_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as told:
            await serve([], Process(None), host="127.0.0.1", port=port, drain_seconds=1, frozen_after_seconds=60)
    assert told.value.findings == [f"CUSTODY_EDGE__PORT: 127.0.0.1:{port}: address already in use; for example 8400"]


def test_the_example_is_never_the_port_that_is_taken() -> None:
    assert EDGE_PORT.instead_of(80) == 8400
    assert EDGE_PORT.instead_of(8400) == 8401


def test_several_connections_are_accepted_in_one_turn_of_the_loop() -> None:
    # Each is answered a turn or so after it was accepted: one a turn would take as many turns as there are.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(turns_to_answer(64)) <= 32


async def turns_to_answer(amount: int) -> int:
    """How many turns it takes until so many are answered that came at once."""
    process = Process(None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = asyncio.create_task(
        serve([], process, host="127.0.0.1", port=port, drain_seconds=1, frozen_after_seconds=60)
    )
    await listening(port)
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(amount)]
    for one in waiting:
        one.setblocking(False)
        one.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    turns = answered = 0
    while answered < amount:
        await asyncio.sleep(0)
        turns += 1
        answered += sum(has_answer(one) for one in waiting)
    for one in waiting:
        one.close()
    process.stop.set()
    await serving
    return turns


async def listening(port: int) -> None:
    """Returns once somebody listens there."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            return


def has_answer(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536).startswith(b"HTTP/1.1 200")
    except BlockingIOError:
        return False
