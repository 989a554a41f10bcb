"""The subject: the archive worker under a limit of memory that the kernel holds it to."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.worker import drain
from benchmarks.backlog.orders import BacklogOrders, BacklogOutcome

if TYPE_CHECKING:
    from benchmarks.child import Orders

GROUP = "archive"
_ROOM_BYTES = 16 * 2**20


async def main(orders: Orders) -> None:
    """Drains what the orders say, and answers with how it went.

    RLIMIT_DATA bounds what a process may write to privately: past it, memory is refused and the worker ends.
    Source: https://man7.org/linux/man-pages/man2/getrlimit.2.html (since Linux 4.7), 2026-11-26.
    """
    wanted = await orders.next(BacklogOrders)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted.memory_bytes, wanted.memory_bytes))
    bytearray(_ROOM_BYTES)  # without so much room it ends here: in some callback of the loop, it would wait for ever
    started = time.perf_counter()
    steps: list[float] = []

    def count(done: int) -> None:
        while done >= wanted.step * (len(steps) + 1):
            steps.append(time.perf_counter() - started)

    work = WorkerOrders(log=wanted.log, records_dsn=wanted.records_dsn, group=GROUP, entries=wanted.entries)
    spent = await drain(work, count)
    orders.answer(BacklogOutcome(spent=spent, steps=steps))
