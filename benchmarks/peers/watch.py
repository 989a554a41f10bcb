"""Looks from outside: who reads, how many rows there are, and what a process spends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import psutil

from benchmarks.digests import NotTheSameError
from benchmarks.machine import Spent
from broker.demo.processes import peak_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from broker.core.ports import EventLog

    Check: TypeAlias = Callable[[], Awaitable[None]]
    """Raises if whoever is watched has failed."""

_POLL_SECONDS = 0.02
_STALL_SECONDS, _PATIENCE_SECONDS = 2.0, 120.0
_LONGEST_PAUSE_SECONDS = 1.0


async def nothing() -> None:
    """There is nothing to do, or to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Processes that drain the log as members of a group. `check` raises if one has failed.

    `go`: tells those that hold their partitions, and wait for the word, to begin.
    """

    process_ids: Sequence[int]
    group: str
    check: Check = nothing
    go: Check = nothing


class ProcessMeter:
    """Counts what other processes spend together, from when it is made. Linux alone."""

    def __init__(self, process_ids: Sequence[int]) -> None:
        self._processes = [psutil.Process(one) for one in process_ids]
        self._cpu_seconds = self._cpu_seconds_so_far()
        self._started = time.perf_counter()

    def spent(self) -> Spent:
        """What was spent until now; the memory is the most it ever had."""
        return Spent(
            seconds=time.perf_counter() - self._started,
            cpu_seconds=self._cpu_seconds_so_far() - self._cpu_seconds,
            peak_memory_bytes=sum(peak_memory(one.pid) for one in self._processes),
        )

    def _cpu_seconds_so_far(self) -> float:
        return sum(float(times.user + times.system) for times in (one.cpu_times() for one in self._processes))


async def assigned(log: EventLog, running: Running) -> None:
    """Until partitions have been given to the group: the first row can be written then."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not await log.members(running.group):
        await running.check()
        if time.monotonic() > deadline:
            raise NotTheSameError(f"nobody of {running.group} has been given a partition")
        await asyncio.sleep(_POLL_SECONDS)


async def filled(count: Callable[[], Awaitable[int]], wanted: int, running: Running) -> None:
    """Until there are so many rows. It looks the more often the nearer that is, since each look costs something."""
    started = moved = time.monotonic()
    seen = 0
    while (found := await count()) < wanted:
        now = time.monotonic()
        if found > seen:
            seen, moved = found, now
        elif now - moved > _PATIENCE_SECONDS:
            raise NotTheSameError(f"{running.group} came to {found} rows of {wanted}, and no further")
        elif now - moved > _STALL_SECONDS:
            await running.check()
        await asyncio.sleep(pause(now - started, found, wanted))


def pause(passed_seconds: float, found: int, wanted: int) -> float:
    """Half of what is left, going by what was done so far."""
    left = passed_seconds * (wanted - found) / found if found else 0.0
    return min(max(left / 2, _POLL_SECONDS), _LONGEST_PAUSE_SECONDS)
