"""What is too large for the log goes into the blob store, and a reference to it travels in its place.

The bytes are written first and the entry after them, so that an entry never refers to what is not there. Whoever needs
the content puts it back, size and digest checked. A blob that nobody refers to, since its append failed, stays: writers
can't delete. It lies under its record's own place, where whoever ends the record finds it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from broker.core.codec import BLOB_ENCODING, canonical, decode
from broker.core.entropy import drawn
from broker.core.errors import BlobsUnavailableError, DigestMismatchError, MalformedEntryError, TooLargeError
from broker.core.model import BlobReference, Content, Record, UnclaimedBody
from broker.core.ports import BlobStore, Entropy, NewEntry, OpenBlobs
from broker.core.seal import entry_of
from broker.core.topics import UNCLAIMED_TENANT
from broker.core.values import replace

HEADROOM_BYTES = 4_096
"""What an entry leaves free of the log's limit: a dead letter has reasons in its headers, and a redrive names it."""

_MARK_BYTES = 10
_CHUNK_BYTES = 1_048_576

ToEntry = Callable[[UnclaimedBody], NewEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Bytes on their way into the blob store."""

    place: str
    data: bytes = field(repr=False)
    sha256: bytes = field(repr=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, for `BlobStore.put`."""
        for start in range(0, len(self.data), _CHUNK_BYTES):
            yield self.data[start : start + _CHUNK_BYTES]

    def reference(self, encoding: str) -> BlobReference:
        """What travels in the place of the bytes."""
        return BlobReference(place=self.place, size=len(self.data), sha256=self.sha256, encoding=encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packer:
    """Makes entries that fit the log. `entry_bytes` is the log's limit; places are marked at random.

    A record delivered twice has two salts, hence two contents: a place of its own for each keeps them apart.
    """

    entry_bytes: int
    entropy: Entropy

    def record(self, record: Record) -> tuple[NewEntry, Parcel | None]:
        """A record's entry, and its content apart where both are too large together.

        `TooLargeError`: it is too large even without its content.
        """
        entry = entry_of(record)
        if self._fits(entry):
            return entry, None
        content, envelope = record.content, record.envelope
        parcel = self._parcel(f"{envelope.tenant}/{envelope.record_id}/content", content.data)
        refers = replace(content, encoding=BLOB_ENCODING, data=canonical(parcel.reference(content.encoding)))
        return self._checked(entry_of(replace(record, content=refers))), parcel

    def body(self, body: UnclaimedBody, entry_of: ToEntry) -> tuple[NewEntry, Parcel | None]:
        """An unclaimed body's entry likewise. Whose it is stands in the body, and may be what is too large."""
        entry = entry_of(body)
        if self._fits(entry) or body.body is UNSET:
            return entry, None
        parcel = self._parcel(f"{UNCLAIMED_TENANT}/{body.delivery.id}/body", body.body)
        small = replace(body, body=UNSET, blob=parcel.reference(""), account=UNSET, account_group=UNSET)
        return self._checked(entry_of(small)), parcel

    def _fits(self, entry: NewEntry) -> bool:
        return entry.size <= self.entry_bytes - HEADROOM_BYTES

    def _checked(self, entry: NewEntry) -> NewEntry:
        if not self._fits(entry):
            message = f"an entry of {entry.size} bytes without its content; the log takes {self.entry_bytes}"
            raise TooLargeError(message)
        return entry

    def _parcel(self, place: str, data: bytes) -> Parcel:
        mark = base64.b32encode(drawn(self.entropy, _MARK_BYTES, place, fresh=True)).decode().lower()
        return Parcel(place=f"{place}-{mark}", data=data, sha256=hashlib.sha256(data).digest())


def reference_of(content: Content) -> BlobReference | None:
    """Where a content lies if it travels apart."""
    return decode(content.data, BlobReference) if content.encoding == BLOB_ENCODING else None


async def no_blobs() -> BlobStore:
    """Stands in where nothing is expected to be too large for the log."""
    raise BlobsUnavailableError("no blob store is at hand for what is too large for the log")


async def stow(parcels: Sequence[Parcel], blobs: BlobStore) -> None:
    """Puts parcels into the blob store; durable on return. `BlobsUnavailableError`: append nothing."""
    for parcel in parcels:
        await blobs.put(parcel.place, parcel.chunks(), max_bytes=len(parcel.data), sha256=parcel.sha256)


async def unpacked(record: Record, blobs: OpenBlobs) -> Record:
    """The record with its content, wherever that lies.

    `BlobsUnavailableError`: try again. `ObjectGoneError`, `DigestMismatchError`: it is gone, or is not what was put
    there.
    """
    reference = reference_of(record.content)
    if reference is None:
        return record
    data = await _fetched(reference, await blobs())
    return replace(record, content=replace(record.content, encoding=reference.encoding, data=data))


async def body_of(body: UnclaimedBody, blobs: OpenBlobs) -> bytes:
    """An unclaimed body's bytes, wherever they lie; errors as of `unpacked`."""
    if body.body is not UNSET:
        return body.body
    if body.blob is UNSET:
        raise MalformedEntryError(f"delivery {body.delivery.id}: an unclaimed body without bytes")
    return await _fetched(body.blob, await blobs())


async def _fetched(reference: BlobReference, blobs: BlobStore) -> bytes:
    data = bytearray()
    async for chunk in blobs.open(reference.place):
        data += chunk
        if len(data) > reference.size:
            break
    if len(data) != reference.size or hashlib.sha256(data).digest() != reference.sha256:
        message = f"{reference.place}: the bytes there are not those that the log refers to"
        raise DigestMismatchError(message)
    return bytes(data)
