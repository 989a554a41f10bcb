"""One blob from one store to another, streamed, its digest checked; no faster than wanted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.core.errors import BlobExistsError, DigestMismatchError, ObjectGoneError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.core.parity import Blob
    from broker.core.ports import BlobInfo, BlobStore

THERE, COPIED = "there", "copied"
MISSING, ALTERED, DIFFERS = "missing_left", "altered_left", "differs"


@dataclass(slots=True)
class Throttle:
    """No more bytes than so many in a second, on average; None for as fast as it goes."""

    bytes_per_second: float | None = None
    free_at: float = 0.0

    async def take(self, size: int) -> None:
        """Waits until so many bytes more may go."""
        if self.bytes_per_second is None:
            return
        now = time.monotonic()
        begins = max(self.free_at, now)
        self.free_at = begins + size / self.bytes_per_second
        if begins > now:
            await asyncio.sleep(begins - now)

    async def slowed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A stream's chunks, each when it may go."""
        async for chunk in chunks:
            await self.take(len(chunk))
            yield chunk


async def copy_blob(left: BlobStore, right: BlobStore, blob: Blob, throttle: Throttle) -> str:
    """Copies a blob that the right store lacks; what became of it.

    `there` and `copied` are well; `missing_left` and `altered_left` say that the left store no longer has what it kept,
    `differs` that another blob lies at that place of the right one. Nothing is overwritten.
    """
    found = await right.stat(blob.place)
    if found is not None:
        return _standing(found, blob)
    try:
        chunks = throttle.slowed(left.open(blob.place))
        await right.put(blob.place, chunks, max_bytes=blob.size, sha256=blob.sha256)
    except ObjectGoneError:
        return MISSING
    except (DigestMismatchError, TooLargeError):
        return ALTERED
    except BlobExistsError:  # another was faster
        found = await right.stat(blob.place)
        return DIFFERS if found is None else _standing(found, blob)
    return COPIED


def _standing(found: BlobInfo, blob: Blob) -> str:
    return THERE if (found.size, found.sha256) == (blob.size, blob.sha256) else DIFFERS
