"""What the servers that a benchmark started have spent of the processors."""

from __future__ import annotations

from pathlib import Path

import psutil

_NANOSECONDS = 1_000_000_000


def server_seconds() -> float:
    """CPU seconds of every process that this one started, and those that they started, which are there now.

    From the scheduler, since the ticks that psutil reads are too coarse for a stage of a batch. Where there is no such
    file, nothing is counted. Source: https://docs.kernel.org/scheduler/sched-stats.html (2026-11-27).
    """
    return sum(_spent(one.pid) for one in psutil.Process().children(recursive=True)) / _NANOSECONDS


def _spent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
