"""Runs a part of a benchmark in a process of its own, so that its CPU time and memory are its own.

A child is `python -m benchmarks.child ROLE`. Its orders come as a line of JSON on standard input, so that no password
stands in an argument; it answers in lines of JSON, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

T = TypeVar("T")

_LONGEST_LINE_BYTES = 2**26
_END_SECONDS = 30.0


class ChildFailedError(Exception):
    """A child ended before it answered; what it said stands on standard error."""


@dataclass(slots=True)
class Child:
    """A child under way."""

    role: str
    process: asyncio.subprocess.Process

    async def tell(self, orders: object) -> None:
        """Gives it its next orders."""
        if self.process.stdin is None:
            raise ChildFailedError(self.role)
        self.process.stdin.write(msgspec.json.encode(orders) + b"\n")
        await self.process.stdin.drain()

    async def answer(self, kind: type[T]) -> T:
        """Its next answer."""
        line = await self.process.stdout.readline() if self.process.stdout else b""
        if not line:
            raise ChildFailedError(f"{self.role} ended with exit code {await self.process.wait()}")
        return msgspec.json.decode(line, type=kind)

    async def end(self) -> None:
        """Closes its standard input, and waits until it is gone."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def started(role: str, orders: object) -> AsyncGenerator[Child]:
    """A child with its orders, until the block is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.child",
        role,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE_BYTES,
    )
    child = Child(role, process)
    try:
        await child.tell(orders)
        yield child
    finally:
        await child.end()


async def outcome(role: str, orders: object, kind: type[T]) -> T:
    """The one answer of a child that does one thing."""
    async with started(role, orders) as child:
        return await child.answer(kind)
