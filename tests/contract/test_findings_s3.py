"""What `custody init` makes of a bucket, and what `custody check` finds in one, on a real server."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backends.s3 import bucket as buckets
from backends.s3.findings import s3_findings
from backends.s3.options import S3Options, TenantBucket
from backends.s3.prepare import ABORT_RULE, prepare_bucket
from broker.core.errors import BlobsUnavailableError
from tests.contract.blob_store import put, read
from tests.contract.test_blobs_s3 import opened
from tests.s3_proxy import CANARY, Refuses, bad_connection
from tests.s3_servers import SharedS3, bare_client, bucket_name, fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.s3_proxy import Asked

MADE, VERSIONS, RETENTION = "made", "versioning on", "default retention set"
ENDS = "incomplete uploads end after a day"
LOCKED = {"lock_mode": "governance", "lock_days": 3}


async def _done(options: S3Options) -> list[str]:
    """What was done, without the bucket's name."""
    return [one.removeprefix(f"{options.bucket}: ") for one in await prepare_bucket(options)]


async def _found(
    options: S3Options,
    *,
    strict: bool = True,
    **more: Any,  # noqa: ANN401 - as s3_findings takes them
) -> dict[str, str]:
    """The remedy of each finding, by level and message; what this server never has is left out."""
    found = await s3_findings(options, strict=strict, **more)
    return {
        f"{one.level}: {one.message}": one.remedy or "" for one in found if "no public access block" not in one.message
    }


def _is_said(found: dict[str, str], level: str, words: str, remedy: str = "") -> bool:
    return any(said.startswith(f"{level}: ") and words in said and remedy in cure for said, cure in found.items())


async def _make(options: S3Options, *, locked: bool = False) -> None:
    """A bucket as somebody else makes it."""
    async with bare_client(options) as client:
        await client.create_bucket(Bucket=options.bucket, ObjectLockEnabledForBucket=locked)


async def _rule(options: S3Options, rule: Mapping[str, Any]) -> None:
    rules = [{"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}]
    async with bare_client(options) as client:
        await client.put_bucket_lifecycle_configuration(Bucket=options.bucket, LifecycleConfiguration={"Rules": rules})


@pytest.mark.parametrize(
    ("more", "done"),
    [({}, [MADE, VERSIONS, ENDS]), (LOCKED, [MADE, RETENTION, ENDS])],  # a lock brings versions along
    ids=["plain", "locked"],
)
async def test_a_bucket_is_made_once_and_nothing_breaks_a_promise(
    s3_server: SharedS3, more: dict[str, Any], done: list[str]
) -> None:
    options = s3_server.options(bucket_name(), **more)
    assert await _done(options) == done
    assert await _done(options) == []
    assert not any(said.startswith("problem") for said in await _found(options, strict=False))
    async with bare_client(options) as client:
        assert await buckets.versioning(client, options.bucket) == "Enabled"
        [rule] = await _rules(client, options)
    assert (rule["ID"], rule["AbortIncompleteMultipartUpload"]) == (ABORT_RULE, {"DaysAfterInitiation": 1})


async def _rules(client: Any, options: S3Options) -> list[dict[str, Any]]:  # noqa: ANN401 - aiobotocore has no types
    found = await buckets.lifecycle(client, options.bucket)
    assert isinstance(found, list)
    return found


async def test_what_somebody_chose_is_completed_and_not_changed(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name(), **LOCKED)
    await _make(options, locked=True)
    theirs = {"Mode": "COMPLIANCE", "Days": 1}
    async with bare_client(options) as client:
        await client.put_object_lock_configuration(
            Bucket=options.bucket,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": theirs}},
        )
    await _rule(options, {"Expiration": {"Days": 30}})
    assert await _done(options) == [ENDS]
    async with bare_client(options) as client:
        assert await buckets.lock(client, options.bucket) == theirs
        assert {one["ID"] for one in await _rules(client, options)} == {"tidy", ABORT_RULE}
    found = await _found(options)
    assert _is_said(found, "warning", "own retention (1 days) is less than blobs get (3 days)", "governance, 3 days")


async def test_every_tenants_bucket_is_made_and_looked_at(s3_server: SharedS3) -> None:
    own = TenantBucket(bucket=bucket_name(), region="eu-central-1", prefix="whatsapp")
    options = s3_server.options(bucket_name(), tenant_buckets={"acme": own})
    assert {f"{options.bucket}: {MADE}", f"{own.bucket}: {MADE}"} <= set(await prepare_bucket(options))
    async with bare_client(options) as client:
        await client.put_bucket_versioning(Bucket=own.bucket, VersioningConfiguration={"Status": "Suspended"})
    grave = [one for one in await s3_findings(options, strict=False) if one.level == "problem"]
    assert [(one.subject, one.remedy) for one in grave] == [(own.bucket, "custody init")]


async def test_a_bucket_that_another_made_meanwhile_is_taken_as_made(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server)
    async with bad_connection(s3_server.endpoint) as proxy:
        proxy.fail(lambda asked: asked.method == "HEAD", Refuses(status=404))  # as it was a moment ago
        assert await _done(replace(options, endpoint=proxy.endpoint)) == [MADE]
        assert proxy.befallen == 1


async def test_blobs_outlive_another_preparation(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server)
    async with opened(options) as bench:
        kept = await put(bench, b"a photo")
        await prepare_bucket(options)
        await s3_findings(options, strict=True)
        assert await bench.blobs.stat(kept.place) == kept
        assert await read(bench) == b"a photo"


async def test_a_bucket_that_is_missing_is_named(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name())
    assert await _found(options) == {"problem: there is no such bucket: no blob can be kept": "custody init"}


async def test_a_refused_key_is_told_and_makes_nothing(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name())
    wrong = replace(options, secret_key="wrong-canary")
    with pytest.raises(BlobsUnavailableError, match="login is refused") as caught:
        await prepare_bucket(wrong)
    found = await _found(wrong)
    assert _is_said(found, "problem", "login is refused", "CUSTODY_BLOBS__ACCESS_KEY")
    assert "canary" not in f"{caught.value}{found}"
    assert _is_said(await _found(options), "problem", "no such bucket")


async def test_a_server_that_is_gone_is_a_finding() -> None:
    nowhere = S3Options(
        bucket="custody",
        endpoint="http://127.0.0.1:1",
        access_key="key",
        secret_key="secret",
        connect_timeout_seconds=1,
        read_timeout_seconds=1,
    )
    assert _is_said(await _found(nowhere), "problem", "S3 did not do it in bucket custody", "try again later")


@pytest.mark.parametrize("status", [None, "Suspended"])
async def test_versioning_off_is_a_problem_until_it_is_mended(s3_server: SharedS3, status: str | None) -> None:
    options = s3_server.options(bucket_name())
    await _make(options)
    if status is not None:
        async with bare_client(options) as client:
            for one in ("Enabled", status):
                await client.put_bucket_versioning(Bucket=options.bucket, VersioningConfiguration={"Status": one})
    said = "off" if status is None else "suspended"
    assert _is_said(await _found(options), "problem", f"versioning is {said}", "custody init")
    assert VERSIONS in await _done(options)
    assert not _is_said(await _found(options), "problem", "versioning")


async def test_a_lock_that_is_wanted_and_missing_is_a_problem(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server)
    assert not _is_said(await _found(options), "problem", "object lock")
    for wish in (LOCKED, {"legal_hold": True}):
        found = await _found(replace(options, **wish))
        assert _is_said(found, "problem", "object lock is wanted, and the bucket has none", "name a new one")


async def test_a_lock_for_less_than_the_retention_is_a_problem(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server, **LOCKED)
    assert not _is_said(await _found(options, retention_days=3), "problem", "locked for")
    found = await _found(options, retention_days=4)
    assert _is_said(found, "problem", "locked for 3 days, and are to be for 4", "LOCK_DAYS=4")


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"Expiration": {"Days": 30}}, "deletes objects"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 30}}, "deletes versions"),
        ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "blobs/acme/"}}, "deletes objects"),
    ],
    ids=["objects", "versions", "one tenant"],
)
async def test_a_lifecycle_rule_that_takes_blobs_away_is_a_problem(
    s3_server: SharedS3, rule: dict[str, Any], what: str
) -> None:
    options = await fresh_bucket(s3_server, prefix="blobs")
    await _rule(options, rule)
    assert _is_said(await _found(options), "problem", f"the lifecycle rule tidy {what}", "take it out")


@pytest.mark.parametrize("rule", [{"Status": "Disabled"}, {"Filter": {"Prefix": "blobs-of-others/"}}])
async def test_a_lifecycle_rule_that_reaches_no_blob_is_none(s3_server: SharedS3, rule: dict[str, Any]) -> None:
    options = await fresh_bucket(s3_server, prefix="blobs")
    await _rule(options, {"Expiration": {"Days": 30}, **rule})
    assert not _is_said(await _found(options), "problem", "lifecycle")


async def test_uploads_that_no_rule_ends_are_a_warning(s3_server: SharedS3) -> None:
    options = s3_server.options(bucket_name())
    await _make(options)
    assert _is_said(await _found(options), "warning", "no lifecycle rule ends incomplete uploads", "custody init")
    await prepare_bucket(options)
    assert not _is_said(await _found(options), "warning", "lifecycle")


async def test_a_login_that_may_delete_is_grave_in_production(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server)
    for strict, level in ((True, "problem"), (False, "warning")):
        assert _is_said(await _found(options, strict=strict), level, "may delete versions", "s3:DeleteObjectVersion")


@pytest.mark.parametrize(("minutes", "told"), [(5, True), (-5, True), (0, False)])
async def test_a_clock_that_is_wrong_is_told_before_the_server_refuses(
    s3_server: SharedS3, minutes: int, told: bool
) -> None:
    options = await fresh_bucket(s3_server)
    found = await _found(options, clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    assert _is_said(found, "problem", "clock", "set this machine's clock") is told


async def test_encryption_that_is_wanted_is_looked_at(s3_server: SharedS3) -> None:
    options = await fresh_bucket(s3_server, sse="AES256")
    assert not _is_said(await _found(options), "problem", "AES256")


REFUSED = Refuses(status=403, code="AccessDenied")
LOGIN = ("problem", "login is refused", "CUSTODY_BLOBS__ACCESS_KEY")


@pytest.mark.parametrize(
    ("whom", "fault", "said"),
    [
        (
            lambda asked: asked.is_put,
            Refuses(status=400, code="KMS.NotFoundException"),
            ("problem", "could not be put", "CUSTODY_BLOBS__KMS_KEY"),
        ),
        (lambda asked: asked.is_put, REFUSED, ("problem", "could not be put", "CUSTODY_BLOBS__ACCESS_KEY")),
        (lambda asked: asked.is_listing, REFUSED, ("problem", "may not list versions", "s3:ListBucketVersions")),
        (lambda asked: "?versioning" in asked.target, REFUSED, ("warning", "is not shown", "GetBucketVersioning")),
        (lambda asked: "?lifecycle" in asked.target, REFUSED, ("warning", "is not shown", "GetLifecycle")),
        (lambda asked: asked.method == "HEAD", REFUSED, LOGIN),
        (lambda asked: asked.method == "HEAD", Refuses(status=503, code="SlowDown"), ("problem", "", "slow down")),
    ],
    ids=["kms", "put", "versions", "versioning", "lifecycle", "all", "busy"],
)
async def test_what_the_login_may_not_do_is_told_with_its_remedy(
    s3_server: SharedS3, whom: Callable[[Asked], bool], fault: Refuses, said: tuple[str, str, str]
) -> None:
    found = await _found_through(s3_server, whom, fault)
    assert _is_said(found, *said)
    assert CANARY not in str(found)


async def test_a_server_that_takes_a_second_put_is_a_problem(s3_server: SharedS3) -> None:
    puts = itertools.count(1)
    found = await _found_through(s3_server, lambda asked: asked.is_put and next(puts) == 2, Refuses(status=200))
    assert _is_said(found, "problem", "takes a second put", "conditional writes")


async def _found_through(server: SharedS3, whom: Callable[[Asked], bool], fault: Refuses) -> dict[str, str]:
    options = await fresh_bucket(server)
    async with bad_connection(server.endpoint) as proxy:
        proxy.fail(whom, fault, times=100)
        found = await _found(replace(options, endpoint=proxy.endpoint))
        assert proxy.befallen
    return found
