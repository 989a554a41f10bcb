"""The wire between one client and its brokers, held by the test: it can be cut, and it can silence a group member.

A broker tells its clients where it is, so the wire tells them instead where it listens itself, one port a broker.
Everything else passes as it is.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka.protocol.group import (
    HeartbeatResponse_v0,
    HeartbeatResponse_v1,
    JoinGroupResponse_v0,
    JoinGroupResponse_v1,
    JoinGroupResponse_v2,
    JoinGroupResponse_v5,
)
from aiokafka.protocol.metadata import (
    MetadataResponse_v0,
    MetadataResponse_v1,
    MetadataResponse_v2,
    MetadataResponse_v3,
    MetadataResponse_v4,
    MetadataResponse_v5,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_METADATA, _JOIN_GROUP, _HEARTBEAT = 3, 11, 12
_METADATA_ANSWERS = (
    MetadataResponse_v0,
    MetadataResponse_v1,
    MetadataResponse_v2,
    MetadataResponse_v3,
    MetadataResponse_v4,
    MetadataResponse_v5,
)
_TRY_LATER = 14  # the coordinator is loading
_HEADER = struct.Struct(">hhi")

Address = tuple[str, int]


class Wire:
    """Connections of one client."""

    def __init__(self) -> None:
        self.down = False
        self.silent = False
        self.forgetful = 0
        self._listeners: dict[Address, asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def to(self, bootstrap: Sequence[str]) -> tuple[str, ...]:
        """The addresses to give to the client, instead of these."""
        found = []
        for address in bootstrap:
            host, _, port = address.rpartition(":")
            found.append("{}:{}".format(*await self.listen((host, int(port)))))
        return tuple(found)

    def cut(self) -> None:
        """Nothing passes any more."""
        self.down = True
        for connection in self._connections:
            connection.cancel()

    def mend(self) -> None:
        """Connections can be made again."""
        self.down = False

    def silence(self) -> None:
        """The client's members seem dead to their group, and do not notice it themselves. The rest still works."""
        self.silent = True

    def forget(self, times: int) -> None:
        """So many answers about topics know of none, as those of a broker that has just started."""
        self.forgetful = times

    def revive(self) -> None:
        """They give signs of life again."""
        self.silent = False

    async def close(self) -> None:
        self.cut()
        for listener in self._listeners.values():
            listener.close()
        if self._connections:
            await asyncio.wait(self._connections)

    async def listen(self, broker: Address) -> Address:
        """Where the client finds this broker."""
        if broker not in self._listeners:

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._relay(broker, reader, writer)

            self._listeners[broker] = await asyncio.start_server(relay, "127.0.0.1", 0)
        host, port = self._listeners[broker].sockets[0].getsockname()
        return host, port

    async def _relay(self, broker: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self.down:
            writer.close()
            return
        self._connections.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await _Connection(self, reader, writer).serve(broker)
        finally:
            writer.close()
            self._connections.discard(task)


@dataclass(slots=True)
class _Connection:
    """One connection. Answers come in the order of their requests, also those that the wire gives itself."""

    wire: Wire
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _expected: deque[tuple[int, int, bytes | None]] = field(default_factory=deque)

    async def serve(self, broker: Address) -> None:
        reader, writer = await asyncio.open_connection(*broker, limit=2**26)
        ways = [asyncio.create_task(self._requests(writer)), asyncio.create_task(self._answers(reader))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, broker: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(self.reader)
            key, version, number = _HEADER.unpack_from(frame)
            own = _own_answer(key, version) if self.wire.silent else None
            self._expected.append((key, version, None if own is None else struct.pack(">i", number) + own))
            if own is None:
                _send(broker, frame)
                await broker.drain()
            else:
                self._give_own()

    async def _answers(self, broker: asyncio.StreamReader) -> None:
        while True:
            frame = await _frame(broker)
            key, version, _ = self._expected.popleft()
            _send(self.writer, await self._rewritten(frame, version) if _has_addresses(key, version) else frame)
            self._give_own()
            await self.writer.drain()

    def _give_own(self) -> None:
        while self._expected and self._expected[0][2] is not None:
            _send(self.writer, self._expected.popleft()[2] or b"")

    async def _rewritten(self, frame: bytes, version: int) -> bytes:
        answer = _METADATA_ANSWERS[version].decode(frame[4:])
        brokers = []
        for node, host, port, *rest in answer.brokers:
            brokers.append((node, *await self.wire.listen((host, port)), *rest))
        answer.brokers = brokers
        if answer.topics and self.wire.forgetful:
            self.wire.forgetful -= 1
            answer.topics = []
        return frame[:4] + bytes(answer.encode())


def _has_addresses(key: int, version: int) -> bool:
    """Whether it is metadata as clients ask for it; newer versions are asked for other things."""
    return key == _METADATA and version < len(_METADATA_ANSWERS)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)


def _own_answer(key: int, version: int) -> bytes | None:
    """All is well, for a heartbeat; try again later, for whoever wants to join."""
    if key == _HEARTBEAT:
        alive = HeartbeatResponse_v0(0) if version == 0 else HeartbeatResponse_v1(0, 0)
        return bytes(alive.encode())
    if key == _JOIN_GROUP:
        if version <= 1:
            answer = (JoinGroupResponse_v0, JoinGroupResponse_v1)[version](_TRY_LATER, -1, "", "", "", [])
        else:
            answer = {2: JoinGroupResponse_v2, 5: JoinGroupResponse_v5}[version](0, _TRY_LATER, -1, "", "", "", [])
        return bytes(answer.encode())
    return None
