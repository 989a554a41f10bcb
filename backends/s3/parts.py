"""Incoming bytes, cut into parts, counted and digested. Holds one part."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

from broker.core.errors import DigestMismatchError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Parts:
    """The parts of one blob, in order; the last of them stays until the end."""

    def __init__(self, *, place: str, max_bytes: int, part_bytes: int) -> None:
        self._place = place
        self._max_bytes = max_bytes
        self._part_bytes = part_bytes
        self._digest = hashlib.sha256()
        self._pending = BytesIO()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        """Of everything so far."""
        return self._digest.digest()

    def take(self, data: bytes) -> Iterator[BytesIO]:
        """Takes the next bytes in; the parts that are full, while more is known to follow."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise TooLargeError(f"{self._place}: over {self._max_bytes} bytes; nothing was kept")
        self._digest.update(data)
        view = memoryview(data)
        while view:
            room = self._part_bytes - self._pending.tell()
            if not room:
                full, self._pending = self._pending, BytesIO()
                yield full
            else:
                view = view[self._pending.write(view[:room]) :]

    def verify(self, sha256: bytes | None) -> None:
        """Refuses bytes that are not those announced."""
        if sha256 is not None and self.sha256 != sha256:
            raise DigestMismatchError(f"{self._place}: the bytes are not those that were announced; nothing was kept")

    def rest(self) -> BytesIO:
        """What is left: the last part, or the whole blob."""
        return self._pending


def checksum(data: BytesIO) -> str:
    """SHA-256 as S3 takes it, by which the server itself refuses bytes that were damaged on their way."""
    with data.getbuffer() as view:
        return base64.b64encode(hashlib.sha256(view).digest()).decode()


def body(data: BytesIO) -> BytesIO:
    """As it is sent, piece by piece: at once it would hold up all else meanwhile, and be in memory twice."""
    data.seek(0)
    return data
