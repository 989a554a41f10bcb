"""The HTTP side of a process: webhook routes, and health for whoever runs it.

Readiness means that the log answers. Liveness means that every worker's loop turns and none of its partitions stands
still, never that a dependency answers: an outage of the store must not restart anything.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog
import uvicorn
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, Router

from broker.core.errors import CustodyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request

    from broker.core.ports import EventLog
    from broker.workers.deliver import Pulse

logger = structlog.get_logger(__name__)

_ACCEPTS_A_TURN = 16
"""A turn of uvloop's loop accepts one connection for each listener it is given, and under load turns are long: new
connections would wait for seconds in the system's queue, neither served nor turned down. So it is given the same one
several times.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSetting:
    """Which setting a port came from, as it stands in the environment, and an example for it."""

    name: str
    example: int

    def instead_of(self, port: int) -> int:
        """An example other than the port that can't be taken."""
        return self.example if port != self.example else port + 1


EDGE_PORT = PortSetting(name="CUSTODY_EDGE__PORT", example=8400)
HEALTH_PORT = PortSetting(name="CUSTODY_HEALTH_PORT", example=8401)


class Process(Protocol):
    """What the health of a process is read from."""

    @property
    def stop(self) -> asyncio.Event:
        """Set once the process is to end."""
        ...

    @property
    def pulses(self) -> Mapping[str, Pulse]:
        """Each worker's signs of life."""
        ...

    async def log(self) -> EventLog:
        """The log that webhooks are appended to."""
        ...


@dataclass(slots=True)
class Liveness:
    """Whether every loop has turned lately, and every partition moved on; looked at by whoever asks."""

    frozen_after_seconds: float
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def frozen(self, pulses: Mapping[str, Pulse], now: float) -> list[str]:
        """The workers whose loop has not turned for so long, and the partitions that have not moved on."""
        frozen = [name for name, age in self.ages(pulses, now).items() if age > self.frozen_after_seconds]
        standing = [
            f"{name} {place.topic}/{place.partition}"
            for name, pulse in pulses.items()
            for place, seconds in pulse.standing.items()
            if seconds > self.frozen_after_seconds
        ]
        return frozen + standing

    def ages(self, pulses: Mapping[str, Pulse], now: float) -> dict[str, float]:
        """For how many seconds each worker's loop has been seen not to turn."""
        for name, pulse in list(pulses.items()):
            beats, _ = self.seen.get(name, (-1, now))
            if beats != pulse.beats:
                self.seen[name] = (pulse.beats, now)
        return {name: now - self.seen[name][1] for name in list(pulses) if name in self.seen}


@dataclass(slots=True)
class Health:
    """The health routes of a process."""

    process: Process
    liveness: Liveness

    def routes(self) -> list[BaseRoute]:
        """`/health/live`, `/health/ready`, and `/health/workers` for a person."""
        return [
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/health/workers", self.workers),
        ]

    async def live(self, _request: Request) -> JSONResponse:
        """200 while every loop turns and every partition moves on; 503 names those that do not."""
        frozen = self.liveness.frozen(self.process.pulses, time.monotonic())
        return JSONResponse({"live": not frozen, "frozen": frozen}, status_code=503 if frozen else 200)

    async def ready(self, _request: Request) -> JSONResponse:
        """200 while the log answers and the process is not about to end."""
        if self.process.stop.is_set():
            return JSONResponse({"ready": False, "why": "draining"}, status_code=503)
        try:
            await (await self.process.log()).ping()
        except CustodyError as error:  # one that does not pass by itself as well: it is not ready for that
            return JSONResponse({"ready": False, "why": error.code}, status_code=503)
        return JSONResponse({"ready": True})

    async def workers(self, _request: Request) -> JSONResponse:
        """How each worker is."""
        return JSONResponse(
            {
                name: {
                    "beats": pulse.beats,
                    "handled": pulse.handled,
                    "waiting_for": pulse.waiting_for,
                    "stopped": {f"{place.topic}/{place.partition}": code for place, code in pulse.stopped.items()},
                }
                for name, pulse in self.process.pulses.items()
            }
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes none."""
        yield


async def serve(  # noqa: PLR0913 - what a process is served with, each by its name
    routes: Sequence[BaseRoute],
    process: Process,
    *,
    host: str,
    port: int,
    drain_seconds: float,
    frozen_after_seconds: float,
    setting: PortSetting = EDGE_PORT,
) -> None:
    """Serves until the process is to stop, then lets requests under way finish. Port 0 takes a free one.

    `SettingsError` when the port can't be taken: it names `setting`.
    """
    health = Health(process, Liveness(frozen_after_seconds))
    application = Router([*routes, *health.routes()])
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    listener = _listen(host, port, setting)
    server = _Server(config)
    lent = [listener.dup() for _ in range(_ACCEPTS_A_TURN - 1)]
    serving = asyncio.create_task(server.serve([listener, *lent]))
    logger.info("listening", action="http.listening", host=host, port=listener.getsockname()[1])
    stopping = asyncio.create_task(process.stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    stopping.cancel()


def _listen(host: str, port: int, setting: PortSetting) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else Nagle stays on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        why = (error.strerror or "can't be taken").lower()
        finding = f"{setting.name}: {host}:{port}: {why}; for example {setting.instead_of(port)}"
        raise SettingsError([finding]) from None
    listener.listen(2048)
    listener.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return listener
