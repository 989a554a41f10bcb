"""`custody demo` at several sizes. Long: what is done is written down, and not done again after an interruption."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.children import ChildFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAIL_BYTES = 2000


async def peak_memory(sizes: Sequence[int], *, progress: Path) -> dict[int, dict[str, Any]]:
    """What the demo said of its memory and time, by its number of messages. Forgets the progress when all is done."""
    done = _read(progress)
    for messages in sizes:
        if str(messages) not in done:
            done[str(messages)] = await _demo(messages)
            _write(progress, done)
    _forget(progress)
    return {messages: done[str(messages)] for messages in sizes}


def _read(progress: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(progress.read_text()) if progress.exists() else {}
    return found


def _write(progress: Path, done: dict[str, dict[str, Any]]) -> None:
    progress.parent.mkdir(parents=True, exist_ok=True)
    progress.write_text(json.dumps(done))


def _forget(progress: Path) -> None:
    progress.unlink(missing_ok=True)


async def _demo(messages: int) -> dict[str, Any]:
    folder = Path(tempfile.gettempdir()) / f"custody-bench-{os.getpid()}"
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker.cli",
            "demo",
            "--json",
            f"--messages={messages}",
            f"--keep={folder}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, said = await process.communicate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if process.returncode:
        raise ChildFailedError(f"the demo of {messages} messages: {said[-_TAIL_BYTES:].decode(errors='replace')}")
    told = json.loads(output)
    return {name: told[name] for name in ("peak_memory_bytes", "seconds", "accepted", "closed")}
