"""The processes of a demo: started as a user would start them, watched, and ended by their id."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from broker.core.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_TAIL_BYTES = 2_000
_START_SECONDS = 60.0
_ONE_ANSWER = aiohttp.ClientTimeout(total=10)
_END_SECONDS = 30.0


class ProcessEndedError(FatalError):
    """A process of the demo ended by itself; the message has the end of its log."""

    code = "process_ended"


class ProcessSilentError(FatalError):
    """A process of the demo was started and did not answer; the message has the end of its log."""

    code = "process_silent"


@dataclass(slots=True, kw_only=True)
class Running:
    """A process under way. `peak_bytes` is the most memory it has had so far."""

    name: str
    log: Path
    process: asyncio.subprocess.Process
    peak_bytes: int = 0

    def check(self) -> None:
        """Notes its memory; `ProcessEndedError` if it is no more."""
        if self.process.returncode is not None:
            raise ProcessEndedError(f"{self.name} ended with exit code {self.process.returncode}:\n{self.tail()}")
        self.peak_bytes = max(self.peak_bytes, peak_memory(self.process.pid))

    def tail(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")

    async def end(self) -> int:
        """SIGTERM, and SIGKILL if that is not enough; the exit code."""
        if self.process.returncode is None:
            self.peak_bytes = max(self.peak_bytes, peak_memory(self.process.pid))
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
            except TimeoutError:
                self.process.kill()
        return await self.process.wait()


@asynccontextmanager
async def custody(
    name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Running]:
    """Runs `custody ARGUMENTS` until the block is left, its output in `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    running = Running(name=name, log=log, process=process)
    try:
        yield running
    finally:
        await running.end()


async def answers(running: Running, url: str) -> None:
    """Returns once a GET of `url` is answered with anything below 500; `ProcessSilentError` if not in a minute."""
    try:
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession(timeout=_ONE_ANSWER) as session:
            while not await _answers(session, url):
                running.check()
                await asyncio.sleep(0.05)
    except TimeoutError:
        why = f"{running.name} did not answer within {_START_SECONDS:g} s; try again when the machine is less busy"
        raise ProcessSilentError(f"{why}:\n{running.tail()}") from None


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status < 500  # noqa: PLR2004 - the server's own faults begin there
    except (aiohttp.ClientError, TimeoutError):
        return False


def peak_memory(process_id: int) -> int:
    """The most resident memory a process has had, in bytes; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return int(kilobytes) * 1024
