"""The two questions that tell whether a broker serves: which versions it speaks, and whom it knows.

Asked in Kafka's own protocol, without a client that would reconnect, retry and log.
Source: https://kafka.apache.org/43/design/protocol/, 2026-11
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

_API_VERSIONS, _METADATA = 18, 3
_METADATA_VERSION = 4
_NO_TOPICS_AND_MAKE_NONE = struct.pack(">ib", 0, 0)
_SHORTEST_ANSWER_BYTES = 4
_ANSWER_SECONDS = 5.0
_LONGEST_ANSWER_BYTES = 2**20


@dataclass(slots=True)
class _Reader:
    """Takes values from the front of an answer."""

    data: bytes
    at: int = 0

    def int16(self) -> int:
        return self._number(">h", 2)

    def int32(self) -> int:
        return self._number(">i", 4)

    def text(self) -> str | None:
        length = self.int16()
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def _number(self, shape: str, size: int) -> int:
        (value,) = struct.unpack_from(shape, self.data, self.at)
        self.at += size
        return int(value)


async def known_brokers(host: str, port: int) -> frozenset[int]:
    """The ids of the brokers that this one counts as serving; empty if it gives no answer."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await _ask(host, port)
    except (OSError, TimeoutError, EOFError, struct.error, UnicodeDecodeError):
        return frozenset()


async def _ask(host: str, port: int) -> frozenset[int]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        answer = await _exchange(reader, writer, _API_VERSIONS, 0, b"")
        if answer.int16() != 0:
            return frozenset()
        answer = await _exchange(reader, writer, _METADATA, _METADATA_VERSION, _NO_TOPICS_AND_MAKE_NONE)
        answer.int32()  # the throttling it asks for
        return frozenset(_broker_id(answer) for _ in range(answer.int32()))
    finally:
        writer.close()


def _broker_id(answer: _Reader) -> int:
    """One broker of the answer: its id, and its address and rack, which are passed over."""
    node_id = answer.int32()
    answer.text()
    answer.int32()
    answer.text()
    return node_id


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, api: int, version: int, body: bytes
) -> _Reader:
    client = b"custody"
    request = struct.pack(">hhih", api, version, api, len(client)) + client + body
    writer.write(struct.pack(">i", len(request)) + request)
    await writer.drain()
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    if not _SHORTEST_ANSWER_BYTES <= length <= _LONGEST_ANSWER_BYTES:
        raise EOFError("not an answer of Kafka's")
    answer = _Reader(await reader.readexactly(length))
    answer.int32()  # the number that says which question it answers: there is but one
    return answer
