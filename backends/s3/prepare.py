"""Makes buckets what blobs need: versions, a lock where one is wanted, nobody from outside, no upload left behind."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backends.s3 import bucket as buckets
from backends.s3.bucket import Untold, told
from backends.s3.clients import Clients
from backends.s3.errors import AbsentError, code_of, guarded
from backends.s3.leftovers import LEFT_FOR, sweep_uploads

if TYPE_CHECKING:
    from backends.s3.clients import Client
    from backends.s3.options import S3Options, TenantBucket

ABORT_RULE = "custody-abort-incomplete-uploads"
PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_DEFAULT_REGION = "us-east-1"  # the one that AWS' CreateBucket does not take by name


async def prepare_bucket(options: S3Options) -> list[str]:
    """Makes or completes each bucket; says what it did, nothing where nothing was left to do.

    `BlobsUnavailableError`: the server, or a right, is missing; what was done before stays, and it may be run again.
    What a server does not have (a public access block, a lifecycle) is left to `s3_findings`.
    """
    clients = Clients(options)
    done: list[str] = []
    try:
        for home in options.homes():
            client = await clients.of(home.region or options.region)
            done += await _prepare(client, home, options)
            with suppress(AbsentError):
                await sweep_uploads(client, home, datetime.now(UTC))
    finally:
        await clients.close()
    return done


async def _prepare(client: Client, home: TenantBucket, options: S3Options) -> list[str]:
    bucket = home.bucket
    steps = {
        "made": await _make(client, home, options),
        "versioning on": await _keep_versions(client, bucket),
        "default retention set": await _retain(client, bucket, options),
        "public access blocked": await _close_to_public(client, bucket),
        "incomplete uploads end after a day": await _end_uploads(client, bucket),
    }
    return [f"{bucket}: {what}" for what, happened in steps.items() if happened]


async def _make(client: Client, home: TenantBucket, options: S3Options) -> bool:
    try:
        await guarded(client.head_bucket(Bucket=home.bucket), home.bucket)
    except AbsentError:
        wanted: dict[str, Any] = {"Bucket": home.bucket}
        region = home.region or options.region
        if options.endpoint is None and region != _DEFAULT_REGION:
            wanted["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if options.lock_mode is not None or options.legal_hold:
            wanted["ObjectLockEnabledForBucket"] = True
        await guarded(_made(client, wanted), home.bucket)
        return True
    return False


async def _made(client: Client, wanted: dict[str, Any]) -> None:
    try:
        await client.create_bucket(**wanted)
    except client.exceptions.ClientError as error:
        if code_of(error) != "BucketAlreadyOwnedByYou":  # another `custody init` at the same time
            raise


async def _keep_versions(client: Client, bucket: str) -> bool:
    if await buckets.versioning(client, bucket) == "Enabled":
        return False
    wanted = {"Status": "Enabled"}
    await guarded(client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted), bucket)
    return True


async def _retain(client: Client, bucket: str, options: S3Options) -> bool:
    """The bucket's own retention, for whatever comes into it without one; one that somebody chose stays."""
    if options.lock_mode is None:
        return False
    found = await buckets.lock(client, bucket)
    if found and found is not Untold.ABSENT:
        return False
    retention = {"Mode": options.lock_mode.upper(), "Days": options.lock_days}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    await guarded(client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted), bucket)
    return True


async def _close_to_public(client: Client, bucket: str) -> bool:
    found = await buckets.public_access(client, bucket)
    if found is Untold.UNSUPPORTED or found == PRIVATE:
        return False
    work = client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=PRIVATE)
    return not isinstance(await told(work, bucket), Untold)


async def _end_uploads(client: Client, bucket: str) -> bool:
    rules = await buckets.lifecycle(client, bucket)
    if isinstance(rules, Untold) or any(buckets.aborts(one) for one in rules):
        return False
    rule = {
        "ID": ABORT_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": LEFT_FOR.days},
    }
    work = client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*rules, rule]})
    return not isinstance(await told(work, bucket), Untold)
