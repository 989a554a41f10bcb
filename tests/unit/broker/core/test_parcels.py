"""What is too large for the log: apart in the blob store, and back again."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from backends.memory.blobs import MemoryBlobs
from broker.core import codec, parcels
from broker.core.errors import DigestMismatchError, MalformedEntryError, ObjectGoneError, TooLargeError
from broker.core.model import Delivery, Party, UnclaimedBody
from broker.core.parcels import HEADROOM_BYTES, Packer
from broker.core.ports import DeadLetter, LogEntry, NewEntry
from broker.core.seal import entry_of
from broker.core.values import replace
from broker.workers.archive import dead_entry, redriven_entry
from tests.records import Desk

if TYPE_CHECKING:
    from broker.core.model import Record
    from broker.core.ports import BlobStore, OpenBlobs

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LIMIT = 16_384


def packer(limit: int = LIMIT) -> Packer:
    counter = itertools.count()
    return Packer(entry_bytes=limit, entropy=lambda size: hashlib.shake_256(str(next(counter)).encode()).digest(size))


def record(content_bytes: int) -> Record:
    made = Desk(1).text()
    return replace(made, content=replace(made.content, data=b"canary" + bytes(content_bytes)))


def opened(blobs: MemoryBlobs) -> OpenBlobs:
    async def open_blobs() -> BlobStore:
        return blobs

    return open_blobs


async def test_what_fits_travels_as_it_is() -> None:
    small = record(100)
    assert packer().record(small) == (entry_of(small), None)
    assert await parcels.unpacked(small, parcels.no_blobs) == small


async def test_what_does_not_fit_comes_back_as_it_was() -> None:
    large, blobs = record(50_000), MemoryBlobs()
    entry, parcel = packer().record(large)
    assert parcel is not None
    await parcels.stow([parcel], blobs)
    travelled = codec.decode_record(entry.value)
    assert (travelled.envelope, travelled.arrival, travelled.fingerprint) == (
        large.envelope,
        large.arrival,
        large.fingerprint,
    )
    assert b"canary" not in entry.value
    assert entry.size < HEADROOM_BYTES
    assert await parcels.unpacked(travelled, opened(blobs)) == large


def test_the_same_record_twice_lies_at_two_places_of_its_own() -> None:
    packs, large = packer(), record(50_000)
    found = [parcel.place for _, parcel in (packs.record(large), packs.record(large)) if parcel is not None]
    assert len(set(found)) == 2
    envelope = large.envelope
    assert all(one.startswith(f"{envelope.tenant}/{envelope.record_id}/content-") for one in found)


def test_no_entry_is_so_large_that_its_dead_letter_or_a_redrive_would_not_fit() -> None:
    made = record(0)
    room = LIMIT - HEADROOM_BYTES
    sizes = [size for size in range(4_000, room) if packer().record(record(size))[1] is None]
    largest, parcel = packer().record(replace(made, content=record(sizes[-1]).content))
    assert parcel is None
    assert room - 4 < largest.size <= room
    for _ in range(3):
        dead = dead_entry(read(largest), DeadLetter(code="c" * 40, attempts=10**9, at=AT), "t" * 40)
        assert dead.size <= LIMIT
        largest = redriven_entry(read(dead))
        assert largest.size <= LIMIT


def read(entry: NewEntry) -> LogEntry:
    return LogEntry(
        topic=entry.topic,
        partition=1023,
        offset=10**12,
        key=entry.key,
        headers=entry.headers,
        value=entry.value,
        appended_at=AT,
    )


def test_a_header_s_name_counts_by_its_bytes_as_a_log_counts_them() -> None:
    plain, wide = (NewEntry(topic="t", key=b"", headers=((name, b""),), value=b"") for name in ("e", "\u00e9"))
    assert wide.size == plain.size + 1


def test_an_envelope_that_is_itself_too_large_is_refused() -> None:
    crowd = tuple(Party(role="participant", identity="phone", pseudonym=f"pty_{n:030}") for n in range(500))
    made = record(10)
    with pytest.raises(TooLargeError):
        packer().record(replace(made, envelope=replace(made.envelope, parties=crowd)))


async def test_bytes_that_were_altered_or_are_gone_are_not_taken_for_the_content() -> None:
    blobs = MemoryBlobs()
    entry, parcel = packer().record(record(50_000))
    assert parcel is not None
    travelled = codec.decode_record(entry.value)
    for data in (parcel.data[:-1], parcel.data + b"\0", parcel.data[:-1] + b"\1", b""):
        blobs.data[parcel.place] = data
        with pytest.raises(DigestMismatchError) as caught:
            await parcels.unpacked(travelled, opened(blobs))
        assert "canary" not in str(caught.value)
    del blobs.data[parcel.place]
    with pytest.raises(ObjectGoneError):
        await parcels.unpacked(travelled, opened(blobs))


def unclaimed(size: int, account: str = "pn-1") -> UnclaimedBody:
    return UnclaimedBody(
        provider="chat",
        app="acme-app",
        account=account,
        received_at=AT,
        delivery=Delivery(id="dlv_one", index=3, connector="chat/1"),
        body=b"canary" * (size // 6),
    )


def to_entry(body: UnclaimedBody) -> NewEntry:
    return NewEntry(topic="custody.unclaimed.bodies.v1", key=b"dlv_one", headers=(), value=codec.canonical(body))


@pytest.mark.parametrize("account", ["pn-1", "1" * 50_000])
async def test_a_body_that_nobody_owns_comes_back_as_it_was(account: str) -> None:
    large, blobs = unclaimed(60_000, account), MemoryBlobs()
    entry, parcel = packer().body(large, to_entry)
    assert parcel is not None
    await parcels.stow([parcel], blobs)
    assert entry.size < HEADROOM_BYTES
    travelled = codec.decode(entry.value, UnclaimedBody)
    assert travelled.body is UNSET
    assert travelled.delivery == large.delivery
    assert parcel.place.startswith("unclaimed/dlv_one/body-")
    assert await parcels.body_of(travelled, opened(blobs)) == large.body
    assert await parcels.body_of(large, parcels.no_blobs) == large.body


async def test_a_body_without_bytes_is_malformed() -> None:
    with pytest.raises(MalformedEntryError):
        await parcels.body_of(replace(unclaimed(6), body=UNSET), parcels.no_blobs)


def test_references_tell_nothing_of_what_they_stand_for() -> None:
    _, parcel = packer().record(record(50_000))
    assert parcel is not None
    shown = repr((parcel, parcel.reference("x")))
    assert "canary" not in shown
    assert parcel.sha256.hex() not in shown
    assert repr(parcel.sha256) not in shown
