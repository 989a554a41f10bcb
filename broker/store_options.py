"""How the settings of a store become the options of its backend; drivers come along for those who use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.errors import SettingsError
from broker.findings import line
from broker.secret_files import file_fault, secret_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.mongo.connections import MongoOptions
    from backends.s3.options import S3Options
    from broker.settings import Settings
    from broker.store_settings import BlobsSettings, RecordsSettings


def mongo_options(records: RecordsSettings) -> MongoOptions:
    """How records on MongoDB use their server."""
    from backends.mongo.connections import MongoOptions  # noqa: PLC0415 - as above

    return MongoOptions(
        driver=records.driver,
        connections=records.pool_size,
        connect_timeout_seconds=records.connect_timeout_seconds,
        command_timeout_seconds=records.command_timeout_seconds,
        allow_standalone=records.allow_standalone,
    )


def s3_options(settings: Settings) -> S3Options:
    """Where blobs on S3 are, and how they are written."""
    from backends.s3.options import S3Options, TenantBucket  # noqa: PLC0415 - as above

    blobs = settings.blobs
    if blobs.bucket is None:
        raise SettingsError([line(settings.name("blobs", "bucket"), "is missing", "custody-blobs")])
    tenants = {
        tenant: TenantBucket(bucket=one.bucket, region=one.region, prefix=one.prefix)
        for tenant, one in blobs.tenant_buckets.items()
    }
    return S3Options(
        bucket=blobs.bucket,
        endpoint=blobs.endpoint,
        region=blobs.region,
        access_key=blobs.access_key,
        secret_key=_secret_key(blobs),
        prefix=blobs.prefix,
        path_style=blobs.path_style,
        part_bytes=blobs.part_bytes,
        connections=blobs.connections,
        sse=blobs.sse,
        kms_key=blobs.kms_key,
        lock_mode=blobs.lock_mode,
        lock_days=blobs.lock_days or 0,
        legal_hold=blobs.legal_hold,
        tenant_buckets=tenants,
        connect_timeout_seconds=blobs.connect_timeout_seconds,
        read_timeout_seconds=blobs.read_timeout_seconds,
        ca_file=str(blobs.ca_file) if blobs.ca_file is not None else None,
    )


def s3_keys(settings: Settings) -> tuple[str | None, str | None]:
    """The access key and its secret, as they are now. `SettingsError`: they lie in a file that can't be used."""
    blobs = settings.blobs
    if blobs.secret_key_file is not None and (fault := file_fault(blobs.secret_key_file)):
        name = settings.name("blobs", "secret_key_file")
        raise SettingsError([line(name, fault, "/run/secrets/custody-s3-secret-key")])
    ask = _secret_key(blobs)
    return blobs.access_key, ask() if ask is not None else None


def _secret_key(blobs: BlobsSettings) -> Callable[[], str] | None:
    if blobs.secret_key_file is not None:
        return secret_reader(blobs.secret_key_file)
    return blobs.secret_key.get_secret_value if blobs.secret_key is not None else None
