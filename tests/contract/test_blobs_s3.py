"""The blob store on S3 keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.s3.blobs import S3Blobs
from tests.contract.blob_store import BlobBench, BlobContract
from tests.s3_servers import SharedS3, fresh_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backends.s3.options import S3Options
    from broker.core.ports import BlobStore


@dataclass
class S3BlobBench:
    """`chunk_bytes` is what a blob may have at most to go up by one request."""

    blobs: BlobStore
    chunk_bytes: int
    options: S3Options


@pytest_asyncio.fixture
async def bench(s3_server: SharedS3) -> AsyncIterator[S3BlobBench]:
    options = await fresh_bucket(s3_server)
    blobs = await S3Blobs.connect(options)
    yield S3BlobBench(blobs, options.part_bytes, options)
    await blobs.close()


class TestS3Blobs(BlobContract):
    pass


def _is_bench(bench: S3BlobBench) -> BlobBench:
    return bench
