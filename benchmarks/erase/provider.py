"""A provider that answers at once, and says whom it was asked about.

`DELETE /{version}/{media-id}` with a bearer token is answered with `{"success": true}`, anything else with 400.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media (2026-09)
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from benchmarks.edge.real import HOST
from benchmarks.erase.orders import VERSION, Asked

if TYPE_CHECKING:
    from benchmarks.child import Orders

_END = b"\r\n\r\n"
_DELETE = re.compile(rb"DELETE /" + re.escape(VERSION.encode()) + rb"/(\d+)(?:\?\S*)? HTTP/1\.1\r\n")
_TOKEN = re.compile(rb"\r\nauthorization: bearer \S", re.IGNORECASE)


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


_DELETED = _answer("200 OK", b'{"success":true}')
_REFUSED = _answer("400 Bad Request", b'{"error":{"code":100}}')


@dataclass(slots=True)
class _Connection(asyncio.Protocol):
    """Requests one after the other; a DELETE has no body."""

    deleted: list[bytes]
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
        asked = _DELETE.match(head)
        if asked is None or not _TOKEN.search(head):
            return _REFUSED
        self.deleted.append(asked[1])
        return _DELETED


async def main(orders: Orders) -> None:
    """Answers with its port; then, whenever it is asked, with what it was asked since the last time."""
    await orders.next(str)
    deleted: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(deleted), HOST, 0)
    orders.answer(server.sockets[0].getsockname()[1])
    async for _ in orders.all(str):
        orders.answer(Asked(deletes=len(deleted), objects=len(set(deleted))))
        deleted.clear()
    server.close()
