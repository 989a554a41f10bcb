"""What the servers that a benchmark started have spent of the processors."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_NANOSECONDS = 1_000_000_000


def server_seconds() -> float:
    """CPU seconds of every process that this one started, and those that they started, which are there now.

    From the scheduler, since the ticks of `/proc/<pid>/stat` are too coarse for a stage of a batch. Where there is no
    such file, nothing is counted. Source: https://docs.kernel.org/scheduler/sched-stats.html (2026-11-27).
    """
    return sum(_spent(pid) for pid in _offspring(os.getpid())) / _NANOSECONDS


def _offspring(of: int) -> Iterator[int]:
    children = defaultdict(list)
    for pid in (int(one.name) for one in _PROC.iterdir() if one.name.isdigit()):
        children[_parent(pid)].append(pid)
    waiting = [of]
    while waiting:
        found = children[waiting.pop()]
        waiting += found
        yield from found


def _parent(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it has ended
    return int(stat.rpartition(")")[2].split()[1])


def _spent(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "schedstat").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
