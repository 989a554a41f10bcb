"""The blob store on Postgres: a small blob in its row, a large one in chunks, streamed in one transaction."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from backends.postgres.connections import Database, PostgresOptions
from backends.postgres.sql import BLOBS, query
from broker.core.errors import (
    BlobExistsError,
    BlobsUnavailableError,
    DigestMismatchError,
    ObjectGoneError,
    TooLargeError,
)
from broker.core.ports import BlobInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from uuid import UUID

    import asyncpg

    from backends.postgres.connections import Connection, Dsn
    from broker.core.rows import Values

CHUNK_BYTES = 1024 * 1024


class PostgresBlobs:
    """See `BlobStore`. Reconnects by itself; a renewed password is found if the address comes from a function.

    `versions` gives each attempt at writing a name of its own, so that two at one place meet only at the end.
    """

    def __init__(self, database: Database, versions: Callable[[], UUID]) -> None:
        self._database = database
        self._versions = versions

    @classmethod
    async def connect(
        cls, dsn: Dsn, *, options: PostgresOptions | None = None, versions: Callable[[], UUID] = uuid4
    ) -> Self:
        """A store that answers. `BlobsUnavailableError`: it does not; `SchemaError`: migrate, or upgrade."""
        database = await Database.open(dsn, options, schema=BLOBS, unavailable=BlobsUnavailableError)
        return cls(database, versions)

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        if await self._find(place) is not None:
            raise _exists(place)
        upload = _Upload(place=place, max_bytes=max_bytes, version=self._versions())
        async with AsyncExitStack() as exits:
            connection: Connection | None = None
            async for data in chunks:
                for chunk in upload.take(data):
                    if connection is None:
                        connection = await exits.enter_async_context(self._database.transaction())
                    await self._insert(connection, chunk)
            upload.verify(sha256)
            # A small blob comes to its first and only statement here, having held no connection so far.
            if connection is None:
                connection = await exits.enter_async_context(self._database.transaction())
            for chunk in upload.rest():
                await self._insert(connection, chunk)
            if not await self._database.guard(connection.fetchval(query("blobs/insert_blob"), *upload.row())):
                raise _exists(place)
        return upload.info

    async def stat(self, place: str) -> BlobInfo | None:
        row = await self._find(place)
        if row is None:
            return None
        return BlobInfo(place=row["place"], size=row["size"], sha256=row["sha256"], version=str(row["version"]))

    async def open(self, place: str) -> AsyncIterator[bytes]:
        row = await self._find(place)
        if row is None:
            raise ObjectGoneError(f"{place}: no blob lies there")
        if row["chunk_count"] == 0 and row["size"]:
            yield await self._read(place, "blobs/read_data", place)
        for number in range(1, row["chunk_count"] + 1):
            yield await self._read(place, "blobs/read_chunk", row["version"], number)

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        await self._database.close()

    async def _insert(self, connection: Connection, chunk: Values) -> None:
        await self._database.guard(connection.execute(query("blobs/insert_chunk"), *chunk))

    async def _find(self, place: str) -> asyncpg.Record | None:
        found = await self._database.fetch(query("blobs/find_blob"), place)
        return found[0] if found else None

    async def _read(self, place: str, name: str, *key: object) -> bytes:
        """One statement for each chunk: no connection is held while the reader is busy, since nothing ever changes."""
        found = await self._database.fetch(query(name), *key)
        if not found:
            raise ObjectGoneError(f"{place}: some of its bytes are gone")
        data: bytes = found[0]["data"]
        return data


class _Upload:
    """Cuts incoming bytes into chunks, counts and digests them; holds no more than a chunk and what came last."""

    def __init__(self, *, place: str, max_bytes: int, version: UUID) -> None:
        self._place = place
        self._max_bytes = max_bytes
        self._version = version
        self._size = 0
        self._chunk_count = 0
        self._digest = hashlib.sha256()
        self._pending = bytearray()

    def take(self, data: bytes) -> Iterator[Values]:
        """Takes the next bytes in; the chunks that are full, as rows, while more is known to follow."""
        self._size += len(data)
        if self._size > self._max_bytes:
            raise TooLargeError(f"{self._place}: over {self._max_bytes} bytes; nothing was kept")
        self._digest.update(data)
        for start in range(0, len(data), CHUNK_BYTES):
            self._pending += data[start : start + CHUNK_BYTES]
            if len(self._pending) > CHUNK_BYTES:
                yield self._chunk()

    def verify(self, sha256: bytes | None) -> None:
        """Refuses bytes that are not those announced."""
        if sha256 is not None and self._digest.digest() != sha256:
            raise DigestMismatchError(f"{self._place}: the bytes are not those that were announced; nothing was kept")

    def rest(self) -> Iterator[Values]:
        """The last chunk, as a row, if there were others."""
        if self._chunk_count:
            yield self._chunk()

    def row(self) -> Values:
        """The row that makes the blob visible."""
        data = None if self._chunk_count else bytes(self._pending)
        return self._place, self._version, self._size, self._digest.digest(), self._chunk_count, data

    @property
    def info(self) -> BlobInfo:
        return BlobInfo(place=self._place, size=self._size, sha256=self._digest.digest(), version=str(self._version))

    def _chunk(self) -> Values:
        data = bytes(self._pending[:CHUNK_BYTES])
        del self._pending[:CHUNK_BYTES]
        self._chunk_count += 1
        return self._version, self._chunk_count, self._place, data


def _exists(place: str) -> BlobExistsError:
    return BlobExistsError(f"{place}: a blob lies there already, and blobs are written once")
