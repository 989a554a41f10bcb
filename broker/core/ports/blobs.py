"""The blob store: S3, Postgres, memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInfo:
    """A blob as kept: its size, SHA-256 (32 bytes) and the version the store gave it."""

    place: str
    size: int
    sha256: bytes = field(repr=False)
    version: str


class BlobStore(Protocol):
    """The PAS's blobs: S3, Postgres, memory. Written once, never visible by half, not deleted by its writers."""

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        """Streams a blob in; durable on return, in memory bounded by a chunk.

        `TooLargeError`, `DigestMismatchError` (against `sha256`), `BlobExistsError`, and whatever `chunks` raises:
        nothing is visible. `BlobsUnavailableError`: nothing is visible; try again.
        """
        ...

    async def stat(self, place: str) -> BlobInfo | None:
        """What lies there, or None."""
        ...

    def open(self, place: str) -> AsyncIterator[bytes]:
        """Streams a blob out. `ObjectGoneError` when nothing lies there."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers; `BlobsUnavailableError` when not."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


OpenBlobs = Callable[[], Awaitable[BlobStore]]
"""Opens the blob store, once, when it is first needed. `BlobsUnavailableError`: not now; ask again."""
