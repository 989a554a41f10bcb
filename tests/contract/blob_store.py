"""What every blob store promises: written once, checked, never visible by half, streamed in bounded memory."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Protocol

import pytest

from broker.core.errors import BlobExistsError, DigestMismatchError, ObjectGoneError, TooLargeError
from broker.core.ports import BlobInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from broker.core.ports import BlobStore

PLACE = "acme/rec_a/1"
PLENTY = 1 << 30


class BlobBench(Protocol):
    """A store, and the size of its chunks."""

    @property
    def blobs(self) -> BlobStore: ...

    @property
    def chunk_bytes(self) -> int: ...


async def pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """Data as a provider would send it."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(bench: BlobBench, data: bytes, place: str = PLACE, *, size: int = 10_000) -> BlobInfo:
    return await bench.blobs.put(place, pieces(data, size), max_bytes=PLENTY)


async def put_in_turn(blobs: BlobStore, datas: Sequence[bytes]) -> list[BlobInfo | BaseException]:
    """Writers at one place which are all under way before the first ends; then one ends after another."""
    begun, turns = [[asyncio.Event() for _ in datas] for _ in range(2)]

    async def source(number: int) -> AsyncIterator[bytes]:
        yield datas[number]
        begun[number].set()
        await turns[number].wait()

    writers = [asyncio.create_task(blobs.put(PLACE, source(one), max_bytes=PLENTY)) for one in range(len(datas))]
    await asyncio.gather(*(one.wait() for one in begun))
    results: list[BlobInfo | BaseException] = []
    for turn, writer in zip(turns, writers, strict=True):
        turn.set()
        results += await asyncio.gather(writer, return_exceptions=True)
    return results


async def read(bench: BlobBench, place: str = PLACE) -> bytes:
    return b"".join([chunk async for chunk in bench.blobs.open(place)])


def some_bytes(count: int) -> bytes:
    """Bytes that differ from chunk to chunk."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-count // 4)))[:count]


class SourceFailedError(Exception):
    """Whatever a source may raise."""


class BlobContract:
    """Into the store and out again."""

    @pytest.mark.parametrize(
        ("chunks", "more"), [(0, 0), (0, 1), (0, 1000), (1, -1), (1, 0), (1, 1), (2, 0), (2, 7), (3, -1), (3, 0)]
    )
    @pytest.mark.parametrize("piece", [1000, 70_000, 1 << 24])
    async def test_bytes_come_out_as_they_went_in(self, bench: BlobBench, chunks: int, more: int, piece: int) -> None:
        data = some_bytes(chunks * bench.chunk_bytes + more)
        info = await put(bench, data, size=piece)
        assert await read(bench) == data
        assert (info.place, info.size, info.sha256) == (PLACE, len(data), hashlib.sha256(data).digest())
        assert await bench.blobs.stat(PLACE) == info
        assert info.version

    async def test_chunks_that_come_out_are_bounded(self, bench: BlobBench) -> None:
        await put(bench, some_bytes(5 * bench.chunk_bytes))
        sizes = [len(chunk) async for chunk in bench.blobs.open(PLACE)]
        assert 0 < max(sizes) <= bench.chunk_bytes

    async def test_what_is_not_there_has_no_info_and_does_not_open(self, bench: BlobBench) -> None:
        assert await bench.blobs.stat(PLACE) is None
        with pytest.raises(ObjectGoneError):
            await read(bench)

    async def test_a_blob_is_written_once(self, bench: BlobBench) -> None:
        await put(bench, b"the first")
        with pytest.raises(BlobExistsError):
            await put(bench, b"the second")
        with pytest.raises(BlobExistsError):
            await put(bench, b"the first")
        assert await read(bench) == b"the first"

    async def test_a_taken_place_is_refused_before_the_source_is_read(self, bench: BlobBench) -> None:
        await put(bench, b"the first")

        async def never() -> AsyncIterator[bytes]:
            raise SourceFailedError
            yield b""

        with pytest.raises(BlobExistsError):
            await bench.blobs.put(PLACE, never(), max_bytes=PLENTY)

    @pytest.mark.parametrize("chunks", [0, 3])
    async def test_of_writers_under_way_together_the_first_to_end_wins_and_others_are_told(
        self, bench: BlobBench, chunks: int
    ) -> None:
        datas = [bytes([number]) + some_bytes(chunks * bench.chunk_bytes) for number in range(4)]
        results = await put_in_turn(bench.blobs, datas)
        assert [type(one) for one in results[1:]] == [BlobExistsError] * 3
        assert isinstance(results[0], BlobInfo), results[0]
        assert await read(bench) == datas[0]

    @pytest.mark.parametrize("chunks", [0, 3])
    async def test_bytes_that_are_not_those_announced_are_not_kept(self, bench: BlobBench, chunks: int) -> None:
        data = some_bytes(chunks * bench.chunk_bytes + 5)
        announced = hashlib.sha256(data + b"!").digest()
        with pytest.raises(DigestMismatchError):
            await bench.blobs.put(PLACE, pieces(data), max_bytes=PLENTY, sha256=announced)
        assert await bench.blobs.stat(PLACE) is None
        right = hashlib.sha256(data).digest()
        assert (await bench.blobs.put(PLACE, pieces(data), max_bytes=PLENTY, sha256=right)).sha256 == right

    @pytest.mark.parametrize("chunks", [0, 3])
    async def test_one_byte_too_many_is_too_large(self, bench: BlobBench, chunks: int) -> None:
        data = some_bytes(chunks * bench.chunk_bytes + 5)
        with pytest.raises(TooLargeError):
            await bench.blobs.put(PLACE, pieces(data), max_bytes=len(data) - 1)
        assert await bench.blobs.stat(PLACE) is None
        assert (await bench.blobs.put(PLACE, pieces(data), max_bytes=len(data))).size == len(data)

    async def test_an_endless_source_is_left_as_soon_as_it_is_too_large(self, bench: BlobBench) -> None:
        read_count = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read_count
            while True:
                read_count += 1
                yield b"x" * 1000

        with pytest.raises(TooLargeError):
            await bench.blobs.put(PLACE, endless(), max_bytes=50_000)
        assert read_count == 51

    @pytest.mark.parametrize("chunks", [0, 3])
    @pytest.mark.parametrize("error", [SourceFailedError, OSError, TimeoutError, ValueError])
    async def test_what_the_source_raises_is_passed_on_and_nothing_is_visible(
        self, bench: BlobBench, chunks: int, error: type[Exception]
    ) -> None:
        async def failing() -> AsyncIterator[bytes]:
            yield some_bytes(chunks * bench.chunk_bytes + 5)
            raise error("of the source")

        with pytest.raises(error, match="of the source") as caught:
            await bench.blobs.put(PLACE, failing(), max_bytes=PLENTY)
        assert type(caught.value) is error
        assert await bench.blobs.stat(PLACE) is None
        assert (await put(bench, b"another try")).size == 11

    @pytest.mark.parametrize("chunks", [0, 3])
    async def test_half_a_blob_is_never_visible(self, bench: BlobBench, chunks: int) -> None:
        halfway, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield some_bytes(chunks * bench.chunk_bytes + 5)
            halfway.set()
            await go_on.wait()
            yield b"the rest"

        writing = asyncio.create_task(bench.blobs.put(PLACE, slow(), max_bytes=PLENTY))
        await halfway.wait()
        assert await bench.blobs.stat(PLACE) is None
        with pytest.raises(ObjectGoneError):
            await read(bench)
        go_on.set()
        info = await writing
        assert len(await read(bench)) == info.size == chunks * bench.chunk_bytes + 13

    @pytest.mark.parametrize("chunks", [0, 3])
    async def test_a_writer_that_is_cancelled_leaves_nothing(self, bench: BlobBench, chunks: int) -> None:
        halfway = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield some_bytes(chunks * bench.chunk_bytes + 5)
            halfway.set()
            await asyncio.Event().wait()

        writing = asyncio.create_task(bench.blobs.put(PLACE, slow(), max_bytes=PLENTY))
        await halfway.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await bench.blobs.stat(PLACE) is None
        assert (await put(bench, b"another try")).size == 11

    async def test_a_reader_may_leave_half_way(self, bench: BlobBench) -> None:
        await put(bench, some_bytes(3 * bench.chunk_bytes))
        for _ in range(20):
            async for _chunk in bench.blobs.open(PLACE):
                break
        assert len(await read(bench)) == 3 * bench.chunk_bytes

    async def test_blobs_at_other_places_are_others(self, bench: BlobBench) -> None:
        places = [f"{tenant}/{record}/{part}" for tenant in ("acme", "other") for record in "ab" for part in (1, 2)]
        await asyncio.gather(*(put(bench, place.encode(), place) for place in places))
        assert [await read(bench, place) for place in places] == [place.encode() for place in places]

    async def test_pieces_may_be_empty(self, bench: BlobBench) -> None:
        async def with_holes() -> AsyncIterator[bytes]:
            for piece in _with_holes():
                yield piece

        await bench.blobs.put(PLACE, with_holes(), max_bytes=PLENTY)
        assert await read(bench) == b"ab"

    async def test_ping_returns(self, bench: BlobBench) -> None:
        await bench.blobs.ping()


def _with_holes() -> Iterable[bytes]:
    return [b"", b"a", b"", b"", b"b", b""]
