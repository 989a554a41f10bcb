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
from benchmarks.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAIL_BYTES = 2000


async def peak_memory(sizes: Sequence[int], *, progress: Path) -> dict[int, dict[str, Any]]:
    """What the demo said of its memory and time, by its number of messages. Forgets the progress when all is done."""
    kept = Progress(progress)
    for messages in sizes:
        if str(messages) not in kept.done():
            kept.add(str(messages), await _demo(messages))
    done = kept.done()
    kept.forget()
    return {messages: done[str(messages)] for messages in sizes}


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
