"""The blob store on Postgres keeps every promise of the suite."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.postgres.blobs import CHUNK_BYTES, PostgresBlobs
from backends.postgres.connections import PostgresOptions
from broker.core.errors import BlobExistsError, ObjectGoneError
from broker.core.ports import BlobStore
from tests.contract.blob_store import BlobBench, BlobContract, pieces, put, read, some_bytes
from tests.stores import as_writer, execute, store_database

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


@pytest.mark.parametrize("chunks", [0, 3])
async def test_of_writers_that_end_at_once_one_wins(bench: BlobBench, chunks: int) -> None:
    datas = [bytes([number]) + some_bytes(chunks * CHUNK_BYTES) for number in range(4)]
    results = await asyncio.gather(*(put(bench, one) for one in datas), return_exceptions=True)
    winners = [data for data, result in zip(datas, results, strict=True) if not isinstance(result, Exception)]
    assert [type(one) for one in results if isinstance(one, Exception)] == [BlobExistsError] * 3
    assert await read(bench) == winners[0]


async def test_a_document_of_a_hundred_megabytes_takes_little_memory(bench: BlobBench) -> None:
    piece, count = os.urandom(64 * 1024), 1600

    async def document() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(piece)

    digest = hashlib.sha256()
    tracemalloc.start()
    try:
        info = await bench.blobs.put("acme/rec_a/1", document(), max_bytes=1 << 30)
        async for chunk in bench.blobs.open("acme/rec_a/1"):
            digest.update(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert info.size == count * len(piece) == 104_857_600
    assert digest.digest() == info.sha256
    assert peak < 16 * CHUNK_BYTES


async def test_a_blob_that_lost_a_chunk_by_hand_does_not_pass_for_whole(postgres_server: SharedPostgres) -> None:
    async with store_database(postgres_server) as dsn:
        blobs = await PostgresBlobs.connect(as_writer(dsn))
        await blobs.put("acme/rec_a/1", pieces(some_bytes(3 * CHUNK_BYTES)), max_bytes=1 << 30)
        await execute(dsn, "DELETE FROM custody_blobs.chunks WHERE number = 2")
        with pytest.raises(ObjectGoneError):
            assert [chunk async for chunk in blobs.open("acme/rec_a/1")]
        await blobs.close()


async def test_blobs_being_fetched_slowly_hold_no_connection_while_they_are_small(
    postgres_server: SharedPostgres,
) -> None:
    async with store_database(postgres_server) as dsn:
        blobs = await PostgresBlobs.connect(as_writer(dsn), options=PostgresOptions(connections=1))
        everyone_began, began = asyncio.Event(), 0

        async def slow() -> AsyncIterator[bytes]:
            nonlocal began
            began += 1
            if began == 5:
                everyone_began.set()
            await everyone_began.wait()
            yield b"data"

        async with asyncio.timeout(30):
            await asyncio.gather(*(blobs.put(f"acme/rec_a/{n}", slow(), max_bytes=10) for n in range(5)))
        await blobs.close()
