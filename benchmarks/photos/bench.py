"""The same photos go into a store and, by a bare client, onto its server, a few at once, in turns."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from backends.postgres.blobs import PostgresBlobs
from backends.s3.blobs import S3Blobs
from backends.s3.clients import Clients
from backends.s3.embedded import EmbeddedS3
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.machine import Meter
from benchmarks.rounds import interleaved
from benchmarks.s3 import fresh_bucket, s3_server
from benchmarks.stage import Kind, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from backends.s3.clients import Client
    from benchmarks.rounds import Tell
    from broker.core.ports import BlobStore

    Put = Callable[[str, bytes], Awaitable[None]]

PHOTOS, PHOTO_BYTES = 1000, 60_000
AT_ONCE = 8
_MOST_BYTES = 1 << 24
_INSERT = """
INSERT INTO custody_blobs.blobs (place, version, size, sha256, chunk_count, data)
VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT DO NOTHING
"""


async def measure(stage: Stage, *, photos: int = PHOTOS, runs: int, tell: Tell) -> Result:
    """Puts so many photos in every run. The floors put the same bytes, with their SHA-256, unless something lies there.

    A bare client sends each in one request; the store first looks whether anything was ever put there.
    """
    async with s3_server() as server:
        turns = _Turns(stage=stage, server=server, photos=_photos(photos))
        sides = {
            "S3": {"store": turns.s3, "put_object": turns.bare_s3},
            "Postgres": {"store": turns.postgres, "INSERT": turns.bare_postgres},
        }
        comparisons = [
            Comparison(
                title=f"{photos:,} photos of {PHOTO_BYTES:,} bytes into {name}, {AT_ONCE} at once",
                subject="store",
                samples=await interleaved(f"photos, {name}", both, runs=runs, tell=tell),
            )
            for name, both in sides.items()
        ]
    parameters = {"photos": photos, "photo_bytes": PHOTO_BYTES, "at_once": AT_ONCE, "runs": runs}
    return Result(name="photos", parameters=parameters, comparisons=comparisons)


def put_into_s3(client: Client, bucket: str) -> Put:
    """Puts bytes in one request, unless something lies there."""

    async def put(place: str, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        await client.put_object(
            Bucket=bucket, Key=place, Body=data, IfNoneMatch="*", Metadata={"custody-sha256": digest}
        )

    return put


def put_into_postgres(pool: asyncpg.Pool[asyncpg.Record]) -> Put:
    """Puts bytes in one statement, unless something lies there."""

    async def put(place: str, data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        await pool.execute(_INSERT, place, uuid4(), len(data), digest, data)

    return put


def _photos(count: int) -> Sequence[bytes]:
    source = random.Random(1)
    return [source.randbytes(PHOTO_BYTES) for _ in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """Each turn has an empty bucket or database."""

    stage: Stage
    server: EmbeddedS3
    photos: Sequence[bytes]

    async def s3(self) -> Sample:
        at = await fresh_bucket(self.server)
        blobs = await S3Blobs.connect(at.options())
        try:
            return await self._timed(partial(_put, blobs))
        finally:
            await blobs.close()

    async def bare_s3(self) -> Sample:
        at = await fresh_bucket(self.server)
        clients = Clients(at.options())
        client = await clients.of(at.options().region)
        try:
            return await self._timed(put_into_s3(client, at.bucket))
        finally:
            await clients.close()

    async def postgres(self) -> Sample:
        async with self.stage.fresh(Kind.BLOBS) as place:
            blobs = await PostgresBlobs.connect(place.dsn)
            try:
                return await self._timed(partial(_put, blobs))
            finally:
                await blobs.close()

    async def bare_postgres(self) -> Sample:
        async with (
            self.stage.fresh(Kind.BLOBS) as at,
            asyncpg.create_pool(at.admin_dsn, min_size=AT_ONCE, max_size=AT_ONCE) as pool,
        ):
            return await self._timed(put_into_postgres(pool))

    async def _timed(self, put: Put) -> Sample:
        waiting = iter(enumerate(self.photos))

        async def hand() -> None:
            for number, photo in waiting:
                await put(f"acme/rec_{number}/1", photo)

        meter = Meter()
        await asyncio.gather(*(hand() for _ in range(AT_ONCE)))
        spent = meter.spent()
        return Sample.of(spent, {"photos": len(self.photos)}, data_bytes=sum(map(len, self.photos)))


async def _put(blobs: BlobStore, place: str, photo: bytes) -> None:
    await blobs.put(place, _once(photo), max_bytes=_MOST_BYTES)


async def _once(photo: bytes) -> AsyncIterator[bytes]:
    yield photo
