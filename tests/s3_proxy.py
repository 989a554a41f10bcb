"""A bad connection to an S3 server: resets half way, answers that get lost, refusals in S3's own words, silence."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_PIECE_BYTES = 64 * 1024
CANARY = "canary-4915901234567"
"""What the server's words would carry on if they were passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    target: str
    body_bytes: int

    def is_part(self, number: int) -> bool:
        return self.method == "PUT" and f"partNumber={number}&" in f"{self.target}&"

    @property
    def is_put(self) -> bool:
        """Of a whole object."""
        return self.method == "PUT" and "?" not in self.target

    @property
    def is_get(self) -> bool:
        """Of an object's bytes."""
        return self.method == "GET" and "versions" not in self.target and "?tagging" not in self.target

    @property
    def is_listing(self) -> bool:
        """Of a key's versions."""
        return self.method == "GET" and "versions" in self.target

    @property
    def is_begin(self) -> bool:
        """Of an upload in parts."""
        return self.method == "POST" and "?uploads" in self.target

    @property
    def is_complete(self) -> bool:
        return self.method == "POST" and "uploadId=" in self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuses:
    """Answers in the server's place; a status below 300 is a yes to what never reached it."""

    status: int
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetsRequest:
    """Breaks off when so much of the body has gone through."""

    after_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetsAnswer:
    """Breaks off when so much of the answer's body has gone through; without `after_bytes`, before all of it.

    Then the server has done it, and nobody is told.
    """

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freezes:
    """Takes the request, and says nothing; with `after_bytes`, once so much of the answer's body has gone through."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withholds:
    """Passes the request on, and nothing of the answer: the server has done it, and nobody is told, nor sent away."""


Fault = Refuses | ResetsRequest | ResetsAnswer | Freezes | Withholds


@dataclass(slots=True)
class Planned:
    """A fault that is still to come."""

    whom: Callable[[Asked], bool]
    fault: Fault
    times: int


@dataclass(slots=True)
class Proxy:
    """Stands before a server. Each fault of the plan befalls the next request that it is meant for, so many times."""

    upstream: tuple[str, int]
    port: int = 0
    plan: list[Planned] = field(default_factory=list)
    befallen: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, whom: Callable[[Asked], bool], fault: Fault, *, times: int = 1) -> None:
        self.plan.append(Planned(whom, fault, times))

    def heal(self) -> None:
        self.plan.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # `close` alone cancels
                await self._serve(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = _asked(head)
        fault = self._fault_for(asked)
        if isinstance(fault, Freezes) and fault.after_bytes is None:
            await asyncio.Event().wait()
        if isinstance(fault, Refuses):
            await _refuse(reader, writer, asked, fault, expects=b"100-continue" in head.lower())
            return
        up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        try:
            up_writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await _pump(reader, writer, up_reader, up_writer, asked, fault)
        finally:
            up_writer.close()

    def _fault_for(self, asked: Asked) -> Fault | None:
        for one in self.plan:
            if one.times and one.whom(asked):
                one.times -= 1
                self.befallen += 1
                return one.fault
        return None


@asynccontextmanager
async def bad_connection(endpoint: str) -> AsyncGenerator[Proxy]:
    """A proxy before the server of that address."""
    parts = urlsplit(endpoint)
    proxy = Proxy(upstream=(parts.hostname or "", parts.port or 80))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1024 * 1024)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()


def _asked(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(method=method, target=target, body_bytes=int(headers.get("content-length", "0")))


async def _refuse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked, fault: Refuses, *, expects: bool
) -> None:
    if expects:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    left = asked.body_bytes
    while left and (data := await reader.read(min(left, _PIECE_BYTES))):
        left -= len(data)
    words = f"<Error><Code>{fault.code}</Code><Message>{CANARY}</Message><Key>{CANARY}</Key></Error>"
    body = (
        b""
        if asked.method == "HEAD" or fault.status < HTTPStatus.MULTIPLE_CHOICES
        else f'<?xml version="1.0" encoding="UTF-8"?>{words}'.encode()
    )
    head = f"HTTP/1.1 {fault.status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    await writer.drain()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    up_reader: asyncio.StreamReader,
    up_writer: asyncio.StreamWriter,
    asked: Asked,
    fault: Fault | None,
) -> None:
    """Bodies in both directions at once, since the server may answer before it has all; until it ends its answer."""
    most_up = fault.after_bytes if isinstance(fault, ResetsRequest) else None
    up = asyncio.create_task(_copy(reader, up_writer, end=asked.body_bytes, most=most_up))
    down = asyncio.create_task(_answer(up_reader, writer, fault))
    try:
        if await up or await down:
            await _break_off(writer, fault)
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
    """As `_copy`; that the server wants the body is no answer yet."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        writer.write(head)
        head = await reader.readuntil(b"\r\n\r\n")
    most = fault.after_bytes if isinstance(fault, ResetsAnswer | Freezes) else None
    if isinstance(fault, Withholds) or (isinstance(fault, ResetsAnswer) and most is None):
        return True
    writer.write(head)
    return await _copy(reader, writer, end=None, most=most)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, end: int | None, most: int | None
) -> bool:
    """Whether it came to what it is to break off at. The end of the stream, or so many bytes, end it otherwise."""
    done = 0
    while end is None or done < end:
        data = await reader.read(_PIECE_BYTES)
        if not data:
            return False
        if most is not None and done + len(data) > most:
            writer.write(data[: most - done])
            await writer.drain()
            return True
        done += len(data)
        writer.write(data)
        await writer.drain()
    return False


async def _break_off(writer: asyncio.StreamWriter, fault: Fault | None) -> None:
    """By silence, or by RST, not FIN."""
    if isinstance(fault, Freezes | Withholds):
        await asyncio.Event().wait()
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
