"""The processes on a stage: started, watched, killed by their id, and started again when they were killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from tests.stage.kills import Kill
from tests.stage.nursery import Child, Nursery

_TAIL_BYTES = 3_000
_PATIENCE_SECONDS = 120.0


class ActorFailedError(Exception):
    """A process ended by itself, and not because it was told to; the message has the end of its log."""


@dataclass(slots=True, kw_only=True)
class Actor:
    """One process with some of the workers, kept running: whenever it dies by SIGKILL, it is started again.

    Each start takes the next of `kills` with it, until that one has struck.
    """

    name: str
    workers: Sequence[str]
    nursery: Nursery
    log: Path
    environment: Mapping[str, str]
    health_port: int
    kills: deque[Kill] = field(default_factory=deque)
    struck: list[Kill] = field(default_factory=list)
    starts: int = 0
    _child: Child | None = None
    _keeper: asyncio.Task[int] | None = None
    _shot: bool = False
    _wanted: bool = False

    @property
    def process_id(self) -> int:
        """Of the process that runs now."""
        return self._running.process_id

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise ActorFailedError(f"{self.name} was not started")
        return self._child

    async def start(self) -> None:
        """Starts the process, and goes on doing so."""
        self._wanted = True
        await self._launch()
        self._keeper = asyncio.create_task(self._keep_running(), name=self.name)

    def kill(self) -> None:
        """SIGKILL; it is started again at once."""
        self._shot = True
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        self._running.send(number)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped by a signal, as a machine that hangs would be."""
        return psutil.Process(self.process_id).status() == psutil.STATUS_STOPPED

    def wake(self) -> None:
        """Lets a frozen process go on; it does not freeze again."""
        self.struck.append(self.kills.popleft())
        self.send(signal.SIGCONT)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it for good; the exit code. SIGKILL follows if it does not come to an end."""
        self._wanted = False
        if self._keeper is None:
            return 0
        self.send(signal.SIGCONT)
        self.send(number)
        done, _ = await asyncio.wait({self._keeper}, timeout=_PATIENCE_SECONDS)
        if not done:
            self.send(signal.SIGKILL)
        keeper, self._keeper = self._keeper, None
        return await keeper

    def check(self) -> None:
        """Raises what ended it, if anything did."""
        if self._keeper is not None and self._keeper.done():
            raise ActorFailedError(f"{self.name} ended with exit code {self._keeper.result()}:\n{self.tail()}")

    async def health(self, path: str = "ready") -> tuple[int, object]:
        """What its health says: status and document; (0, None) while nobody answers."""
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.health_port}/health/{path}") as answer,
            ):
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, None

    def tail(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")

    async def _keep_running(self) -> int:
        while True:
            code = await self._running.ended
            if code != -signal.SIGKILL or not self._wanted:
                return code
            if not self._shot and self.kills:
                self.struck.append(self.kills.popleft())
            self._shot = False
            await self._launch()

    async def _launch(self) -> None:
        self.starts += 1
        armed = ("--kill", str(self.kills[0])) if self.kills else ()
        self._child = await self.nursery.start(
            (*self.workers, *armed),
            environment={**os.environ, **self.environment, "CUSTODY_HEALTH_PORT": str(self.health_port)},
            log=self.log,
        )
