"""What of a bucket breaks a promise, and the remedy: `s3_findings` asks, `judge` is pure, from facts to findings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backends.s3.bucket import Untold, aborts
from backends.s3.clients import Clients
from backends.s3.facts import bucket_facts
from backends.s3.options import joined
from backends.s3.prepare import PRIVATE
from broker.core.ports import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backends.s3.facts import BucketFacts
    from backends.s3.options import S3Options
    from broker.core.ports import Clock

_INIT = "custody init"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SKEW_SECONDS = 60.0
"""Servers refuse at 15 minutes; long before that something is wrong."""
_DAYS_PER_YEAR = 365
_TAKES_AWAY = {
    "Expiration": "deletes objects",
    "NoncurrentVersionExpiration": "deletes versions",
    "Transitions": "moves objects elsewhere",
    "NoncurrentVersionTransitions": "moves versions elsewhere",
}


async def s3_findings(
    options: S3Options,
    *,
    strict: bool,
    retention_days: int = 0,
    clock: Clock = lambda: datetime.now(UTC),
) -> Sequence[Finding]:
    """Every finding. `strict`: what is only fit for trying out is a problem, not a warning.

    `retention_days`: so long blobs have to be locked; 0 asks for no lock but the one that the options want.
    """
    clients = Clients(options)
    try:
        facts = [
            await bucket_facts(await clients.of(home.region or options.region), home, options, clock)
            for home in options.homes()
        ]
    finally:
        await clients.close()
    return judge(facts, options, strict=strict, retention_days=retention_days)


def judge(facts: Sequence[BucketFacts], options: S3Options, *, strict: bool, retention_days: int = 0) -> list[Finding]:
    """Every finding of these buckets."""
    grave = "problem" if strict else "warning"
    found = [*_connection(options, grave), *_wishes(options, retention_days)]
    for one in facts:
        found += _bucket(one, options, grave)
    if not any(one.level == "problem" for one in found):
        names = ", ".join(one.home.bucket for one in facts)
        found.insert(0, Finding(level="ok", subject="blobs", message=f"{names}: nothing breaks a promise"))
    return found


def _connection(options: S3Options, grave: str) -> Iterator[Finding]:
    parts = urlsplit(options.endpoint or "https:")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        message = "the connection is plain HTTP: whoever is on the way reads every blob"
        yield Finding(level=grave, subject="blobs", message=message, remedy="CUSTODY_BLOBS__ENDPOINT=https://..")


def _wishes(options: S3Options, retention_days: int) -> Iterator[Finding]:
    if options.lock_days < retention_days:
        message = f"blobs are locked for {options.lock_days} days, and are to be for {retention_days}"
        remedy = f"CUSTODY_BLOBS__LOCK_MODE=compliance and CUSTODY_BLOBS__LOCK_DAYS={retention_days}"
        yield Finding(level="problem", subject="blobs", message=message, remedy=remedy)


def _bucket(facts: BucketFacts, options: S3Options, grave: str) -> list[Finding]:
    bucket = facts.home.bucket
    if facts.is_missing:
        return [_problem(bucket, "there is no such bucket: no blob can be kept", _INIT)]
    if facts.refusal is not None:
        message, _, remedy = facts.refusal.rpartition(": ")
        return [_problem(bucket, message, remedy)]
    return [
        *_clock(facts),
        *_versions(facts),
        *_lock(facts, options),
        *_public(facts, grave),
        *_lifecycle(facts),
        *_probe(facts, options, grave),
    ]


def _clock(facts: BucketFacts) -> Iterator[Finding]:
    if facts.skew_seconds is not None and abs(facts.skew_seconds) > _SKEW_SECONDS:
        message = f"the server's clock and this machine's are {abs(facts.skew_seconds):.0f} s apart"
        remedy = "set this machine's clock: at 15 minutes the server refuses every request"
        yield _problem(facts.home.bucket, message, remedy)


def _versions(facts: BucketFacts) -> Iterator[Finding]:
    if facts.versioning is Untold.REFUSED:
        yield _untold(facts, "versioning", "s3:GetBucketVersioning")
    elif facts.versioning != "Enabled":
        said = facts.versioning.value if isinstance(facts.versioning, Untold) else facts.versioning.lower()
        message = f"versioning is {said}: what somebody overwrites or deletes is gone"
        yield _problem(facts.home.bucket, message, _INIT)


def _lock(facts: BucketFacts, options: S3Options) -> Iterator[Finding]:
    bucket = facts.home.bucket
    if options.lock_mode is None and not options.legal_hold:
        return
    if facts.lock is Untold.REFUSED:
        yield _untold(facts, "object lock", "s3:GetBucketObjectLockConfiguration")
    elif isinstance(facts.lock, Untold):
        message = "object lock is wanted, and the bucket has none: every put is refused"
        remedy = "turn object lock on for the bucket, or name a new one and run: custody init"
        yield _problem(bucket, message, remedy)
    elif options.lock_mode is not None:
        days = facts.lock.get("Days") or _DAYS_PER_YEAR * (facts.lock.get("Years") or 0)
        if days < options.lock_days or facts.lock.get("Mode") != options.lock_mode.upper():
            message = f"the bucket's own retention ({days} days) is less than blobs get ({options.lock_days} days)"
            remedy = f"set the bucket's default retention to {options.lock_mode}, {options.lock_days} days"
            yield Finding(level="warning", subject=bucket, message=message, remedy=remedy)


def _public(facts: BucketFacts, grave: str) -> Iterator[Finding]:
    if facts.public_access is Untold.UNSUPPORTED:
        message = "this server has no public access block: a policy alone keeps strangers out"
        remedy = "look that no policy and no anonymous login reads the bucket"
        yield Finding(level="warning", subject=facts.home.bucket, message=message, remedy=remedy)
    elif facts.public_access is Untold.REFUSED:
        yield _untold(facts, "the public access block", "s3:GetBucketPublicAccessBlock")
    elif facts.public_access != PRIVATE:
        message = "public access is not blocked: one policy by mistake shows every blob to the world"
        yield Finding(level=grave, subject=facts.home.bucket, message=message, remedy=_INIT)


def _lifecycle(facts: BucketFacts) -> Iterator[Finding]:
    if facts.lifecycle is Untold.REFUSED:
        yield _untold(facts, "the lifecycle", "s3:GetLifecycleConfiguration")
    if isinstance(facts.lifecycle, Untold):
        return
    for rule in facts.lifecycle:
        if not _reaches(rule, facts.home.prefix):
            continue
        for action in [what for name, what in _TAKES_AWAY.items() if rule.get(name) and rule["Status"] == "Enabled"]:
            message = f"the lifecycle rule {rule.get('ID') or 'without a name'} {action}, and with them what was kept"
            yield _problem(facts.home.bucket, message, "take it out, or leave the blobs' prefix out of it")
    if not any(aborts(one) for one in facts.lifecycle):
        message = "no lifecycle rule ends incomplete uploads: Custody sweeps them once a day, while it runs"
        yield Finding(level="warning", subject=facts.home.bucket, message=message, remedy=_INIT)


def _reaches(rule: Mapping[str, Any], prefix: str) -> bool:
    """Whether a rule may apply to a key below the blobs' prefix; by tags and sizes it may."""
    wanted = rule.get("Filter") or {}
    of_rule = rule.get("Prefix") or wanted.get("Prefix") or (wanted.get("And") or {}).get("Prefix") or ""
    below = joined(prefix, "")
    return bool(below.startswith(of_rule) or of_rule.startswith(below))


def _probe(facts: BucketFacts, options: S3Options, grave: str) -> Iterator[Finding]:
    bucket, probe = facts.home.bucket, facts.probe
    if probe.refusal is not None:
        message, _, remedy = probe.refusal.rpartition(": ")
        yield _problem(bucket, f"an object could not be put for trying: {message}", remedy)
        return
    if probe.is_put_twice:
        message = "the server takes a second put in spite of If-None-Match: two writers could overwrite each other"
        yield _problem(bucket, message, "use a server, or a version of it, that honours conditional writes")
    if not probe.may_list_versions:
        message = "the login may not list versions: a blob below a delete marker could be put again"
        yield _problem(bucket, message, "let it s3:ListBucketVersions")
    if probe.may_delete and options.lock_mode is None:
        message = "the login may delete versions: whoever has it can take away what was kept"
        yield Finding(level=grave, subject=bucket, message=message, remedy="take s3:DeleteObjectVersion from it")
    if options.sse is not None and probe.encryption != options.sse:
        message = f"{options.sse} is wanted, and objects come out encrypted by {probe.encryption or 'nothing'}"
        yield _problem(bucket, message, "look at CUSTODY_BLOBS__SSE, and at what the server has")
    if options.kms_key is not None and not (probe.key or "").endswith(options.kms_key):
        message = "objects are encrypted with another key than the one that is wanted"
        yield _problem(bucket, message, "look at CUSTODY_BLOBS__KMS_KEY")


def _untold(facts: BucketFacts, what: str, right: str) -> Finding:
    message = f"{what} is not shown to this login"
    return Finding(level="warning", subject=facts.home.bucket, message=message, remedy=f"let it {right}, or look")


def _problem(bucket: str, message: str, remedy: str) -> Finding:
    return Finding(level="problem", subject=bucket, message=message, remedy=remedy)
