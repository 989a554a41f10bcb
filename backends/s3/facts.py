"""What is so of a bucket, asked of it: what it says of itself, and what it does with an object put for trying.

The object lies at `.custody-probe/conditional` below the prefix, one for each bucket: where it can't be deleted it
stays, and the next check finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from backends.s3 import bucket as buckets
from backends.s3.bucket import Untold, told
from backends.s3.errors import AbsentError, TakenError, guarded
from backends.s3.options import TenantBucket, joined
from backends.s3.parts import checksum
from broker.core.errors import BlobsUnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from backends.s3.clients import Client
    from backends.s3.options import S3Options
    from broker.core.ports import Clock

PROBE = ".custody-probe/conditional"
_PROBE = b"probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What became of the object put for trying. `refusal`: why none could be put."""

    refusal: str | None = None
    is_put_twice: bool = False
    may_list_versions: bool = True
    may_delete: bool = False
    encryption: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """One bucket. `refusal`: why nothing could be asked; `skew_seconds`: how far its clock is ahead of this one."""

    home: TenantBucket
    refusal: str | None = None
    is_missing: bool = False
    skew_seconds: float | None = None
    versioning: str | Untold = "Off"
    lock: Mapping[str, Any] | Untold = Untold.ABSENT
    public_access: Mapping[str, Any] | Untold = Untold.ABSENT
    lifecycle: list[dict[str, Any]] | Untold = Untold.ABSENT
    probe: ProbeFacts = ProbeFacts()


async def bucket_facts(client: Client, home: TenantBucket, options: S3Options, clock: Clock) -> BucketFacts:
    """Asks all of one bucket; raises nothing of the server's."""
    bucket = home.bucket
    try:
        answer = await guarded(client.head_bucket(Bucket=bucket), bucket)
        return BucketFacts(
            home=home,
            skew_seconds=_skew_seconds(answer, clock()),
            versioning=await buckets.versioning(client, bucket),
            lock=await buckets.lock(client, bucket),
            public_access=await buckets.public_access(client, bucket),
            lifecycle=await buckets.lifecycle(client, bucket),
            probe=await _probe(client, home, options),
        )
    except AbsentError:
        return BucketFacts(home=home, is_missing=True)
    except BlobsUnavailableError as error:
        return BucketFacts(home=home, refusal=str(error))


async def _probe(client: Client, home: TenantBucket, options: S3Options) -> ProbeFacts:
    at = {"Bucket": home.bucket, "Key": joined(home.prefix, PROBE)}
    try:
        first = await _put(client, at, options)
        second = await _put(client, at, options)
        found = await guarded(client.head_object(**at), home.bucket)
    except BlobsUnavailableError as error:
        return ProbeFacts(refusal=str(error))
    listed = await told(client.list_object_versions(Bucket=at["Bucket"], Prefix=at["Key"]), home.bucket)
    ours = [one for one in (first, second) if one is not None]
    return ProbeFacts(
        is_put_twice=second is not None,
        may_list_versions=not isinstance(listed, Untold),
        may_delete=await _may_delete(client, at, ours),
        encryption=found.get("ServerSideEncryption"),
        key=found.get("SSEKMSKeyId"),
    )


async def _put(client: Client, at: Mapping[str, str], options: S3Options) -> Mapping[str, Any] | None:
    """None: refused, since something lies there. A bucket with default retention takes nothing without a checksum."""
    wanted: dict[str, str] = {} if options.sse is None else {"ServerSideEncryption": options.sse}
    wanted |= {} if options.kms_key is None else {"SSEKMSKeyId": options.kms_key}
    try:
        answer: Mapping[str, Any] = await guarded(
            client.put_object(**at, **wanted, Body=_PROBE, ChecksumSHA256=checksum(BytesIO(_PROBE)), IfNoneMatch="*"),
            at["Bucket"],
        )
    except TakenError:
        return None
    return answer


async def _may_delete(client: Client, at: Mapping[str, str], ours: list[Mapping[str, Any]]) -> bool:
    """Whether the login can delete what it put just now, which also tidies up."""
    answers = [
        await told(client.delete_object(**at, VersionId=one["VersionId"]), at["Bucket"])
        for one in ours
        if one.get("VersionId")
    ]
    return any(not isinstance(one, Untold) for one in answers)


def _skew_seconds(answer: Mapping[str, Any], now: datetime) -> float | None:
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return None if said is None else (parsedate_to_datetime(said) - now).total_seconds()
