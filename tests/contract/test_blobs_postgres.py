"""The blob store on Postgres keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.postgres.blobs import CHUNK_BYTES, PostgresBlobs
from broker.core.ports import BlobStore
from tests.contract.blob_store import BlobBench, BlobContract
from tests.stores import as_writer, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers import SharedPostgres


@dataclass
class PostgresBlobBench:
    blobs: BlobStore
    chunk_bytes: int = CHUNK_BYTES


@pytest_asyncio.fixture
async def bench(postgres_server: SharedPostgres) -> AsyncIterator[BlobBench]:
    async with store_database(postgres_server) as dsn:
        blobs = await PostgresBlobs.connect(as_writer(dsn))
        yield PostgresBlobBench(blobs)
        await blobs.close()


class TestPostgresBlobs(BlobContract):
    pass
