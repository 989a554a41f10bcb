"""Whether anything was ever put at a place, though a delete marker may hide it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.s3.errors import guarded

if TYPE_CHECKING:
    from backends.s3.clients import Client
    from backends.s3.options import Location


async def is_taken(client: Client, at: Location) -> bool:
    """Looks at the versions, since `If-None-Match: *` lets a put pass over a delete marker.

    A key's own versions come before those of every longer key, in pages of a thousand.
    """
    after: dict[str, str] = {}
    while True:
        page = await guarded(client.list_object_versions(Bucket=at.bucket, Prefix=at.key, **after), at.bucket)
        if any(one["Key"] == at.key for one in page.get("Versions", ())):
            return True
        if not page.get("IsTruncated") or page["NextKeyMarker"] != at.key:
            return False
        after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
