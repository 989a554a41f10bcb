"""One member of an embedded replica set: a `mongod` that is started, frozen, stopped or killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from backends.embedded.account import last_lines
from backends.embedded.ports import HOST
from backends.embedded.process import ServerProcess
from backends.mongo.embedded.kind import KIND, EmbeddedMongoError


@dataclass(slots=True, kw_only=True)
class Member:
    """A member on 127.0.0.1. On Linux it ends with the thread that started it.

    Attributes:
        number: its number in the set, from 1.
        port: where it listens.
        log: what it says of itself, in a file of its owner's.
    """

    number: int
    port: int
    log: Path
    command: list[str] = field(repr=False)
    lock: int = field(repr=False)
    stop_timeout_seconds: float = field(repr=False)
    until_ready: Callable[[Member], Awaitable[None]] = field(repr=False)
    _process: ServerProcess | None = field(init=False, repr=False, default=None)
    _log_start: int = field(init=False, repr=False, default=0)

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there; a frozen one is."""
        return self._process is not None and self._process.running

    @property
    def process_id(self) -> int:
        """Raises EmbeddedMongoError if it is not running."""
        if self._process is None or not self._process.running:
            raise EmbeddedMongoError(f"Member {self.number} on port {self.port} is not running: restart it")
        return self._process.process_id

    def launch(self) -> None:
        """Starts its process, which does not serve yet."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = ServerProcess.launch(KIND, self.command, log=self.log, lock=self.lock)

    async def stop(self) -> None:
        """Ends it in good order; killed if that takes too long."""
        if self._process is not None:
            await self._process.stop(timeout_seconds=self.stop_timeout_seconds)

    async def kill(self) -> None:
        """SIGKILL, also to a frozen one. `restart` recovers from its journal."""
        if self._process is not None:
            await self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers. `thaw` lets it go on."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.thaw()

    async def restart(self) -> None:
        """Stops it if it runs, and starts it on the same port and data; returns once it is a primary or a secondary."""
        await self.stop()
        self.launch()
        await self.until_ready(self)

    def said(self, what: str) -> str:
        """What went wrong with it, and the end of what it said in this run."""
        text = self.log.read_bytes()[self._log_start :].decode(errors="replace") if self.log.exists() else ""
        return f"Member {self.number} on port {self.port} {what}; the end of {self.log}:\n{last_lines(text)}"
