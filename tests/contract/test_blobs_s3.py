"""The blob store on S3 keeps every promise of the suite, and a few that only S3 asks for."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.s3.blobs import S3Blobs
from backends.s3.objects import DIGEST, WRITE
from backends.s3.options import MIB, S3Login, S3Options, TenantBucket
from broker.core.errors import BlobExistsError, BlobsUnavailableError, ObjectGoneError
from broker.core.ports import BlobInfo, BlobStore
from tests.contract.blob_store import PLENTY, BlobContract, pieces, put, put_in_turn, read, some_bytes
from tests.s3_servers import SharedS3, bare_client, bucket_name, fresh_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PLACE = "acme/rec_a/1"


@dataclass
class S3BlobBench:
    """`chunk_bytes` is what a blob may have at most to go up by one request."""

    blobs: BlobStore
    chunk_bytes: int
    options: S3Options


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def common_bucket(s3_server: SharedS3) -> S3Options:
    return await fresh_bucket(s3_server)


@asynccontextmanager
async def opened(options: S3Options) -> AsyncIterator[S3BlobBench]:
    blobs = await S3Blobs.connect(options)
    try:
        yield S3BlobBench(blobs, options.part_bytes, options)
    finally:
        await blobs.close()


@pytest_asyncio.fixture
async def bench(common_bucket: S3Options) -> AsyncIterator[S3BlobBench]:
    async with opened(replace(common_bucket, prefix=bucket_name())) as found:
        yield found


class TestS3Blobs(BlobContract):
    pass


async def uploads(options: S3Options) -> list[str]:
    async with bare_client(options) as client:
        page = await client.list_multipart_uploads(Bucket=options.bucket, Prefix=options.prefix)
    return [one["Key"] for one in page.get("Uploads", ())]


async def versions(options: S3Options, place: str = PLACE) -> list[str]:
    at = options.locate(place)
    async with bare_client(options) as client:
        page = await client.list_object_versions(Bucket=at.bucket, Prefix=at.key)
    return [one["VersionId"] for one in page.get("Versions", ())]


async def test_a_document_of_a_hundred_megabytes_takes_little_memory(common_bucket: S3Options) -> None:
    piece, count = os.urandom(64 * 1024), 1600

    async def document() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(piece)

    digest = hashlib.sha256()
    async with opened(replace(common_bucket, part_bytes=8 * MIB, prefix=bucket_name())) as bench:
        tracemalloc.start()
        try:
            info = await bench.blobs.put(PLACE, document(), max_bytes=1 << 30)
            async for chunk in bench.blobs.open(PLACE):
                digest.update(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert info.size == count * len(piece) == 104_857_600
    assert digest.digest() == info.sha256
    assert peak < 64 * MIB


@pytest.mark.parametrize("chunks", [0, 2])
async def test_a_blob_below_a_delete_marker_is_not_put_again(bench: S3BlobBench, chunks: int) -> None:
    await put(bench, some_bytes(chunks * bench.chunk_bytes + 1))
    at = bench.options.locate(PLACE)
    async with bare_client(bench.options) as client:
        await client.delete_object(Bucket=at.bucket, Key=at.key)
    assert await bench.blobs.stat(PLACE) is None
    with pytest.raises(ObjectGoneError):
        await read(bench)
    with pytest.raises(BlobExistsError):
        await put(bench, b"another")
    assert len(await versions(bench.options)) == 1


async def test_a_place_is_not_taken_by_one_that_begins_alike(bench: S3BlobBench) -> None:
    await put(bench, b"ten", "acme/rec_a/10")
    await put(bench, b"one", "acme/rec_a/1")
    assert await read(bench) == b"one"


async def test_the_version_is_the_servers(bench: S3BlobBench) -> None:
    info = await put(bench, some_bytes(2 * bench.chunk_bytes))
    assert await versions(bench.options) == [info.version]


async def test_without_versions_there_is_a_version_still(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name())
    async with bare_client(options) as client:
        await client.create_bucket(Bucket=options.bucket)
    async with opened(options) as bench:
        info = await put(bench, b"data")
        assert info.version
        assert await bench.blobs.stat(PLACE) == info


async def test_of_writers_at_one_place_there_is_one_version_and_no_part(bench: S3BlobBench) -> None:
    first, *others = await put_in_turn(bench.blobs, [some_bytes(2 * bench.chunk_bytes + 1)] * 3)
    assert isinstance(first, BlobInfo)
    assert [type(one) for one in others] == [BlobExistsError] * 2
    assert await versions(bench.options) == [first.version]
    assert await uploads(bench.options) == []


async def test_a_writer_that_is_cancelled_leaves_no_part(bench: S3BlobBench) -> None:
    halfway = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield some_bytes(2 * bench.chunk_bytes + 1)
        halfway.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(bench.blobs.put(PLACE, slow(), max_bytes=PLENTY))
    await halfway.wait()
    assert len(await uploads(bench.options)) == 1
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await uploads(bench.options) == []


async def test_uploads_that_a_dead_writer_left_are_swept_after_a_day(bench: S3BlobBench) -> None:
    at = bench.options.locate("acme/rec_b/1")
    async with bare_client(bench.options) as client:
        await client.create_multipart_upload(Bucket=at.bucket, Key=at.key)
    await put(bench, b"today", "acme/rec_c/1")
    await _settled(bench)
    assert len(await uploads(bench.options)) == 1
    later = await S3Blobs.connect(bench.options, clock=lambda: datetime.now(UTC) + timedelta(days=1, seconds=5))
    await put(replace(bench, blobs=later), b"tomorrow", "acme/rec_d/1")
    await _settled(replace(bench, blobs=later))
    assert await uploads(bench.options) == []
    await later.close()


async def _settled(bench: S3BlobBench) -> None:
    assert isinstance(bench.blobs, S3Blobs)
    assert bench.blobs._sweep is not None
    await bench.blobs._sweep


@pytest.mark.parametrize("announced", [True, False])
async def test_the_digest_is_with_the_object(bench: S3BlobBench, announced: bool) -> None:
    data = some_bytes(2 * bench.chunk_bytes)
    digest = hashlib.sha256(data)
    given = digest.digest() if announced else None
    await bench.blobs.put(PLACE, pieces(data), max_bytes=PLENTY, sha256=given)
    at = bench.options.locate(PLACE)
    async with bare_client(bench.options) as client:
        head = await client.head_object(Bucket=at.bucket, Key=at.key)
        tags = await client.get_object_tagging(Bucket=at.bucket, Key=at.key)
    noted = head["Metadata"].get(DIGEST) or {one["Key"]: one["Value"] for one in tags["TagSet"]}[DIGEST]
    assert noted == digest.hexdigest()


async def test_a_digest_that_nobody_noted_is_found_out(bench: S3BlobBench) -> None:
    at = bench.options.locate(PLACE)
    async with bare_client(bench.options) as client:
        await client.put_object(Bucket=at.bucket, Key=at.key, Body=b"by hand")
    info = await bench.blobs.stat(PLACE)
    assert info is not None
    assert info.sha256 == hashlib.sha256(b"by hand").digest()


async def test_a_tenant_may_have_a_bucket_of_its_own(s3_server: SharedS3) -> None:
    own = TenantBucket(bucket=bucket_name(), region="eu-central-1", prefix="whatsapp")
    options = await fresh_bucket(s3_server, tenant_buckets={"acme": own})
    async with opened(options) as bench:
        for tenant in ("acme", "other"):
            await put(bench, tenant.encode(), f"{tenant}/rec_a/1")
            assert await read(bench, f"{tenant}/rec_a/1") == tenant.encode()
    async with bare_client(options) as client:
        keys = {
            bucket: [one["Key"] for one in (await client.list_objects_v2(Bucket=bucket))["Contents"]]
            for bucket in (own.bucket, options.bucket)
        }
    assert keys == {own.bucket: ["whatsapp/acme/rec_a/1"], options.bucket: ["other/rec_a/1"]}


@pytest.mark.parametrize("chunks", [0, 2])
async def test_a_blob_is_locked_held_and_encrypted_as_wanted(s3_server: SharedS3, chunks: int) -> None:
    more = {"lock_mode": "governance", "lock_days": 2, "legal_hold": True, "sse": "AES256"}
    options = await fresh_bucket(s3_server, **more)
    async with opened(options) as bench:
        await put(bench, some_bytes(chunks * bench.chunk_bytes + 1))
    at = options.locate(PLACE)
    async with bare_client(options) as client:
        head = await client.head_object(Bucket=at.bucket, Key=at.key)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            await client.delete_object(Bucket=at.bucket, Key=at.key, VersionId=head["VersionId"])
    assert (head["ObjectLockMode"], head["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=1, hours=23)
    assert head["ServerSideEncryption"] == "AES256"


async def test_a_renewed_key_is_found_without_a_restart(common_bucket: S3Options) -> None:
    assert isinstance(common_bucket.secret_key, str)
    right = S3Login(access_key=common_bucket.access_key or "", secret_key=common_bucket.secret_key)
    logins = [right]
    options = replace(common_bucket, prefix=bucket_name(), credentials=lambda: logins[-1])
    async with opened(options) as bench:
        logins.append(replace(right, secret_key="revoked"))
        with pytest.raises(BlobsUnavailableError, match="login is refused"):
            await put(bench, b"data")
        logins.append(right)
        await put(bench, b"data")
        assert await read(bench) == b"data"


async def test_neither_keys_nor_bytes_are_shown(bench: S3BlobBench, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(bench.options.secret_key, str)
    with caplog.at_level(logging.DEBUG):
        await put(bench, b"canary-4915901234567")
        assert await read(bench)
    shown = caplog.text + repr(bench.blobs) + repr(bench.options)
    assert bench.options.secret_key not in shown
    assert "canary" not in shown
    assert "Signature" not in shown
    assert WRITE not in shown
