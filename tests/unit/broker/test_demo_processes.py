"""A process of the demo that does not answer is named, with what it said last."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from broker.demo import processes
from broker.demo.processes import ProcessEndedError, ProcessSilentError, Running, answers

if TYPE_CHECKING:
    from pathlib import Path


async def started(tmp_path: Path, program: str) -> Running:
    log = tmp_path / "edge.log"
    log.write_text("the last words")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    return Running(name="edge", log=log, process=process)


async def test_a_process_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_START_SECONDS", 0.5)
    running = await started(tmp_path, "import time; time.sleep(600)")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        try:
            with pytest.raises(ProcessSilentError, match=r"(?s)edge did not answer within 0\.5 s.*the last words"):
                await answers(running, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        finally:
            await running.end()


async def test_a_process_that_ended_is_named(tmp_path: Path) -> None:
    running = await started(tmp_path, "raise SystemExit(3)")
    await running.process.wait()
    with pytest.raises(ProcessEndedError, match=r"(?s)edge ended with exit code 3.*the last words"):
        await answers(running, "http://127.0.0.1:1/")
