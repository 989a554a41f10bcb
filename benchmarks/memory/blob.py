"""A large document into the blob store and out of it again, and what memory that took."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.postgres.blobs import PostgresBlobs
from backends.s3.blobs import S3Blobs
from benchmarks.digests import NotTheSameError
from benchmarks.machine import Meter, Spent
from benchmarks.s3 import S3At

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.child import Orders
    from broker.core.ports import BlobStore

MEBIBYTE = 2**20
_PIECE_BYTES = 64 * 1024  # about what arrives from a socket at once
_WARM_UP_BYTES = _PIECE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobOrders:
    """Put a document of so many bytes, and read it: on S3 where that is given, else on Postgres."""

    size_bytes: int
    dsn: str = field(default="", repr=False)
    s3: S3At | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobOutcome:
    """What it took on the way in and out; `before` is after a small one, so that what is loaded once is loaded."""

    before: Spent
    way_in: Spent
    way_out: Spent


async def main(orders: Orders) -> None:
    """Answers with a `BlobOutcome`."""
    wanted = await orders.next(BlobOrders)
    blobs: PostgresBlobs | S3Blobs
    if wanted.s3 is None:
        blobs = await PostgresBlobs.connect(wanted.dsn)
    else:
        blobs = await S3Blobs.connect(wanted.s3.options())
    await _round_trip(blobs, "bench/small/1", _WARM_UP_BYTES)
    before = Meter().spent()
    way_in, way_out = await _round_trip(blobs, "bench/large/1", wanted.size_bytes)
    orders.answer(BlobOutcome(before=before, way_in=way_in, way_out=way_out))
    await blobs.close()


async def _round_trip(blobs: BlobStore, place: str, size_bytes: int) -> tuple[Spent, Spent]:
    meter = Meter()
    kept = await blobs.put(place, _pieces(size_bytes), max_bytes=size_bytes)
    way_in, meter = meter.spent(), Meter()
    digest = hashlib.sha256()
    async for chunk in blobs.open(place):
        digest.update(chunk)
    if digest.digest() != kept.sha256 or kept.size != size_bytes:
        raise NotTheSameError(f"{place}: what came out is not what went in")
    return way_in, meter.spent()


async def _pieces(size_bytes: int) -> AsyncIterator[bytes]:
    source = random.Random(size_bytes)
    for first in range(0, size_bytes, _PIECE_BYTES):
        yield source.randbytes(min(_PIECE_BYTES, size_bytes - first))
