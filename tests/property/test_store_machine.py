"""The same commands to two stores give the same answers, and both show the same afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backends.memory import blobs as memory_blobs
from backends.postgres import blobs as postgres_blobs
from backends.s3.options import LEAST_PART_BYTES
from tests.contract.blob_store_model import run_blob_store_machine
from tests.contract.record_store_model import run_record_store_machine
from tests.mongo_stores import DRIVERS
from tests.property.sides import (
    MemoryBlobsSide,
    MemoryRecordsSide,
    MongoRecordsSide,
    PostgresBlobsSide,
    PostgresRecordsSide,
    S3BlobsSide,
)

if TYPE_CHECKING:
    from backends.mongo.drivers import DriverName
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3
    from tests.servers import SharedPostgres


def test_postgres_and_memory_agree_on_everything(postgres_server: SharedPostgres) -> None:
    run_record_store_machine(PostgresRecordsSide(postgres_server), MemoryRecordsSide())


@pytest.mark.parametrize("driver", DRIVERS)
def test_mongo_and_memory_agree_on_everything(mongo_server: SharedMongo, driver: DriverName) -> None:
    run_record_store_machine(MongoRecordsSide(mongo_server, driver), MemoryRecordsSide())


def test_blobs_on_postgres_and_in_memory_are_the_same(postgres_server: SharedPostgres) -> None:
    borders = (memory_blobs.CHUNK_BYTES, postgres_blobs.CHUNK_BYTES)
    run_blob_store_machine(PostgresBlobsSide(postgres_server), MemoryBlobsSide(), borders)


def test_blobs_on_s3_and_in_memory_are_the_same(s3_server: SharedS3) -> None:
    borders = (memory_blobs.CHUNK_BYTES, LEAST_PART_BYTES)
    run_blob_store_machine(S3BlobsSide(s3_server), MemoryBlobsSide(), borders)
