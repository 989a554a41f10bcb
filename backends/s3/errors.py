"""One place where the driver's errors become Custody's. None of its words are passed on: they quote keys and names."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from broker.core.errors import BlobsUnavailableError, ObjectGoneError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

DRIVER_ERRORS = (
    ClientError,
    BotoCoreError,
    aiohttp.ClientError,
    OSError,  # a TimeoutError is one
    asyncio.IncompleteReadError,
)

ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})  # the last: a delete marker, by its version
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
UPLOAD_GONE = frozenset({"NoSuchUpload"})
_NOT_FOUND = "404"  # what HEAD has for a key and for a bucket alike: its answer has no body that could say more
_WORD = re.compile(r"[A-Za-z0-9.]{1,60}")

_CLOCK = "this machine's clock and the server's are too far apart: set this machine's clock"
_KMS = "the key for encryption is refused or missing: look at CUSTODY_BLOBS__KMS_KEY and who may use it"
_REFUSED = "the login is refused, or may not do this: look at CUSTODY_BLOBS__ACCESS_KEY, its secret and its policy"
_BUSY = "it asks to slow down; try again later"
_DAMAGED = "bytes were damaged on their way; nothing was kept, try again"
_REMEDIES = {
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"), _DAMAGED
    ),
    **dict.fromkeys(("SlowDown", "503", "ServiceUnavailable", "Throttling", "TooManyRequests", "429"), _BUSY),
    **dict.fromkeys(
        (
            *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
            *("AccountProblem", "AllAccessDisabled", "InvalidSecurity", "Forbidden", "Unauthorized", "401", "403"),
        ),
        _REFUSED,
    ),
}


class AbsentError(Exception):
    """Nothing lies there."""


class TakenError(Exception):
    """Something lies there, or is being put there: the condition of the put does not hold."""


class UploadGoneError(Exception):
    """The upload was completed or aborted before."""


async def guarded(work: Awaitable[T], bucket: str) -> T:
    """Awaits `work` and raises Custody's errors in place of the driver's.

    AbsentError, TakenError, UploadGoneError: as said. BlobsUnavailableError: all else, with its remedy.
    """
    try:
        return await work
    except DRIVER_ERRORS as error:
        problem = translated(error, bucket)
    # Outside the handler, so that the driver's error does not travel along as its context.
    raise problem


def translated(error: BaseException, bucket: str) -> Exception:
    """What a driver's error means. An unknown one is retryable: by waiting nothing is lost."""
    code = code_of(error)
    if code in ABSENT or code == _NOT_FOUND:
        return AbsentError()
    if code in TAKEN:
        return TakenError()
    if code in UPLOAD_GONE:
        return UploadGoneError()
    name = f"{type(error).__name__} {code}".rstrip()
    if code == "NoSuchBucket":
        return missing_bucket(bucket)
    remedy = _KMS if code.startswith("KMS.") else _REMEDIES.get(code, "try again later")
    return BlobsUnavailableError(f"S3 did not do it in bucket {bucket} ({name}): {remedy}")


def code_of(error: BaseException) -> str:
    """The server's code for it, such as SlowDown; empty where the server said nothing that may be repeated."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code") or "")
    if not code:
        code = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or "")
    return code if _WORD.fullmatch(code) else ""


def missing_bucket(bucket: str) -> BlobsUnavailableError:
    """It may come yet, and then nothing is lost."""
    return BlobsUnavailableError(f"There is no bucket {bucket}: make it with: custody init")


def gone(place: str) -> ObjectGoneError:
    """For whoever wants to read what is not there."""
    return ObjectGoneError(f"{place}: no blob lies there")
