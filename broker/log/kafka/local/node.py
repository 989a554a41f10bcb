"""One broker: a process that is started, frozen, stopped or killed, and its files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from broker.log.kafka.local.errors import LocalKafkaError, last_lines
from broker.log.kafka.local.home import NodeFiles
from broker.log.kafka.local.properties import HOST
from broker.log.kafka.local.wire import known_brokers

if TYPE_CHECKING:
    from collections.abc import Callable

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.02
_KILL_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class LocalBroker:
    """A broker of a local cluster, on 127.0.0.1. On Linux it ends with the thread that started it.

    Attributes:
        node_id: its number in the cluster, from 1.
        port: where clients reach it.
        port_apart: where nobody has to log in; the same where clients need not either.
    """

    node_id: int
    port: int
    port_apart: int
    command: list[str] = field(repr=False)
    files: NodeFiles = field(repr=False)
    lock: int = field(repr=False)
    start_timeout_seconds: float = field(repr=False)
    stop_timeout_seconds: float = field(repr=False)
    _process: subprocess.Popen[bytes] | None = field(init=False, repr=False, default=None)
    _log_start: int = field(init=False, repr=False, default=0)

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What the broker says of itself, in a file of its owner's."""
        return self.files.log

    @property
    def running(self) -> bool:
        """Whether its process is there; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """Raises LocalKafkaError if it is not running."""
        if self._process is None or not self.running:
            raise LocalKafkaError(f"Broker {self.node_id} is not running: restart it")
        return self._process.pid

    async def stop(self) -> None:
        """Asks it to hand over what it leads and to end; killed if that takes too long."""
        if not self.running:
            return
        self.thaw()
        self._signal(signal.SIGTERM)
        if not await wait_until(lambda: not self.running, timeout_seconds=self.stop_timeout_seconds):
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, also to a frozen one: it hands nothing over, and flushes nothing."""
        if not self.running:
            return
        self._signal(signal.SIGKILL)
        if not await wait_until(lambda: not self.running, timeout_seconds=_KILL_TIMEOUT_SECONDS):
            raise LocalKafkaError(f"Broker process {self.process_id} outlives SIGKILL: look at the disk")

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers. `thaw` lets it go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Stops it if it runs, and starts it on the same ports and data; returns once it serves."""
        await self.stop()
        self.launch()
        await self.ready({self.node_id})

    def launch(self) -> None:
        """Starts its process, which does not serve yet.

        Linux ends the process when the thread that called this ends: call it from the main thread.
        """
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._log_start = os.fstat(log).st_size
            self._process = subprocess.Popen(  # noqa: S603 - fixed words and paths of ours, no shell
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=bare_environment(),
                cwd=self.files.settings.parent,
                pass_fds=[self.lock],
                umask=0o077,
                start_new_session=True,  # Ctrl-C at the terminal is for the owner, who stops the brokers last
            )
        finally:
            os.close(log)

    async def ready(self, others: set[int]) -> None:
        """Returns once it serves and knows of all `others`. Raises LocalKafkaError with the end of its log."""
        deadline = time.monotonic() + self.start_timeout_seconds
        while self.running:
            if others <= await known_brokers(HOST, self.port_apart):
                return
            if time.monotonic() > deadline:
                raise LocalKafkaError(f"{self._said('gave no answer in time')}")
            await asyncio.sleep(_POLL_SECONDS)
        raise LocalKafkaError(f"{self._said('ended as it started')}")

    def _said(self, what: str) -> str:
        said = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        return f"Broker {self.node_id} on port {self.port} {what}; the end of {self.log}:\n{last_lines(said)}"

    def _signal(self, number: signal.Signals) -> None:
        """To a process that is there; one that has ended takes none."""
        if self._process is not None:
            self._process.send_signal(number)


def bare_environment() -> dict[str, str]:
    """What a broker may see of the environment: nothing of the caller's, which may hold secrets."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


async def wait_until(condition: Callable[[], bool], *, timeout_seconds: float) -> bool:
    """Whether the condition came to hold in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
