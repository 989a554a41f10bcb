"""Long commands that a signal may stop: what is open is closed, and a line says how to go on."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from broker.core.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALLED = 128


class StoppedError(CustodyError):
    """A signal stopped the command before its work was done; the message says how to go on."""

    code = "stopped"

    def __init__(self, how_to_go_on: str, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {how_to_go_on}")
        self.exit_code = _SIGNALLED + number


def run(work: Coroutine[Any, Any, T], *, how_to_go_on: str) -> T:
    """Runs a command's work to its end, or until SIGTERM or SIGINT: then `StoppedError`."""
    return asyncio.run(_until_stopped(work, how_to_go_on))


async def _until_stopped(work: Coroutine[Any, Any, T], how_to_go_on: str) -> T:
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    if threading.current_thread() is threading.main_thread():  # no other one may handle signals
        for one in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(one, stop, one)
    try:
        return await task
    except (asyncio.CancelledError, CustodyError):  # what is cancelled half way may fail in its own words
        if not received:
            raise
        raise StoppedError(how_to_go_on, received[0]) from None
