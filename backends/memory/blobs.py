"""The blob store in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.errors import BlobExistsError, DigestMismatchError, ObjectGoneError, TooLargeError
from broker.core.ports import BlobInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK_BYTES = 1024


@dataclass(slots=True)
class MemoryBlobs:
    """See `BlobStore`. `data` is by place."""

    data: dict[str, bytes] = field(default_factory=dict)

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        self._refuse_taken(place)
        data = bytearray()
        async for chunk in chunks:
            data += chunk
            if len(data) > max_bytes:
                raise TooLargeError(f"{place}: over {max_bytes} bytes; nothing was kept")
        if sha256 is not None and hashlib.sha256(data).digest() != sha256:
            raise DigestMismatchError(f"{place}: the bytes are not those that were announced; nothing was kept")
        self._refuse_taken(place)  # another may have been faster
        self.data[place] = bytes(data)
        return _info(place, self.data[place])

    async def stat(self, place: str) -> BlobInfo | None:
        return _info(place, self.data[place]) if place in self.data else None

    async def open(self, place: str) -> AsyncIterator[bytes]:
        if place not in self.data:
            raise ObjectGoneError(f"{place}: no blob lies there")
        data = self.data[place]
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]

    async def ping(self) -> None:
        """Memory answers."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _refuse_taken(self, place: str) -> None:
        if place in self.data:
            raise BlobExistsError(f"{place}: a blob lies there already, and blobs are written once")


def _info(place: str, data: bytes) -> BlobInfo:
    return BlobInfo(place=place, size=len(data), sha256=hashlib.sha256(data).digest(), version="1")
