"""A provider that answers at once, in a process of its own: it counts what it is asked, and says whom about.

With a bearer token, `DELETE /{version}/{media-id}` is answered with `{"success": true}`, and a GET with the bytes of a
media object, which are the same for all. Anything else is answered with 400.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media (2026-09)
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, cast

from benchmarks.digests import NotTheSameError
from benchmarks.edge.real import HOST
from benchmarks.logs import SEED
from connectors.simulator.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.child import Orders
    from benchmarks.children import Child

VERSION = "v25.0"
_END = b"\r\n\r\n"
_ASKED = re.compile(rb"(DELETE|GET) /" + re.escape(VERSION.encode()) + rb"/(\d+)(?:\?\S*)? HTTP/1\.1\r\n")
_TOKEN = re.compile(rb"\r\nauthorization: bearer \S", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOrders:
    """Have media objects of so many bytes."""

    media_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked since the last time: requests, and about how many objects."""

    requests: int
    objects: int


def object_ids(count: int) -> Iterator[str]:
    """The ids of so many objects; the same each time."""
    ids = Ids(seed=SEED)
    return (ids.media_id() for _ in range(count))


@cache
def content(size_bytes: int) -> bytes:
    """The bytes of an object."""
    return random.Random(SEED).randbytes(size_bytes)


def address(port: int) -> str:
    """Where its API is, when it listens on a port."""
    return f"http://{HOST}:{port}/{VERSION}"


async def check_asked(provider: Child, objects: int) -> None:
    """Sees to it that the provider was asked about so many objects since the last time, and about each once."""
    await provider.tell("asked")
    asked = await provider.answer(Asked)
    if asked != Asked(requests=objects, objects=objects):
        raise NotTheSameError(f"{asked.requests} requests about {asked.objects} objects, not {objects}")


def _answer(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


_REFUSED = _answer("400 Bad Request", "application/json", b'{"error":{"code":100}}')


@dataclass(slots=True)
class _Connection(asyncio.Protocol):
    """Requests one after the other; none has a body."""

    answers: Mapping[bytes, bytes]
    asked: list[bytes]
    transport: asyncio.Transport | None = None
    received: bytes = field(default=b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone

    def data_received(self, data: bytes) -> None:
        *heads, self.received = (self.received + data).split(_END)
        for head in heads:
            if self.transport is not None:
                self.transport.write(self._answered(head + _END))

    def _answered(self, head: bytes) -> bytes:
        found = _ASKED.match(head)
        if found is None or not _TOKEN.search(head):
            return _REFUSED
        self.asked.append(found[2])
        return self.answers[found[1]]


async def main(orders: Orders) -> None:
    """Answers with its port; then, whenever the parent wants to know, with what it was asked."""
    wanted = await orders.next(ProviderOrders)
    answers = {
        b"DELETE": _answer("200 OK", "application/json", b'{"success":true}'),
        b"GET": _answer("200 OK", "application/octet-stream", content(wanted.media_bytes)),
    }
    asked: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(answers, asked), HOST, 0)
    orders.answer(server.sockets[0].getsockname()[1])
    async for _ in orders.all(str):
        orders.answer(Asked(requests=len(asked), objects=len(set(asked))))
        asked.clear()
    server.close()
