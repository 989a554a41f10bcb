"""Archive workers in processes of their own, which share the partitions of one log."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.archive.orders import GO, STOP, WorkerOrders, WorkerReport
from benchmarks.children import started
from benchmarks.machine import Spent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from benchmarks.children import Child

ROLE = "archive.worker"
_PATIENCE_SECONDS = 120.0


async def drain(
    orders: WorkerOrders, *, entries: int, processes: int = 1, told: Callable[[int], None] | None = None
) -> Spent:
    """Lets workers keep so many entries, once each of them owns its share of the partitions.

    `told` hears how many are kept whenever it is more. What it took: the time of the slowest one, the CPU time and the
    memory of all of them.
    """
    async with gathered(orders, processes=processes, told=told) as workers:
        await workers.tell(GO)
        await workers.until(lambda: workers.kept >= entries)
    return _together([one.result() for one in workers.spent])


@asynccontextmanager
async def gathered(
    orders: WorkerOrders, *, processes: int, told: Callable[[int], None] | None = None
) -> AsyncGenerator[Workers]:
    """Workers that own all partitions between them, and begin on `GO`. They end when the block is left.

    There are no more of them than partitions, so that each has some.
    """
    processes = min(processes, tenant.ARCHIVED_PARTITIONS)
    async with AsyncExitStack() as exits:
        children = [await exits.enter_async_context(started(ROLE, orders)) for _ in range(processes)]
        workers = Workers(children, told or (lambda _kept: None))
        try:
            async with asyncio.TaskGroup() as group:
                workers.spent = [group.create_task(workers.listen(number)) for number in range(processes)]
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await workers.until(lambda: workers.share(tenant.ARCHIVED_PARTITIONS))
                yield workers
                await workers.tell(STOP)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None


class Workers:
    """What is known of them. `spent`: what each took from `GO` on, once it has ended."""

    def __init__(self, children: Sequence[Child], told: Callable[[int], None]) -> None:
        self.spent: Sequence[asyncio.Task[Spent]] = ()
        self._children = children
        self._told = told
        self._reports = [WorkerReport(owned=0, kept=0)] * len(children)
        self._news = asyncio.Event()

    @property
    def process_ids(self) -> Sequence[int]:
        """Their processes."""
        return [one.process.pid for one in self._children]

    @property
    def kept(self) -> int:
        """Entries that all of them have kept."""
        return sum(one.kept for one in self._reports)

    def share(self, partitions: int) -> bool:
        """Whether each of the partitions has one owner, and each worker owns some."""
        owned = [one.owned for one in self._reports]
        return sum(owned) == partitions and all(owned)

    async def tell(self, word: str) -> None:
        """Says a word to all of them."""
        for child in self._children:
            await child.tell(word)

    async def listen(self, number: int) -> Spent:
        """Hears one worker's reports, up to the last one."""
        while True:
            report = await self._children[number].answer(WorkerReport)
            self._reports[number] = report
            self._told(self.kept)
            self._news.set()
            if report.spent is not None:
                return report.spent

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        while not holds():
            self._news.clear()
            await self._news.wait()


def _together(spent: Sequence[Spent]) -> Spent:
    return Spent(
        seconds=max(one.seconds for one in spent),
        cpu_seconds=sum(one.cpu_seconds for one in spent),
        peak_memory_bytes=sum(one.peak_memory_bytes for one in spent),
    )
