"""Webhooks that keep coming in while a test breaks things."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.stage.stage import Stage

_AT_ONCE = 10
_PAUSE_SECONDS = 0.2
"""Between two lots of messages: enough that something is always under way, and not so much that nobody keeps up."""


@asynccontextmanager
async def traffic(stage: Stage) -> AsyncGenerator[None]:
    """Messages are sent until it is left; the last may then still be under way."""
    over = asyncio.Event()

    async def flow() -> None:
        while not over.is_set():
            await stage.play(_AT_ONCE)
            await asyncio.sleep(_PAUSE_SECONDS)

    flowing = asyncio.create_task(flow(), name="traffic")
    try:
        yield
    except BaseException:
        flowing.cancel()
        raise
    finally:
        over.set()
        await asyncio.wait({flowing})
    flowing.result()


async def more_is_delivered(stage: Stage, items: int) -> None:
    """Returns once the provider got a 200 for so many items more."""
    goal = stage.delivered() + items

    async def holds() -> bool:
        return stage.delivered() >= goal

    await stage.until(f"{items} more items are delivered", holds)
