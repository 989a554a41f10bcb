"""Counts what is under way, so that a test can wait until nothing is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Activity:
    """A count of things begun and not ended. `quiet` waits until it is nought."""

    def __init__(self) -> None:
        self.count = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def begin(self, count: int = 1) -> None:
        """Something is under way."""
        self.count += count
        self._quiet.clear()

    def end(self, count: int = 1) -> None:
        """It is over."""
        self.count -= count
        if self.count <= 0:
            self._quiet.set()

    async def quiet(self) -> None:
        """Return once nothing is under way."""
        await self._quiet.wait()


class Background:
    """Tasks that run beside the calls that started them. The first that fails is told to whoever waits."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._failed.set()

    async def failed(self) -> None:
        """Raise what a task failed with, once one did; else wait for ever."""
        await self._failed.wait()
        self.check()

    def check(self) -> None:
        """Raise what a task failed with, if one did."""
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
