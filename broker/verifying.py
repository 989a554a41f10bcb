"""Is what lies in the store still what was kept? Every blob and every record is hashed again."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from broker.core.errors import DigestMismatchError, ObjectGoneError
from broker.core.ports import KeptPart
from broker.core.seals import broken_seals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from broker.core.ports import BlobStore, RecordStore

Step = Literal["records", "blobs"]
"""What one more of was hashed again."""
T = TypeVar("T")

_BLOBS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Something that is not what was kept.

    `what`: envelope, arrival, content; or blob, of that `part`, where `missing` says that nothing lies there.
    """

    record_id: str
    what: str
    part: int | None = None
    missing: bool = False

    def __str__(self) -> str:
        if self.part is None:
            return f"record {self.record_id}: its {self.what} is not what was kept"
        blob = f"record {self.record_id}, part {self.part}: its blob"
        return f"{blob} is missing" if self.missing else f"{blob} has other bytes than were kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How much was hashed again, and what came out otherwise."""

    records: int = 0
    blobs: int = 0
    mismatches: tuple[Mismatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedPart:
    """A kept part and the SHA-256 of the bytes that lie in its place; None where nothing lies there."""

    part: KeptPart
    sha256: bytes | None

    @property
    def is_sound(self) -> bool:
        """Whether these are the bytes that were kept."""
        return self.sha256 == self.part.sha256


async def hashed_parts(store: RecordStore, blobs: BlobStore, tenant: str) -> AsyncIterator[HashedPart]:
    """Every kept part of a tenant with its blob hashed again; a few at once, in memory bounded by their chunks."""
    async for group in _groups(store.kept_parts(tenant), _BLOBS_AT_ONCE):
        digests = await asyncio.gather(*(_digest(blobs, part.place) for part in group))
        for part, digest in zip(group, digests, strict=True):
            yield HashedPart(part=part, sha256=digest)


async def verify(tenant: str, *, store: RecordStore, blobs: BlobStore, step: Callable[[Step], None]) -> Verified:
    """Hashes everything of a tenant again. `step` is told of each record and each blob."""
    found: list[Mismatch] = []
    records = hashed = 0
    async for sealed in store.sealed(tenant):
        records += 1
        found += (Mismatch(record_id=sealed.record_id, what=what) for what in broken_seals(sealed))
        step("records")
    async for one in hashed_parts(store, blobs, tenant):
        hashed += 1
        if not one.is_sound:
            found.append(
                Mismatch(record_id=one.part.record_id, what="blob", part=one.part.number, missing=one.sha256 is None)
            )
        step("blobs")
    return Verified(records=records, blobs=hashed, mismatches=tuple(found))


async def _digest(blobs: BlobStore, place: str) -> bytes | None:
    """Of the bytes that lie there, also where the store itself says that they are not those that were put."""
    digest = hashlib.sha256()
    try:
        async for chunk in blobs.open(place):
            digest.update(chunk)
    except ObjectGoneError:
        return None
    except DigestMismatchError:
        pass
    return digest.digest()


async def _groups(items: AsyncIterator[T], count: int) -> AsyncIterator[list[T]]:
    group: list[T] = []
    async for one in items:
        group.append(one)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group
