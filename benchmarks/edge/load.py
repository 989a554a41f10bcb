"""The load generator: requests made beforehand, keep-alive connections, one request under way on each."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from benchmarks import tenant, traffic
from benchmarks.edge.orders import SEED, Hits, LoadOrders, Volley
from benchmarks.edge.real import HOST
from benchmarks.machine import Meter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.child import Orders

_STATUS = slice(9, 12)  # of `HTTP/1.1 200 OK`
_END = b"\r\n\r\n"
_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class _Course:
    """What the connections of one volley share."""

    requests: Iterator[bytes]
    statuses: Counter[int] = field(default_factory=Counter)
    sent_bytes: int = 0


@dataclass(slots=True)
class _Client(asyncio.Protocol):
    """A connection: sends the next request as soon as the last one is answered, and is done when none is left."""

    course: _Course
    done: asyncio.Future[None]
    transport: asyncio.Transport | None = None
    received: bytes = field(default=b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone

    def send(self) -> None:
        """The next request, if there is one."""
        request = next(self.course.requests, None)
        if request is None or self.transport is None:
            self._end()
            return
        self.course.sent_bytes += len(request)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(_END):  # no answer of a webhook has a body
            self.course.statuses[int(self.received[_STATUS])] += 1
            self.received = b""
            self.send()

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def main(orders: Orders) -> None:
    """Fires volleys until the parent wants no more."""
    wanted = await orders.next(LoadOrders)
    made = traffic.bodies(seed=SEED, items=wanted.pool_items, items_a_body=wanted.items_a_body)
    requests = [request_of(body) for body in made]
    async for volley in orders.all(Volley):
        orders.answer(await _fire(requests, volley))


def request_of(body: bytes) -> bytes:
    """A webhook as the provider sends it."""
    head = (
        f"POST {tenant.WEBHOOK_PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
        f"x-hub-signature-256: {tenant.signature(body).decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _fire(requests: Sequence[bytes], volley: Volley) -> Hits:
    amount = volley.requests or len(requests)
    course = _Course(itertools.islice(itertools.cycle(requests), amount))
    clients = [await _connected(volley.port, course) for _ in range(min(volley.connections, amount))]
    meter = Meter()
    for client in clients:
        client.send()
    await asyncio.gather(*(client.done for client in clients))
    seconds = meter.spent().seconds
    for client in clients:
        if client.transport is not None:
            client.transport.close()
    lost = amount - course.statuses.total()
    statuses = course.statuses + Counter({0: lost})
    return Hits(seconds=seconds, requests=amount, sent_bytes=course.sent_bytes, statuses=statuses)


async def _connected(port: int, course: _Course) -> _Client:
    """A connection; waits for a server that is still starting."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                _, client = await loop.create_connection(lambda: _Client(course, loop.create_future()), HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                return client
