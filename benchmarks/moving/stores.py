"""A filled store on Postgres, an empty one on MongoDB and S3 beside it, and the settings that name both."""

from __future__ import annotations

import random
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from backends.mongo.embedded import EmbeddedMongo
from backends.postgres.blobs import PostgresBlobs
from backends.postgres.tables import PostgresTables
from backends.s3.embedded import EmbeddedS3
from benchmarks import tenant
from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.logs import LogKind, filled_log
from benchmarks.mongo import make_store
from benchmarks.s3 import S3At, fresh_bucket, s3_server
from benchmarks.stage import Kind, Place, Stage
from broker.core.tables import PART_RESULTS, PARTS, Row
from broker.demo.home import to_toml

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from broker.core.ports import BlobStore

PHOTO_BYTES = 20_000
PARTS_A_PHOTO = 10
"""Of so many parts one has its bytes; the others are still to be fetched."""
_MARK_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Two stores: where their settings lie, and how much is in the first one."""

    settings: Path
    records: int
    photos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """The servers that the second stores are on."""

    mongo: EmbeddedMongo = field(repr=False)
    s3: EmbeddedS3 = field(repr=False)


@asynccontextmanager
async def other_servers() -> AsyncGenerator[Others]:
    """A MongoDB and an S3 server until the block is left."""
    async with await EmbeddedMongo.start() as mongo, s3_server() as s3:
        yield Others(mongo=mongo, s3=s3)


@asynccontextmanager
async def two_stores(stage: Stage, others: Others, entries: int) -> AsyncGenerator[Filled]:
    """A store with about so many entries kept, and an empty one, until the block is left."""
    name = f"bench_{secrets.token_hex(_MARK_BYTES)}"
    uri = await make_store(others.mongo, name)
    async with stage.fresh(Kind.RECORDS) as records, stage.fresh(Kind.BLOBS) as blobs:
        kept = await _keep(stage, records, entries)
        photos = await _keep_photos(records, blobs)
        for place in (records, blobs):
            await stage.execute("VACUUM (ANALYZE)", place=place)
        other = _other(uri, await fresh_bucket(others.s3))
        with TemporaryDirectory(prefix="custody-bench-") as folder:
            settings = _write_settings(Path(folder), records, blobs, other)
            yield Filled(settings=settings, records=kept, photos=photos)


async def _keep(stage: Stage, records: Place, entries: int) -> int:
    """By the archive worker, from a log; how many."""
    async with filled_log(stage, LogKind.POSTGRES, entries) as (log, volume):
        orders = WorkerOrders(log=log, records_dsn=records.dsn, group="moving")
        await drain(orders, entries=volume.entries)
        return volume.entries


async def _keep_photos(records: Place, at: Place) -> int:
    """The bytes of some parts, and the results that say so; how many."""
    tables, blobs = await PostgresTables.open(records.dsn), await PostgresBlobs.connect(at.dsn)
    source = random.Random(1)
    try:
        async with tables.snapshot() as snapshot:
            parts = [part async for part in snapshot.scan(PARTS, tenant.TENANT, PARTS.columns)]
        results = [
            await _keep_photo(blobs, dict(zip(PARTS.columns, part, strict=True)), number, source.randbytes(PHOTO_BYTES))
            for number, part in enumerate(parts[::PARTS_A_PHOTO], 1)
        ]
        return await tables.insert(PART_RESULTS, results)
    finally:
        await tables.close()
        await blobs.close()


async def _keep_photo(blobs: BlobStore, part: Mapping[str, Any], number: int, photo: bytes) -> Row:
    """The row of its result, the store's `number`th."""
    place = f"{tenant.TENANT}/{part['record_id']}/{part['number']}"
    info = await blobs.put(place, _once(photo), max_bytes=PHOTO_BYTES)
    told = {"state": "kept", "reason": None, "witnessed": False, "shared": False, "kept_at": tenant.AT}
    result = {
        **part,
        **told,
        "result_number": number,
        "size": info.size,
        "sha256": info.sha256,
        "place": place,
        "version": info.version,
    }
    return tuple(result[name] for name in PART_RESULTS.columns)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _other(uri: str, bucket: S3At) -> dict[str, Any]:
    blobs = {
        "bucket": bucket.bucket,
        "endpoint": bucket.endpoint,
        "path_style": True,
        "access_key": bucket.access_key,
        "secret_key": bucket.secret_key,
    }
    return {"store": "s3_mongo", "records": {"uri": uri}, "blobs": blobs}


def _write_settings(folder: Path, records: Place, blobs: Place, other: dict[str, Any]) -> Path:
    """Settings and registry in a folder of their own."""
    key = folder / "tenant.key"
    registry, settings = folder / "custody.toml", folder / "settings.toml"
    for path in (key, settings):
        path.touch(mode=0o600)
    key.write_text(bytes(range(32)).hex(), encoding="ascii")
    tenants = {tenant.TENANT: {"zone": "UTC", "key_file": key.name}}
    registry.write_text(to_toml({"tenants": tenants}), encoding="utf-8")
    document = {
        "profile": "development",
        "registry": registry.name,
        "store": "postgres",
        "records": {"dsn": records.dsn},
        "blobs": {"dsn": blobs.dsn},
        "other": other,
    }
    settings.write_text(to_toml(document), encoding="utf-8")
    return settings
