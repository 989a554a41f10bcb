"""The stores that state machines compare, each of them emptied between examples."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.memory import MemoryBlobs, MemoryRecords
from backends.mongo.connections import MongoOptions
from backends.mongo.drivers import DriverName
from backends.mongo.records import MongoRecords
from backends.postgres.blobs import PostgresBlobs
from backends.postgres.records import PostgresRecords
from backends.s3.blobs import S3Blobs
from tests.mongo_servers import SharedMongo
from tests.mongo_stores import emptied as clear
from tests.mongo_stores import mongo_database
from tests.s3_servers import SharedS3, bucket_name, fresh_bucket
from tests.servers import SharedPostgres
from tests.stores import as_writer, execute, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from broker.core.ports import BlobStore, Clock, RecordStore
    from tests.contract.two_stores import Emptied

_EMPTY_RECORDS = """
TRUNCATE custody_pas.progress, custody_pas.records, custody_pas.parts, custody_pas.part_results, custody_pas.targets,
    custody_pas.receipts, custody_pas.gaps, custody_pas.unseen, custody_pas.dead_letters, custody_pas.tallies
"""
_EMPTY_BLOBS = "TRUNCATE custody_blobs.blobs, custody_blobs.chunks"


class MemoryRecordsSide:
    """Records in memory."""

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[RecordStore]]:
        async def emptied() -> RecordStore:
            return MemoryRecords(clock)

        yield emptied


class MemoryBlobsSide:
    """Blobs in memory."""

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[BlobStore]]:  # noqa: ARG002 - blobs tell no time
        async def emptied() -> BlobStore:
            return MemoryBlobs()

        yield emptied


@dataclass
class PostgresRecordsSide:
    """Records in a database of their own."""

    server: SharedPostgres

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[RecordStore]]:
        async with store_database(self.server) as dsn:
            store = await PostgresRecords.open(as_writer(dsn), clock=clock)

            async def emptied() -> RecordStore:
                await execute(dsn, _EMPTY_RECORDS)
                return store

            try:
                yield emptied
            finally:
                await store.close()


@dataclass
class MongoRecordsSide:
    """Records in a MongoDB database of their own, by one of the drivers."""

    server: SharedMongo
    driver: DriverName

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[RecordStore]]:
        async with mongo_database(self.server) as uri:
            store = await MongoRecords.open(uri, clock=clock, options=MongoOptions(driver=self.driver))

            async def emptied() -> RecordStore:
                await clear(uri)
                return store

            try:
                yield emptied
            finally:
                await store.close()


@dataclass
class PostgresBlobsSide:
    """Blobs in a database of their own."""

    server: SharedPostgres

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[BlobStore]]:  # noqa: ARG002 - blobs tell no time
        async with store_database(self.server) as dsn:
            blobs = await PostgresBlobs.connect(as_writer(dsn))

            async def emptied() -> BlobStore:
                await execute(dsn, _EMPTY_BLOBS)
                return blobs

            try:
                yield emptied
            finally:
                await blobs.close()


@dataclass
class S3BlobsSide:
    """Blobs in a bucket of their own, under another prefix for each example."""

    server: SharedS3

    @asynccontextmanager
    async def opened(self, clock: Clock) -> AsyncGenerator[Emptied[BlobStore]]:
        options = await fresh_bucket(self.server)
        opened: list[S3Blobs] = []

        async def emptied() -> BlobStore:
            while opened:
                await opened.pop().close()
            opened.append(await S3Blobs.connect(replace(options, prefix=bucket_name()), clock=clock))
            return opened[-1]

        try:
            yield emptied
        finally:
            for one in opened:
                await one.close()
