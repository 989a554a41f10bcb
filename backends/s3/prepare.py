"""Makes buckets what blobs need: versions, a lock where one is wanted, nobody from outside, no upload left behind."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backends.s3.clients import Clients
from backends.s3.errors import AbsentError, guarded, optional
from backends.s3.leftovers import LEFT_FOR, sweep_uploads
from broker.core.errors import BlobsUnavailableError

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
_AWS_DEFAULT_REGION = "us-east-1"  # the one that CreateBucket does not take by name


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
        if (region := home.region or options.region) != _AWS_DEFAULT_REGION:
            wanted["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if wants_lock(options):
            wanted["ObjectLockEnabledForBucket"] = True
        return await optional(client.create_bucket(**wanted), home.bucket, "BucketAlreadyOwnedByYou") is not None
    return False


async def _keep_versions(client: Client, bucket: str) -> bool:
    found = await guarded(client.get_bucket_versioning(Bucket=bucket), bucket)
    if found.get("Status") == "Enabled":
        return False
    wanted = {"Status": "Enabled"}
    await guarded(client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted), bucket)
    return True


async def _retain(client: Client, bucket: str, options: S3Options) -> bool:
    """The bucket's own retention, for whatever comes into it without one."""
    if options.lock_mode is None:
        return False
    rule = {"DefaultRetention": {"Mode": options.lock_mode.upper(), "Days": options.lock_days}}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    found = await optional(
        client.get_object_lock_configuration(Bucket=bucket), bucket, "ObjectLockConfigurationNotFoundError"
    )
    if found is not None and found["ObjectLockConfiguration"].get("Rule"):
        return False  # longer or shorter, somebody chose it: a finding says if it is too short
    await guarded(client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted), bucket)
    return True


async def _close_to_public(client: Client, bucket: str) -> bool:
    found = await optional(
        client.get_public_access_block(Bucket=bucket), bucket, "NoSuchPublicAccessBlockConfiguration", *UNSUPPORTED
    )
    if found is not None and found["PublicAccessBlockConfiguration"] == PRIVATE:
        return False
    work = client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=PRIVATE)
    return await optional(work, bucket, *UNSUPPORTED) is not None


async def _end_uploads(client: Client, bucket: str) -> bool:
    rules = await lifecycle_rules(client, bucket)
    if rules is None or any(aborts(one) for one in rules):
        return False
    rule = {
        "ID": ABORT_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": LEFT_FOR.days},
    }
    work = client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*rules, rule]})
    return await optional(work, bucket, *UNSUPPORTED) is not None


UNSUPPORTED = ("NotImplemented", "MethodNotAllowed", "501")


async def lifecycle_rules(client: Client, bucket: str) -> list[dict[str, Any]] | None:
    """The bucket's rules; None where the server knows of none."""
    try:
        found = await optional(
            client.get_bucket_lifecycle_configuration(Bucket=bucket), bucket, "NoSuchLifecycleConfiguration"
        )
    except BlobsUnavailableError:
        raise
    return [] if found is None else list(found["Rules"])


def aborts(rule: dict[str, Any]) -> bool:
    """Whether a rule lets go of every upload that nobody completes."""
    everywhere = not rule.get("Prefix") and not any((rule.get("Filter") or {}).values())
    return rule["Status"] == "Enabled" and "AbortIncompleteMultipartUpload" in rule and everywhere


def wants_lock(options: S3Options) -> bool:
    return options.lock_mode is not None or options.legal_hold
