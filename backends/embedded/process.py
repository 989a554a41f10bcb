"""One process of a server: started, frozen, asked to stop, or killed outright."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

from backends.embedded.account import bare_environment
from backends.embedded.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.embedded.account import Kind

_KILL_TIMEOUT_SECONDS = 10.0


class ServerProcess:
    """A server's process, a child of this one."""

    def __init__(self, kind: Kind, process: subprocess.Popen[bytes]) -> None:
        self._kind = kind
        self._process = process

    @classmethod
    def launch(cls, kind: Kind, command: Sequence[str], *, log: Path, lock: int) -> Self:
        """Starts the server; it is not ready yet.

        Linux ends the server when the thread that called this ends: call it from the main thread.
        """
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - fixed words and paths of ours, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=bare_environment(),
                cwd="/",
                pass_fds=[lock],
                umask=0o077,
                start_new_session=True,  # Ctrl-C at the terminal is for the owner, who stops the server last
            )
        finally:
            os.close(output)
        return cls(kind, process)

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is there; a frozen one is."""
        return self._process.poll() is None

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers. `thaw` lets it go on."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    async def stop(self, *, timeout_seconds: float) -> None:
        """SIGINT, on which it ends in good order. Killed if that takes too long."""
        if not self.running:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        if not await wait_until(lambda: not self.running, timeout_seconds=timeout_seconds):
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, also to a frozen one: it hands nothing over, and flushes nothing."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGKILL)
        if not await wait_until(lambda: not self.running, timeout_seconds=_KILL_TIMEOUT_SECONDS):
            raise self._kind.error(f"{self._kind.name}'s process {self.process_id} outlives SIGKILL: look at the disk")
