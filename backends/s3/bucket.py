"""What a bucket says of itself: each answer, or that there is none, or that the server has no such thing."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from backends.s3.errors import DRIVER_ERRORS, code_of, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from backends.s3.clients import Client


class Untold(Enum):
    """Why there is no answer."""

    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    REFUSED = "refused"


_CODES = {
    **dict.fromkeys(
        (
            *("NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"),
            *("NoSuchPublicAccessBlockConfiguration", "ServerSideEncryptionConfigurationNotFoundError"),
        ),
        Untold.ABSENT,
    ),
    **dict.fromkeys(("NotImplemented", "MethodNotAllowed", "501"), Untold.UNSUPPORTED),
    **dict.fromkeys(("AccessDenied", "403"), Untold.REFUSED),
}


async def told(work: Awaitable[Mapping[str, Any]], bucket: str) -> Mapping[str, Any] | Untold:
    """The answer, or why there is none. Raises as `guarded` does for all else."""
    try:
        return await work
    except DRIVER_ERRORS as error:
        if (reason := _CODES.get(code_of(error))) is not None:
            return reason
        problem = translated(error, bucket)
    raise problem


async def versioning(client: Client, bucket: str) -> str | Untold:
    """Enabled, Suspended, or Off."""
    found = await told(client.get_bucket_versioning(Bucket=bucket), bucket)
    return found if isinstance(found, Untold) else str(found.get("Status") or "Off")


async def lock(client: Client, bucket: str) -> Mapping[str, Any] | Untold:
    """The default retention (Mode; Days or Years), empty where objects are locked by their own wish alone."""
    found = await told(client.get_object_lock_configuration(Bucket=bucket), bucket)
    if isinstance(found, Untold):
        return found
    rule: Mapping[str, Any] = (found["ObjectLockConfiguration"].get("Rule") or {}).get("DefaultRetention") or {}
    return rule


async def public_access(client: Client, bucket: str) -> Mapping[str, Any] | Untold:
    """The public access block."""
    found = await told(client.get_public_access_block(Bucket=bucket), bucket)
    if isinstance(found, Untold):
        return found
    block: Mapping[str, Any] = found["PublicAccessBlockConfiguration"]
    return block


async def lifecycle(client: Client, bucket: str) -> list[dict[str, Any]] | Untold:
    """The lifecycle rules."""
    found = await told(client.get_bucket_lifecycle_configuration(Bucket=bucket), bucket)
    if isinstance(found, Untold):
        return [] if found is Untold.ABSENT else found
    return list(found["Rules"])


def aborts(rule: Mapping[str, Any]) -> bool:
    """Whether a rule lets go of every upload that nobody completes."""
    everywhere = not rule.get("Prefix") and not any((rule.get("Filter") or {}).values())
    return rule["Status"] == "Enabled" and "AbortIncompleteMultipartUpload" in rule and everywhere
