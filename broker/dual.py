"""Two stores written at once, for as long as one takes the other's place: the main one answers, the other is kept up.

Whatever is kept is kept in both, or the work waits: when either is down nothing is set aside and nothing is lost. Both
are idempotent, so that a repeat is a replay where the first try went well. Where one is behind, the worker begins, and
the log brings it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from broker.blob_copies import ALTERED, DIFFERS, MISSING, Throttle, copy_blob
from broker.core.codec import decode
from broker.core.errors import BlobExistsError, BlobsUnavailableError, MalformedEntryError
from broker.core.model import Kind, PartOutcome
from broker.core.parity import Blob
from broker.core.ports import NOTHING_KEPT, BlobInfo, BlobStore, Progress, RecordStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from broker.core.model import Record
    from broker.core.ports import (
        Adoption,
        Answer,
        Arrived,
        ClaimedTarget,
        DeadEntry,
        KeptPart,
        KeptRecord,
        KeptTarget,
        Loss,
        OpenGap,
        SealedRecord,
        Tally,
        UnkeptPart,
    )
    from broker.core.topics import TopicPartition

_FAULTS = frozenset({MISSING, ALTERED, DIFFERS})
_BLOBS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class DualRecords:
    """See `RecordStore`. What is read is read from the main store; what is written goes to both, there last.

    So whatever the main store is seen to have, the other one has too, once the one that was behind has caught up: an
    account that closes closes on both, and what is claimed for erasure was kept in both. That holds of photos as well:
    before a part's result is kept, its bytes are brought to the store that lacks them, whoever put them. `blobs` opens
    both blob stores, at the first such result. Targets are claimed from the main store alone, so that each is commanded
    once; receipts bring the other one to the same state.
    """

    main: RecordStore
    other: RecordStore
    blobs: Callable[[], Awaitable[DualBlobs]]
    _opened: list[DualBlobs] = field(default_factory=list)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        await self._bring_up(batch)
        await self.other.keep(batch)
        return await self.main.keep(batch)

    async def keep_act(self, record: Record) -> None:
        await self.other.keep_act(record)
        await self.main.keep_act(record)

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        """By the one that is behind as it is; by the other from where that stands, if it lacks some of it too."""
        places = [(await _next(store, loss), store) for store in (self.main, self.other)]
        known = [await _has(store, gap) for _, store in places]
        for place, (offset, store) in enumerate(sorted(places, key=lambda one: one[0])):
            if place == 0 and not any(known):
                await store.accept_loss(loss, gap)
            elif offset < loss.end and not await _has(store, gap):
                await store.accept_loss(replace(loss, first=max(loss.first, offset)), gap)

    async def adopt(self, adoption: Adoption) -> None:
        await self.other.adopt(adoption)
        await self.main.adopt(adoption)

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        ours, theirs = [await one.other_logs(log, topics) for one in (self.main, self.other)]
        nobody: frozenset[str] = frozenset()
        return {topic: ours.get(topic, nobody) | theirs.get(topic, nobody) for topic in ours.keys() | theirs.keys()}

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        ours, theirs = [await one.progress(log, topics) for one in (self.main, self.other)]
        return {
            place: behind(ours.get(place, NOTHING_KEPT), theirs.get(place, NOTHING_KEPT))
            for place in ours.keys() | theirs.keys()
        }

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        await self.other.claim_due(now=now, limit=0, lease=lease)  # what the clock alone makes of targets
        return await self.main.claim_due(now=now, limit=limit, lease=lease)

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        return await self.main.record(tenant, record_id)

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        return await self.main.conversation(tenant, conversation, after=after, limit=limit)

    def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        return self.main.records(tenant)

    def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        return self.main.sealed(tenant)

    def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        return self.main.kept_parts(tenant)

    def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        return self.main.unkept_parts(tenant)

    def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        return self.main.targets(tenant)

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        await self.other.unblock(tenant, target_ids)
        return await self.main.unblock(tenant, target_ids)

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        await self.other.accept_gone(tenant, target_ids)
        return await self.main.accept_gone(tenant, target_ids)

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        return await self.main.dead_letters(tenant, settled=settled)

    def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        return self.main.gaps(tenant)

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        return await self.main.tally(tenant, log, buckets=buckets)

    async def ping(self) -> None:
        await self.main.ping()
        await self.other.ping()

    async def close(self) -> None:
        for blobs in self._opened:
            await blobs.close()
        await self.main.close()
        await self.other.close()

    async def _bring_up(self, batch: Sequence[Arrived]) -> None:
        """Brings each part's bytes to both stores; of what was kept before, `custody parity` names what is wrong."""
        results = [(one.record, blob) for one in batch if (blob := _blob_of(one.record)) is not None]
        for start in range(0, len(results), _BLOBS_AT_ONCE):
            some = results[start : start + _BLOBS_AT_ONCE]
            blobs = await self._both_blobs()
            faults = await asyncio.gather(*(blobs.bring_up(blob) for _, blob in some))
            for (record, blob), fault in zip(some, faults, strict=True):
                if fault is not None and not await _has(self.main, record):
                    raise _can_not_have(blob.place, fault)

    async def _both_blobs(self) -> DualBlobs:
        async with self._opening:
            if not self._opened:
                self._opened.append(await self.blobs())
        return self._opened[0]


def _blob_of(record: Record) -> Blob | None:
    """The bytes that a part's result speaks of. Of what can't be read, the store says so."""
    if record.envelope.kind != Kind.PART:
        return None
    with suppress(MalformedEntryError):
        told = decode(record.content.data, PartOutcome)
        if isinstance(told.place, str) and isinstance(told.size, int) and isinstance(told.sha256, bytes):
            return Blob(place=told.place, size=told.size, sha256=told.sha256)
    return None


async def _next(store: RecordStore, loss: Loss) -> int:
    return (await store.progress(loss.log, [loss.place.topic])).get(loss.place, NOTHING_KEPT).next


async def _has(store: RecordStore, record: Record) -> bool:
    return await store.record(record.envelope.tenant, record.envelope.record_id) is not None


def behind(ours: Progress, theirs: Progress) -> Progress:
    """The progress of the store that is behind, beside that of the other; the first one's where both are at one."""
    later, earlier = (ours, theirs) if theirs.next < ours.next else (theirs, ours)
    return replace(earlier, beside=later)


@dataclass(frozen=True, slots=True)
class DualBlobs:
    """See `BlobStore`. A blob that the main store has is in the other one too before anybody is told of it."""

    main: BlobStore
    other: BlobStore

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        try:
            info = await self.main.put(place, chunks, max_bytes=max_bytes, sha256=sha256)
        except BlobExistsError:
            await self.stat(place)
            raise
        await self._copied(self.main, self.other, _as_blob(info))
        return info

    async def stat(self, place: str) -> BlobInfo | None:
        """What lies there in either store, once it is in both."""
        for here, there in self._ways():
            if info := await here.stat(place):
                await self._copied(here, there, _as_blob(info))
                return info if here is self.main else await self.main.stat(place)
        return None

    async def open(self, place: str) -> AsyncIterator[bytes]:
        """From the main store; from the other one what the main one lacks, since it came before they changed places."""
        store = self.main if await self.main.stat(place) is not None else self.other
        async for chunk in store.open(place):
            yield chunk

    async def bring_up(self, blob: Blob) -> str | None:
        """Brings a blob to the store that lacks it; what is wrong where it can't be brought there."""
        for here, there in self._ways():
            if await here.stat(blob.place) is not None:
                became = await copy_blob(here, there, blob, Throttle())
                return became if became in _FAULTS else None
        return None

    async def ping(self) -> None:
        await self.main.ping()
        await self.other.ping()

    async def close(self) -> None:
        await self.main.close()
        await self.other.close()

    def _ways(self) -> tuple[tuple[BlobStore, BlobStore], tuple[BlobStore, BlobStore]]:
        return (self.main, self.other), (self.other, self.main)

    async def _copied(self, here: BlobStore, there: BlobStore, blob: Blob) -> None:
        became = await copy_blob(here, there, blob, Throttle())
        if became in _FAULTS:
            raise _can_not_have(blob.place, became)


def _can_not_have(place: str, became: str) -> BlobsUnavailableError:
    what = became.replace("_left", " where it lies").replace("_", " ")
    return BlobsUnavailableError(
        f"{place}: {what}, so that both stores can't have the same; take away what is wrong, in either"
    )


def _as_blob(info: BlobInfo) -> Blob:
    return Blob(place=info.place, size=info.size, sha256=info.sha256)
