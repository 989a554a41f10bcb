"""The blob store on S3: a small blob by one request, a large one in parts, each written once."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from backends.s3.clients import Clients
from backends.s3.download import CHUNK_BYTES, stream
from backends.s3.errors import AbsentError, guarded, missing_bucket
from backends.s3.leftovers import sweep_uploads
from backends.s3.objects import digest_among, digest_in, info, protection, same_version, target
from backends.s3.parts import Parts
from backends.s3.presence import is_taken
from backends.s3.upload import Upload, exists
from broker.core.errors import BlobsUnavailableError
from broker.core.ports import BlobInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from uuid import UUID

    from backends.s3.clients import Client
    from backends.s3.options import Location, S3Options
    from broker.core.ports import Clock

__all__ = ["CHUNK_BYTES", "S3Blobs"]

_SWEEP_EVERY = timedelta(days=1)


class S3Blobs:
    """See `BlobStore`. `writes` names each attempt at writing, so that its own blob is known again."""

    def __init__(self, options: S3Options, *, clock: Clock, writes: Callable[[], UUID]) -> None:
        self._options = options
        self._clock = clock
        self._writes = writes
        self._clients = Clients(options)
        self._swept_at: datetime | None = None
        self._sweep: asyncio.Task[None] | None = None
        self._abandoning: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        options: S3Options,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        writes: Callable[[], UUID] = uuid4,
    ) -> Self:
        """A store that answers. `BlobsUnavailableError`: it does not, or its bucket is missing."""
        store = cls(options, clock=clock, writes=writes)
        try:
            await store.ping()
        except BaseException:
            await store.close()
            raise
        return store

    def __repr__(self) -> str:
        return f"S3Blobs({self._options!r})"

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        at = self._options.locate(place)
        client = await self._clients.of(at.region)
        if await is_taken(client, at):
            raise exists(at)
        self._sweep_when_due()
        parts = Parts(place=place, max_bytes=max_bytes, part_bytes=self._options.part_bytes_for(max_bytes))
        upload = self._upload(client, at, sha256)
        try:
            async for data in chunks:
                for part in parts.take(data):
                    await upload.send(part)
            parts.verify(sha256)
            version = await upload.finish(parts.rest(), parts.sha256)
        except BaseException:
            await self._abandon(upload)
            raise
        return BlobInfo(place=place, size=parts.size, sha256=parts.sha256, version=version)

    async def stat(self, place: str) -> BlobInfo | None:
        at = self._options.locate(place)
        client = await self._clients.of(at.region)
        try:
            found = await guarded(client.head_object(**target(at)), at.bucket)
        except AbsentError:
            await self._head_bucket(at.region, at.bucket)  # a bucket that is missing gets the same answer
            return None
        digest = digest_in(found) or await _tagged(client, at, found) or await _digested(client, at)
        return info(at, found, digest)

    async def open(self, place: str) -> AsyncIterator[bytes]:
        at = self._options.locate(place)
        async with aclosing(stream(await self._clients.of(at.region), at)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def ping(self) -> None:
        await self._head_bucket(self._options.region, self._options.bucket)

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            await asyncio.gather(self._sweep, return_exceptions=True)
        await asyncio.gather(*self._abandoning, return_exceptions=True)
        await self._clients.close()

    def _upload(self, client: Client, at: Location, sha256: bytes | None) -> Upload:
        wanted = protection(self._options, self._clock())
        return Upload(client, at, write=str(self._writes()), announced=sha256, protection=wanted)

    async def _abandon(self, upload: Upload) -> None:
        """To the end, also when cancelled: parts that nobody completes are paid for, and shown to nobody."""
        task = asyncio.create_task(upload.abandon())
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)
        await asyncio.shield(task)

    async def _head_bucket(self, region: str, bucket: str) -> None:
        client = await self._clients.of(region)
        try:
            await guarded(client.head_bucket(Bucket=bucket), bucket)
        except AbsentError:
            raise missing_bucket(bucket) from None

    def _sweep_when_due(self) -> None:
        now = self._clock()
        if self._swept_at is None or now - self._swept_at > _SWEEP_EVERY:
            self._swept_at = now
            self._sweep = asyncio.create_task(self._sweep_all(now))

    async def _sweep_all(self, now: datetime) -> None:
        for home in self._options.homes():
            with suppress(BlobsUnavailableError, AbsentError):  # the next time will do
                await sweep_uploads(await self._clients.of(home.region or self._options.region), home, now)


async def _tagged(client: Client, at: Location, found: Mapping[str, Any]) -> bytes | None:
    with suppress(BlobsUnavailableError, AbsentError):
        return digest_among(await guarded(client.get_object_tagging(**target(at), **same_version(found)), at.bucket))
    return None


async def _digested(client: Client, at: Location) -> bytes:
    """The digest of a blob that nobody noted it for: put by hand, or by a writer that ended right after."""
    digest = hashlib.sha256()
    async with aclosing(stream(client, at)) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
    return digest.digest()
