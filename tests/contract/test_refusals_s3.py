"""What S3 refuses, or gets lost on the way: nothing is lost, doubled or half visible, and errors say what to do."""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.s3.blobs import S3Blobs
from backends.s3.clients import ATTEMPTS
from backends.s3.options import LEAST_PART_BYTES, TenantBucket
from broker.core.errors import BlobsUnavailableError, DigestMismatchError, ObjectGoneError
from tests.contract.blob_store import PLENTY, pieces, some_bytes
from tests.contract.test_blobs_s3 import PLACE, opened, uploads, versions
from tests.s3_proxy import CANARY, Freezes, Proxy, Refuses, ResetsAnswer, ResetsRequest, Withholds, bad_connection
from tests.s3_servers import bare_client, bucket_name, fresh_bucket, private_s3, shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from backends.s3.options import S3Options
    from tests.s3_proxy import Asked
    from tests.s3_servers import SharedS3

SMALL = b"a photo"
NINE_PARTS = 8 * LEAST_PART_BYTES + 7
ALWAYS = 10**6
PATIENCE_SECONDS = 120


class Line:
    """A store behind a bad connection, and the same blobs by a good one."""

    def __init__(self, proxy: Proxy, blobs: S3Blobs, options: S3Options) -> None:
        self.proxy = proxy
        self.blobs = blobs
        self.options = options
        """Of the good connection."""

    async def put(self, data: bytes) -> bytes:
        """The digest that was acknowledged."""
        return (await self.blobs.put(PLACE, pieces(data, 1 << 20), max_bytes=PLENTY)).sha256

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.blobs.open(PLACE)])

    async def nothing_is_there(self) -> None:
        assert await versions(self.options) == []
        assert await uploads(self.options) == []

    async def it_is_there_once(self, data: bytes) -> None:
        assert len(await versions(self.options)) == 1
        assert await uploads(self.options) == []
        async with opened(self.options) as bench:
            assert b"".join([chunk async for chunk in bench.blobs.open(PLACE)]) == data


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def common_bucket(s3_server: SharedS3) -> S3Options:
    return await fresh_bucket(s3_server)


@asynccontextmanager
async def line_to(options: S3Options) -> AsyncIterator[Line]:
    assert options.endpoint is not None
    async with bad_connection(options.endpoint) as proxy:
        through = replace(options, endpoint=proxy.endpoint, connect_timeout_seconds=5, read_timeout_seconds=5)
        blobs = await S3Blobs.connect(through)
        try:
            yield Line(proxy, blobs, options)
        finally:
            await blobs.close()


@asynccontextmanager
async def impatient(line: Line) -> AsyncIterator[S3Blobs]:
    """The same store, which soon takes silence for an outage; what waits for ever all the same fails."""
    quick = replace(line.options, endpoint=line.proxy.endpoint, connect_timeout_seconds=1, read_timeout_seconds=0.5)
    async with opened(quick) as bench, asyncio.timeout(PATIENCE_SECONDS):
        assert isinstance(bench.blobs, S3Blobs)
        yield bench.blobs


@pytest_asyncio.fixture
async def line(common_bucket: S3Options) -> AsyncIterator[Line]:
    async with line_to(replace(common_bucket, prefix=bucket_name())) as found:
        yield found


def part_seven(asked: Asked) -> bool:
    return asked.is_part(7)


def makes_visible(asked: Asked) -> bool:
    return asked.is_put or asked.is_complete


async def test_a_reset_in_the_middle_of_part_seven_passes(line: Line) -> None:
    data = some_bytes(NINE_PARTS)
    line.proxy.fail(part_seven, ResetsRequest(after_bytes=LEAST_PART_BYTES // 2))
    assert await line.put(data) == hashlib.sha256(data).digest()
    assert line.proxy.befallen == 1
    await line.it_is_there_once(data)


async def test_resets_without_end_in_part_seven_leave_nothing(line: Line) -> None:
    line.proxy.fail(part_seven, ResetsRequest(after_bytes=LEAST_PART_BYTES // 2), times=ALWAYS)
    with pytest.raises(BlobsUnavailableError, match="try again later"):
        await line.put(some_bytes(NINE_PARTS))
    await line.nothing_is_there()
    line.proxy.heal()
    await line.put(SMALL)
    await line.it_is_there_once(SMALL)


@pytest.mark.parametrize("size", [7, 2 * LEAST_PART_BYTES])
async def test_slow_down_passes(line: Line, size: int) -> None:
    data = some_bytes(size)
    line.proxy.fail(makes_visible, Refuses(status=503, code="SlowDown"), times=2)
    await line.put(data)
    assert line.proxy.befallen == 2
    await line.it_is_there_once(data)


@pytest.mark.parametrize("size", [7, 2 * LEAST_PART_BYTES])
@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (503, "SlowDown", "slow down"),
        (500, "InternalError", "try again"),
        (403, "RequestTimeTooSkewed", "set this machine's clock"),
        (403, "AccessDenied", "login is refused"),
        (403, "InvalidAccessKeyId", "login is refused"),
        (403, "SignatureDoesNotMatch", "login is refused"),
        (400, "KMS.DisabledException", "CUSTODY_BLOBS__KMS_KEY"),
        (404, "NoSuchBucket", "custody init"),
        (400, "BadDigest", "damaged"),
    ],
)
async def test_a_refusal_leaves_nothing_and_says_what_to_do(
    line: Line, size: int, status: int, code: str, remedy: str
) -> None:
    data = some_bytes(size)
    line.proxy.fail(makes_visible, Refuses(status=status, code=code), times=ALWAYS)
    with pytest.raises(BlobsUnavailableError, match=remedy) as caught:
        await line.put(data)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    await line.nothing_is_there()
    line.proxy.heal()
    await line.put(data)
    await line.it_is_there_once(data)


async def test_a_refusal_to_read_is_told_apart_from_what_is_gone(line: Line) -> None:
    await line.put(SMALL)
    line.proxy.fail(lambda asked: asked.is_get, Refuses(status=403, code="AccessDenied"), times=ALWAYS)
    with pytest.raises(BlobsUnavailableError, match="login is refused") as caught:
        await line.read()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    line.proxy.heal()
    line.proxy.fail(lambda asked: asked.is_get, Refuses(status=404, code="NoSuchBucket"))
    with pytest.raises(BlobsUnavailableError, match="custody init"):
        await line.read()


@pytest.mark.parametrize("size", [7, 2 * LEAST_PART_BYTES])
async def test_a_blob_whose_acknowledgement_was_lost_is_known_again(line: Line, size: int) -> None:
    data = some_bytes(size)
    line.proxy.fail(makes_visible, ResetsAnswer())
    assert await line.put(data) == hashlib.sha256(data).digest()
    assert line.proxy.befallen == 1
    await line.it_is_there_once(data)


@pytest.mark.parametrize("size", [7, 2 * LEAST_PART_BYTES])
async def test_a_blob_all_of_whose_acknowledgements_were_lost_is_known_again(line: Line, size: int) -> None:
    data = some_bytes(size)
    line.proxy.fail(makes_visible, ResetsAnswer(), times=ALWAYS)
    assert await line.put(data) == hashlib.sha256(data).digest()
    await line.it_is_there_once(data)


async def test_of_concurrent_writers_the_409_is_no_proof_that_anything_is_there(line: Line) -> None:
    line.proxy.fail(makes_visible, Refuses(status=409, code="ConditionalRequestConflict"), times=ALWAYS)
    with pytest.raises(BlobsUnavailableError, match="another writer"):
        await line.put(SMALL)
    await line.nothing_is_there()


async def test_reading_goes_on_where_the_connection_broke(line: Line) -> None:
    data = some_bytes(3 * LEAST_PART_BYTES)
    await line.put(data)
    line.proxy.fail(lambda asked: asked.is_get, ResetsAnswer(after_bytes=1_000_000), times=5)
    assert await line.read() == data
    assert line.proxy.befallen == 5


async def test_what_breaks_again_and_again_does_not_pass_for_whole(line: Line) -> None:
    data = some_bytes(3 * LEAST_PART_BYTES)
    await line.put(data)
    line.proxy.fail(lambda asked: asked.is_get, ResetsAnswer(after_bytes=1_000_000))
    line.proxy.fail(lambda asked: asked.is_get, Freezes(after_bytes=0), times=ALWAYS)
    found = bytearray()
    async with impatient(line) as blobs:

        async def collect() -> None:
            async for chunk in blobs.open(PLACE):
                found.extend(chunk)

        with pytest.raises(BlobsUnavailableError, match="breaks again and again"):
            await collect()
    assert data.startswith(found)
    assert len(found) < len(data)


async def test_what_is_overwritten_while_it_is_read_is_read_to_its_end(line: Line) -> None:
    data = some_bytes(3 * LEAST_PART_BYTES)
    await line.put(data)
    line.proxy.fail(lambda asked: asked.is_get, ResetsAnswer(after_bytes=1_000_000))
    reading = line.blobs.open(PLACE)
    found = [await anext(reading)]
    await overwrite(line.options, data[::-1])
    assert b"".join([*found, *[chunk async for chunk in reading]]) == data


async def test_without_versions_what_is_overwritten_while_it_is_read_is_gone(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name())
    async with bare_client(options) as client:
        await client.create_bucket(Bucket=options.bucket)
    async with line_to(options) as line:
        data = some_bytes(3 * LEAST_PART_BYTES)
        await line.put(data)
        line.proxy.fail(lambda asked: asked.is_get, ResetsAnswer(after_bytes=1_000_000))
        reading = line.blobs.open(PLACE)
        await anext(reading)
        await overwrite(options, data[::-1])
        with pytest.raises(ObjectGoneError, match="another object"):
            assert [chunk async for chunk in reading]


async def overwrite(options: S3Options, data: bytes) -> None:
    """As somebody does who knows nothing of Custody."""
    at = options.locate(PLACE)
    async with bare_client(options) as client:
        await client.put_object(Bucket=at.bucket, Key=at.key, Body=data)


async def test_what_is_deleted_while_it_is_read_is_gone(line: Line) -> None:
    await line.put(some_bytes(3 * LEAST_PART_BYTES))
    line.proxy.fail(lambda asked: asked.is_get, ResetsAnswer(after_bytes=1_000_000))
    reading = line.blobs.open(PLACE)
    await anext(reading)
    at = line.options.locate(PLACE)
    async with bare_client(line.options) as client:
        [version] = await versions(line.options)
        await client.delete_object(Bucket=at.bucket, Key=at.key, VersionId=version)
    with pytest.raises(ObjectGoneError):
        assert [chunk async for chunk in reading]


async def test_bytes_that_are_not_those_that_were_put_do_not_pass(line: Line) -> None:
    at = line.options.locate(PLACE)
    async with bare_client(line.options) as client:
        wrong = {"custody-sha256": hashlib.sha256(b"others").hexdigest()}
        await client.put_object(Bucket=at.bucket, Key=at.key, Body=SMALL, Metadata=wrong)
    with pytest.raises(DigestMismatchError):
        await line.read()


@pytest.mark.parametrize(
    ("whom", "size"),
    [
        (lambda asked: asked.is_listing, 7),
        (lambda asked: asked.is_put, 7),
        (lambda asked: asked.is_begin, 2 * LEAST_PART_BYTES),
        (lambda asked: asked.is_part(2), 2 * LEAST_PART_BYTES),
        (lambda asked: asked.is_complete, 2 * LEAST_PART_BYTES),
    ],
    ids=["looking", "put", "begin", "part", "complete"],
)
async def test_silence_at_any_step_is_an_outage_and_leaves_nothing(
    line: Line, whom: Callable[[Asked], bool], size: int
) -> None:
    data = some_bytes(size)
    async with impatient(line) as blobs:
        line.proxy.fail(whom, Freezes(), times=ALWAYS)
        with pytest.raises(BlobsUnavailableError, match="try again later"):
            await blobs.put(PLACE, pieces(data), max_bytes=PLENTY)
        assert line.proxy.befallen == ATTEMPTS
        await line.nothing_is_there()
        line.proxy.heal()
        await blobs.put(PLACE, pieces(data), max_bytes=PLENTY)
    await line.it_is_there_once(data)


@pytest.mark.parametrize("size", [7, 2 * LEAST_PART_BYTES])
async def test_what_was_put_though_the_server_never_said_so_is_known_again(line: Line, size: int) -> None:
    data = some_bytes(size)
    async with impatient(line) as blobs:
        line.proxy.fail(makes_visible, Withholds())
        assert (await blobs.put(PLACE, pieces(data), max_bytes=PLENTY)).sha256 == hashlib.sha256(data).digest()
        assert line.proxy.befallen == 1
    await line.it_is_there_once(data)


async def test_reading_goes_on_where_the_server_fell_silent(line: Line) -> None:
    data = some_bytes(3 * LEAST_PART_BYTES)
    await line.put(data)
    async with impatient(line) as blobs:
        line.proxy.fail(lambda asked: asked.is_get, Freezes(after_bytes=1_000_000), times=2)
        assert b"".join([chunk async for chunk in blobs.open(PLACE)]) == data
        assert line.proxy.befallen == 2


async def test_a_silent_server_does_not_answer_a_ping(line: Line) -> None:
    async with impatient(line) as blobs:
        line.proxy.fail(lambda asked: asked.method == "HEAD", Freezes(), times=ALWAYS)
        with pytest.raises(BlobsUnavailableError):
            await blobs.ping()


async def test_without_its_bucket_the_store_says_so(s3_server: SharedS3) -> None:
    with pytest.raises(BlobsUnavailableError, match="custody init"):
        await S3Blobs.connect(s3_server.options(bucket_name()))


async def test_a_blob_in_a_tenants_missing_bucket_is_not_said_to_be_absent(common_bucket: S3Options) -> None:
    lacking = replace(common_bucket, tenant_buckets={"acme": TenantBucket(bucket=bucket_name())})
    async with opened(lacking) as bench:
        with pytest.raises(BlobsUnavailableError, match="custody init"):
            await bench.blobs.stat(PLACE)
        with pytest.raises(BlobsUnavailableError, match="custody init"):
            await bench.blobs.put(PLACE, pieces(SMALL), max_bytes=PLENTY)


async def test_a_killed_server_keeps_what_it_acknowledged_and_nothing_half() -> None:
    async with private_s3() as server:
        options = replace(await fresh_bucket(shared(server)), connect_timeout_seconds=2, read_timeout_seconds=5)
        kept = some_bytes(2 * LEAST_PART_BYTES)
        async with opened(options) as bench:
            await bench.blobs.put("acme/rec_kept/1", pieces(kept), max_bytes=PLENTY)

            async def cut_off() -> AsyncIterator[bytes]:
                yield some_bytes(2 * LEAST_PART_BYTES + 1)
                await server.kill()
                yield some_bytes(LEAST_PART_BYTES)

            with pytest.raises(BlobsUnavailableError):
                await bench.blobs.put(PLACE, cut_off(), max_bytes=PLENTY)
            await server.restart()
            assert await bench.blobs.stat(PLACE) is None
            assert b"".join([chunk async for chunk in bench.blobs.open("acme/rec_kept/1")]) == kept
            await bench.blobs.put(PLACE, pieces(kept), max_bytes=PLENTY)
        assert len(await versions(options)) == 1
