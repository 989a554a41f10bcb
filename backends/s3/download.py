"""One blob on its way down: a stream that goes on where it broke, and passes for whole only if it is."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from backends.s3.errors import DRIVER_ERRORS, AbsentError, TakenError, gone, guarded
from backends.s3.objects import digest_in, pinned, target
from broker.core.errors import BlobsUnavailableError, DigestMismatchError, ObjectGoneError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from backends.s3.clients import Client
    from backends.s3.options import Location

CHUNK_BYTES = 1024 * 1024
_BREAKS = 3
"""So often in a row a stream may break without a byte in between."""


async def stream(client: Client, at: Location) -> AsyncGenerator[bytes]:
    """The blob's bytes, in chunks of at most CHUNK_BYTES.

    ObjectGoneError: nothing lies there, or no longer what lay there first. DigestMismatchError, at the end: they are
    not the bytes that were put.
    """
    answer = await _get(client, at, {})
    size, first, breaks, done = int(answer["ContentLength"]), answer, 0, 0
    digest = hashlib.sha256()
    while True:
        async with aclosing(_chunks(answer)) as chunks:
            async for chunk in chunks:
                done, breaks = done + len(chunk), 0
                digest.update(chunk)
                yield chunk
        if done >= size:
            break
        breaks += 1
        if breaks > _BREAKS:
            raise BlobsUnavailableError(f"{at.place}: the connection breaks again and again; try again later")
        answer = await _get(client, at, {"Range": f"bytes={done}-", **pinned(first)})
    wanted = digest_in(first)
    if done != size or (wanted is not None and digest.digest() != wanted):
        raise DigestMismatchError(f"{at.place}: the bytes are not those that were put there; restore the blob")


async def _get(client: Client, at: Location, more: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        return await guarded(client.get_object(**target(at), **more), at.bucket)
    except AbsentError:
        raise gone(at.place) from None
    except TakenError:
        raise ObjectGoneError(f"{at.place}: another object lies there now than when reading began") from None


async def _chunks(answer: Mapping[str, Any]) -> AsyncGenerator[bytes]:
    """What comes until the stream ends or breaks."""
    body = answer["Body"]
    try:
        while chunk := await _next(body):
            yield chunk
    finally:
        body.close()


async def _next(body: Any) -> bytes:  # noqa: ANN401 - aiobotocore ships no types
    try:
        chunk: bytes = await body.read(CHUNK_BYTES)
    except DRIVER_ERRORS:
        return b""
    return chunk
