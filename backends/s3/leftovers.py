"""Uploads that nobody completed or aborted, as of a writer that was killed: they are paid for, and shown to nobody."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from backends.s3.errors import AbsentError, UploadGoneError, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from backends.s3.clients import Client
    from backends.s3.options import TenantBucket

LEFT_FOR = timedelta(days=1)
"""No writer that lives takes so long."""


async def sweep_uploads(client: Client, home: TenantBucket, now: datetime) -> int:
    """Aborts uploads below the prefix that began more than a day ago; how many. `BlobsUnavailableError`: not now."""
    count = 0
    async for one in _uploads(client, home):
        if now - one["Initiated"] > LEFT_FOR:
            with suppress(AbsentError, UploadGoneError):
                named = {"Bucket": home.bucket, "Key": one["Key"], "UploadId": one["UploadId"]}
                await guarded(client.abort_multipart_upload(**named), home.bucket)
                count += 1
    return count


async def _uploads(client: Client, home: TenantBucket) -> AsyncIterator[dict[str, Any]]:
    prefix = f"{home.prefix.rstrip('/')}/" if home.prefix else ""
    after: dict[str, str] = {}
    while True:
        page = await guarded(client.list_multipart_uploads(Bucket=home.bucket, Prefix=prefix, **after), home.bucket)
        for one in page.get("Uploads", ()):
            yield one
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
