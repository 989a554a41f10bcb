"""The load: webhooks of one item each, none like another, sent when they are due whatever became of those before."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import traffic
from benchmarks.edge.load import request_of
from benchmarks.edge.orders import SEED
from benchmarks.edge.real import HOST

if TYPE_CHECKING:
    from benchmarks.child import Orders

_STATUS = slice(9, 12)  # of `HTTP/1.1 200 OK`
_END = b"\r\n\r\n"
_ENDLESS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Send so many requests a second (0: as fast as they are answered), over so many connections, for so long."""

    port: int
    rate: float
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of it: answers by status."""

    statuses: Mapping[int, int]


@dataclass(slots=True, kw_only=True)
class _Course:
    """What the connections of one stretch share."""

    stretch: Stretch
    bodies: Iterator[bytes]
    started: float
    numbers: Iterator[int] = field(default_factory=itertools.count)
    statuses: Counter[int] = field(default_factory=Counter)

    async def run(self) -> None:
        """One connection, one request at a time, until the stretch is over."""
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(HOST, self.stretch.port)
        while (due := self._due(loop.time())) < self.stretch.seconds:
            if (early := self.started + due - loop.time()) > 0:
                await asyncio.sleep(early)
            writer.write(request_of(next(self.bodies)))
            self.statuses[int((await reader.readuntil(_END))[_STATUS])] += 1
        writer.close()
        await writer.wait_closed()

    def _due(self, now: float) -> float:
        """When the next request is due, in seconds from the start."""
        return next(self.numbers) / self.stretch.rate if self.stretch.rate else now - self.started


async def main(orders: Orders) -> None:
    """Sends stretches until the parent wants no more."""
    await orders.next(str)
    bodies = traffic.bodies(seed=SEED, items=_ENDLESS, items_a_body=1)
    async for stretch in orders.all(Stretch):
        course = _Course(stretch=stretch, bodies=bodies, started=asyncio.get_running_loop().time())
        await asyncio.gather(*(course.run() for _ in range(stretch.connections)))
        orders.answer(Sent(statuses=course.statuses))
