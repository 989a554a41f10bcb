"""What S3 says of an object, and what is said to it when one is put. Pure.

The digest of a blob is in its metadata (`custody-sha256`, hex). Where a blob goes up in parts and nobody announced its
digest, the metadata are sent before it is known: then it is a tag of the same name, set once the blob is there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from broker.core.ports import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backends.s3.options import Location, S3Options

DIGEST = "custody-sha256"
WRITE = "custody-write"
_DIGEST_BYTES = 32


def target(at: Location) -> dict[str, Any]:
    """Which object is meant."""
    return {"Bucket": at.bucket, "Key": at.key}


def protection(options: S3Options, now: datetime) -> dict[str, Any]:
    """Encryption, retention and hold, as the options want them."""
    wanted: dict[str, Any] = {}
    if options.sse is not None:
        wanted["ServerSideEncryption"] = options.sse
    if options.kms_key is not None:
        wanted["SSEKMSKeyId"] = options.kms_key
    if options.lock_mode is not None:
        wanted["ObjectLockMode"] = options.lock_mode.upper()
        wanted["ObjectLockRetainUntilDate"] = now + timedelta(days=options.lock_days)
    if options.legal_hold:
        wanted["ObjectLockLegalHoldStatus"] = "ON"
    return wanted


def metadata(write: str, sha256: bytes | None) -> dict[str, str]:
    """`write` names this attempt: by it a blob is known again whose acknowledgement was lost."""
    return {WRITE: write} if sha256 is None else {WRITE: write, DIGEST: sha256.hex()}


def version_of(answer: Mapping[str, Any]) -> str:
    """The version the server gave; its ETag where the bucket keeps no versions."""
    version = answer.get("VersionId")
    return str(version) if version and version != "null" else str(answer["ETag"]).strip('"')


def pinned(answer: Mapping[str, Any]) -> dict[str, str]:
    """What asks for the very same object again."""
    return same_version(answer) or {"IfMatch": str(answer["ETag"])}


def same_version(answer: Mapping[str, Any]) -> dict[str, str]:
    """What asks for that version, where there are versions."""
    version = answer.get("VersionId")
    return {"VersionId": str(version)} if version and version != "null" else {}


def is_of(answer: Mapping[str, Any], write: str) -> bool:
    """Whether this object was put by that attempt."""
    return bool(answer["Metadata"].get(WRITE) == write)


def digest_in(answer: Mapping[str, Any]) -> bytes | None:
    """The digest in an object's metadata; None if there is none, or none that can be."""
    return _digest(answer["Metadata"].get(DIGEST))


def digest_among(tags: Mapping[str, Any]) -> bytes | None:
    """The same of an object's tags."""
    return next((_digest(one["Value"]) for one in tags["TagSet"] if one["Key"] == DIGEST), None)


def info(at: Location, answer: Mapping[str, Any], sha256: bytes) -> BlobInfo:
    """What the store says of a blob, from what S3 says of its object."""
    return BlobInfo(place=at.place, size=int(answer["ContentLength"]), sha256=sha256, version=version_of(answer))


def _digest(text: str | None) -> bytes | None:
    try:
        found = bytes.fromhex(text or "")
    except ValueError:
        return None
    return found if len(found) == _DIGEST_BYTES else None
