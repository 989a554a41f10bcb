"""The other end of `benchmarks.children`: `python -m benchmarks.child ROLE`."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, TypeVar

import msgspec
import uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")

ROLES = {
    "archive.follower": "benchmarks.archive.follower",
    "archive.worker": "benchmarks.archive.worker",
    "archive.floor": "benchmarks.archive.floor",
    "archive_mongo.floor": "benchmarks.archive_mongo.floor",
    "archive_mongo.small": "benchmarks.archive_mongo.small",
    "compression.worker": "benchmarks.compression.worker",
    "edge.real": "benchmarks.edge.real",
    "edge.bare": "benchmarks.edge.bare",
    "edge.load": "benchmarks.edge.load",
    "end_to_end.floor": "benchmarks.end_to_end.floor",
    "erase.floor": "benchmarks.erase.floor",
    "erase.worker": "benchmarks.erase.worker",
    "media.floor": "benchmarks.media.floor",
    "media.worker": "benchmarks.media.worker",
    "memory.blob": "benchmarks.memory.blob",
    "moving.command": "benchmarks.moving.command",
    "peers.plain": "benchmarks.peers.plain",
    "provider": "benchmarks.provider",
    "soak.load": "benchmarks.soak.load",
}
"""The module of each role; its `main` gets this end, on uvloop unless it has a `new_event_loop` of its own."""


class Orders:
    """What the parent says, line by line, and the way back to it."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines

    async def next(self, kind: type[T]) -> T:
        """The next orders; `EOFError` when there are none any more."""
        line = await self._lines.readline()
        if not line:
            raise EOFError
        return msgspec.json.decode(line, type=kind)

    async def all(self, kind: type[T]) -> AsyncIterator[T]:
        """All orders to come, until the parent wants no more."""
        while line := await self._lines.readline():
            yield msgspec.json.decode(line, type=kind)

    def answer(self, value: object) -> None:
        """Tells the parent."""
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


async def _run(main: Callable[[Orders], Awaitable[None]]) -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await main(Orders(lines))


if __name__ == "__main__":
    role = importlib.import_module(ROLES[sys.argv[1]])
    with asyncio.Runner(loop_factory=getattr(role, "new_event_loop", uvloop.new_event_loop)) as runner:
        runner.run(_run(role.main))
