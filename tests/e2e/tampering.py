"""What an administrator does to a demo's stores by hand, behind Custody's back, and undoes again; on each kind of them.

As superuser, whom neither rights nor validators nor row security hold back.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from broker.servers import admin_address
from broker.store_options import s3_options
from tests.mongo_servers import client_of, database_of
from tests.s3_servers import bare_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from contextlib import AbstractAsyncContextManager

    from broker.demo import Demo

_FLIP = "UPDATE custody_blobs.blobs SET data = set_byte(data, 40, get_byte(data, 40) # 1) WHERE place = $1"


def record_deleted(demo: Demo) -> AbstractAsyncContextManager[None]:
    """A message without parts is not there."""
    return _row_taken(demo, "records", {"kind": "message", "part_count": 0})


def target_dropped(demo: Demo) -> AbstractAsyncContextManager[None]:
    """Of an erased object nothing is known."""
    return _row_taken(demo, "targets", {"state": "erased"})


@asynccontextmanager
async def blob_changed(demo: Demo) -> AsyncGenerator[None]:
    """One byte of a blob is another."""
    place = await _small_blob(demo)
    async with _s3_flipped(demo, place) if demo.settings.kind("blobs") == "s3" else _row_flipped(demo, place):
        yield


@asynccontextmanager
async def _row_taken(demo: Demo, table: str, where: Mapping[str, object]) -> AsyncGenerator[None]:
    taken = _document_taken if demo.settings.kind("records") == "mongo" else _sql_row_taken
    async with taken(admin_address(demo.settings, "records"), table, where):
        yield


@asynccontextmanager
async def _document_taken(uri: str, collection: str, where: Mapping[str, object]) -> AsyncGenerator[None]:
    async with client_of(uri) as client:
        documents = client[database_of(uri)][collection]
        taken = await documents.find_one_and_delete(where)
        assert taken is not None
        try:
            yield
        finally:
            await documents.insert_one(taken)


@asynccontextmanager
async def _sql_row_taken(dsn: str, table: str, where: Mapping[str, object]) -> AsyncGenerator[None]:
    name, wanted = f"custody_pas.{table}", " AND ".join(f"{column} = '{value}'" for column, value in where.items())
    async with _connection(dsn) as connection:
        await connection.execute(f"CREATE TABLE public.taken AS SELECT * FROM {name} WHERE {wanted} LIMIT 1")
        await connection.execute(f"DELETE FROM {name} AS one USING public.taken WHERE one IS NOT DISTINCT FROM taken")
        try:
            yield
        finally:
            await connection.execute(f"INSERT INTO {name} SELECT * FROM public.taken")
            await connection.execute("DROP TABLE public.taken")


@asynccontextmanager
async def _row_flipped(demo: Demo, place: str) -> AsyncGenerator[None]:
    async with _connection(admin_address(demo.settings, "blobs")) as connection:
        await connection.execute(_FLIP, place)
        try:
            yield
        finally:
            await connection.execute(_FLIP, place)


@asynccontextmanager
async def _s3_flipped(demo: Demo, place: str) -> AsyncGenerator[None]:
    """A newer version with the metadata of the first, and away with it again."""
    options = s3_options(demo.settings)
    at = options.locate(place)
    async with bare_client(options) as client:
        found = await client.get_object(Bucket=at.bucket, Key=at.key)
        data = bytearray(await found["Body"].read())
        data[40] ^= 1
        put = await client.put_object(Bucket=at.bucket, Key=at.key, Body=bytes(data), Metadata=found["Metadata"])
        try:
            yield
        finally:
            await client.delete_object(Bucket=at.bucket, Key=at.key, VersionId=put["VersionId"])


@asynccontextmanager
async def _connection(dsn: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _small_blob(demo: Demo) -> str:
    """The place of the first blob: the demo has small ones only."""
    for tenant in demo.registry.tenants:
        async for part in demo.store.kept_parts(tenant):
            return part.place
    raise AssertionError("the demo kept no part")
