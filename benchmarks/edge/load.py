"""The load generator: requests made beforehand, each sent when it is due, over keep-alive connections.

Open loop: requests fall due at a rate that the server does not slow down, and a request's latency counts from then,
however long it waited for a connection; nothing is left out for coming while the server was busy. Closed loop is the
case that all are due at once: every connection then sends the next request as soon as the last one is answered.
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import select
import selectors
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from benchmarks import tenant, traffic
from benchmarks.arrivals import due_seconds
from benchmarks.edge.orders import SEED, UNANSWERED, Hits, LoadOrders, Volley
from benchmarks.edge.real import HOST
from benchmarks.machine import Meter
from broker import collector

if TYPE_CHECKING:
    from benchmarks.child import Orders

_STATUS = slice(9, 12)  # of `HTTP/1.1 200 OK`
_END = b"\r\n\r\n"
_RETRY_AFTER = b"retry-after:"
_OK = 200
_PATIENCE_SECONDS = 60.0
_OPEN_AT_FIRST = 64
_MICROSECONDS = 1_000_000
_NOTHING = -1


class _Punctual(selectors.DefaultSelector):
    """Wakes up within microseconds: epoll alone counts in milliseconds, of which the latencies are made."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], (), (), timeout)
            timeout = 0
        return super().select(timeout)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The loop that this role needs."""
    return asyncio.SelectorEventLoop(_Punctual())


@dataclass(slots=True)
class _Course:
    """One volley under way: what its connections share. Times are the loop's."""

    volley: Volley
    requests: Sequence[bytes]
    due: list[float] = field(default_factory=list)
    answers: list[tuple[float, int]] = field(default_factory=list)
    late_seconds: list[float] = field(default_factory=list)
    unexplained: int = 0
    idle: deque[_Client] = field(default_factory=deque)
    waiting: deque[int] = field(default_factory=deque)
    clients: set[_Client] = field(default_factory=set)
    opening: set[asyncio.Task[None]] = field(default_factory=set)
    left: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until every request is answered, or given up."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.due = [started + seconds for seconds in due_seconds(len(self.requests), rate=self.volley.rate, seed=SEED)]
        self.answers = [(0.0, UNANSWERED)] * len(self.due)
        self.left = len(self.due)
        for number, due in enumerate(self.due):
            if (ahead := due - loop.time()) > 0:
                await asyncio.sleep(ahead)
            self.late_seconds.append(loop.time() - due)
            self._fall_due(number)
        try:
            await asyncio.wait_for(self.over.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            return  # what is left stays unanswered

    async def open(self) -> None:
        """Connections to begin with; waits for a server that is still starting."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(self.clients) < min(self.volley.connections, _OPEN_AT_FIRST, len(self.requests)):
                try:
                    await self._connect()
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Lets go of every connection."""
        for task in self.opening:
            task.cancel()
        for client in list(self.clients):
            client.close()

    def _fall_due(self, number: int) -> None:
        if self.idle:
            self.idle.popleft().send(number)  # the one idle for longest, so that the server closes none
            return
        self.waiting.append(number)
        self._open_another()

    def _open_another(self) -> None:
        if len(self.clients) + len(self.opening) < self.volley.connections:
            task = asyncio.get_running_loop().create_task(self._open_one())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def _open_one(self) -> None:
        try:
            await self._connect()
        except OSError:
            if self.waiting:
                self.settle(self.waiting.popleft(), UNANSWERED)

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Client(self), HOST, self.volley.port)

    def settle(self, number: int, status: int) -> None:
        """A request is answered, or never will be."""
        self.answers[number] = (asyncio.get_running_loop().time() - self.due[number], status)
        self.left -= 1
        if not self.left:
            self.over.set()

    def ready(self, client: _Client) -> None:
        """A connection has nothing under way."""
        if self.waiting:
            client.send(self.waiting.popleft())
        else:
            self.idle.append(client)

    def gone(self, client: _Client) -> None:
        """A connection is closed."""
        self.clients.discard(client)
        if client in self.idle:
            self.idle.remove(client)
        if self.waiting:
            self._open_another()


@dataclass(slots=True, eq=False)
class _Client(asyncio.Protocol):
    """A connection: one request under way on it at a time."""

    course: _Course
    number: int = _NOTHING
    transport: asyncio.Transport | None = None
    received: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.course.clients.add(self)
        self.course.ready(self)

    def send(self, number: int) -> None:
        """Sends a request."""
        self.number = number
        if self.transport is not None:
            self.transport.write(self.course.requests[number])

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(_END):  # no answer of a webhook has a body
            status = int(self.received[_STATUS])
            if status != _OK and _RETRY_AFTER not in self.received.lower():
                self.course.unexplained += 1
            number, self.number, self.received = self.number, _NOTHING, b""
            self.course.settle(number, status)
            self.course.ready(self)

    def connection_lost(self, _error: Exception | None) -> None:
        number, self.number = self.number, _NOTHING
        if number != _NOTHING:
            self.course.settle(number, UNANSWERED)
        self.course.gone(self)

    def close(self) -> None:
        """Closes it; what is under way on it stays unanswered."""
        self.number = _NOTHING
        if self.transport is not None:
            self.transport.close()


async def main(orders: Orders) -> None:
    """Fires volleys until the parent wants no more."""
    allow_connections()
    wanted = await orders.next(LoadOrders)
    made = traffic.bodies(seed=SEED, items=wanted.pool_items, items_a_body=wanted.items_a_body)
    requests = [request_of(body) for body in made]
    async for volley in orders.all(Volley):
        orders.answer(await _fire(requests, volley))


def allow_connections() -> None:
    """Lets this process have as many connections as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def request_of(body: bytes) -> bytes:
    """A webhook as the provider sends it."""
    head = (
        f"POST {tenant.WEBHOOK_PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
        f"x-hub-signature-256: {tenant.signature(body).decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _fire(requests: Sequence[bytes], volley: Volley) -> Hits:
    amount = volley.requests or len(requests)
    course = _Course(volley, list(itertools.islice(itertools.cycle(requests), volley.first, volley.first + amount)))
    await course.open()
    collector.settle()  # a look through all there is would hold up what is due meanwhile, and count as latency
    meter, started_at = Meter(), time.time()
    await course.run()
    spent = meter.spent()
    await course.close()
    return Hits(
        started_at=started_at,
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        sent_bytes=sum(map(len, course.requests)),
        statuses=[status for _, status in course.answers],
        wait_microseconds=[round(seconds * _MICROSECONDS) for seconds, _ in course.answers],
        late_microseconds=[round(seconds * _MICROSECONDS) for seconds in course.late_seconds],
        unexplained=course.unexplained,
    )
