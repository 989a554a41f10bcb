"""One run of the server's processes: started, asked to stop, or killed outright."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from backends.embedded.account import bare_environment
from backends.embedded.waiting import wait_until
from backends.postgres.embedded.account import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from psutil import Process

    from backends.postgres.embedded.home import Home

_KILL_TIMEOUT_SECONDS = 10.0
__all__ = ["Postmaster", "wait_until"]


class Postmaster:
    """The server's first process, a child of this one, and through it all the others."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def launch(cls, binaries: Path, home: Home, settings: Mapping[str, str]) -> Postmaster:
        """Starts the server; it is not ready yet.

        Linux ends the server when the thread that called this ends: call it from the main thread.
        """
        words = [f"-c{name}={value}" for name, value in settings.items()]
        log = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - fixed words and paths of ours, no shell
                home.account.command(binaries / "postgres", "-D", str(home.data), *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=bare_environment(),
                cwd="/",
                pass_fds=[home.lock],
                start_new_session=True,  # Ctrl-C at the terminal is for the owner, who stops the server last
            )
        finally:
            os.close(log)
        return cls(process)

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    async def stop(self, *, timeout_seconds: float) -> None:
        """Postgres' fast shutdown: sessions are cut off, all is written. Killed if that takes too long."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGINT)
        if not await wait_until(lambda: not self.running, timeout_seconds=timeout_seconds):
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL to every process of the server, as a loss of power would end them."""
        if not self.running:
            return
        import psutil  # noqa: PLC0415 - comes with the `embedded` extra, as the server does

        first = psutil.Process(self.process_id)
        first.suspend()  # so that it starts no other while they are counted
        stopped = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        await wait_until(lambda: first.status() in stopped, timeout_seconds=_KILL_TIMEOUT_SECONDS)
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            _kill(process)
        gone = await wait_until(
            lambda: not self.running and not any(_alive(process) for process in processes),
            timeout_seconds=_KILL_TIMEOUT_SECONDS,
        )
        if not gone:
            raise EmbeddedPostgresError(f"Server process {self.process_id} outlives SIGKILL: look at the disk")


def _kill(process: Process) -> None:
    import psutil  # noqa: PLC0415 - as above

    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _alive(process: Process) -> bool:
    import psutil  # noqa: PLC0415 - as above

    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
