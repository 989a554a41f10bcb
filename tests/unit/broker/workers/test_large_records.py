"""Records whose content travels apart: kept as any other, waited for in an outage, set aside when it is gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from msgspec import UNSET

from backends.memory.blobs import MemoryBlobs
from backends.memory.records import MemoryRecords
from broker.core import codec, parcels
from broker.core.delivery import Action, action_for
from broker.core.errors import (
    BlobsUnavailableError,
    CustodyError,
    DigestMismatchError,
    ObjectGoneError,
    StoreUnavailableError,
    UnstorableError,
)
from broker.core.item import ItemPart
from broker.core.metrics import NoMetrics
from broker.core.model import FetchTask
from broker.core.ports import Bounds, Capabilities, LogEntry, NewEntry
from broker.core.registry import Registry, Tenant
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.core.values import replace
from broker.workers.archive import Archive, redriven_entry
from broker.workers.media.scan import MediaScan
from tests.records import LOG, PROVIDER, TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.model import Record
    from broker.core.ports import Answer, Arrived, BlobStore, EventLog

LIMIT = 8_192
CAPABILITIES = Capabilities(
    erasable=frozenset({"media"}),
    media_life={"default": timedelta(days=7)},
    text_life={"default": timedelta(days=30)},
    min_age=timedelta(0),
    media_hosts=(),
    max_part_bytes=1000,
    rate_scope="account",
    read_back="none",
)


def lying(entry: NewEntry, offset: int) -> LogEntry:
    """An entry as it is read, from the one partition of its topic."""
    return LogEntry(
        topic=entry.topic,
        partition=0,
        offset=offset,
        key=entry.key,
        headers=entry.headers,
        value=entry.value,
        appended_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass(slots=True)
class Log:
    """Keeps what is appended; refuses what is too large, as every log does."""

    identity: str = LOG
    entry_bytes: int = LIMIT
    appended: list[NewEntry] = field(default_factory=list)

    async def append(self, entries: Sequence[NewEntry]) -> None:
        assert all(one.size <= self.entry_bytes for one in entries)
        self.appended += entries

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return {
            TopicPartition(topic, 0): Bounds(first=0, end=sum(one.topic == topic for one in self.appended))
            for topic in topics
        }

    async def read(self, place: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        there = [one for one in self.appended if one.topic == place.topic]
        return [lying(one, number) for number, one in enumerate(there) if offset <= number < offset + max_entries]

    def of(self, stream: Stream) -> list[NewEntry]:
        return [one for one in self.appended if one.topic == topic_name(TENANT, stream)]


class Store(MemoryRecords):
    """Notes how much content came with each batch; may be away."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(clock=desk.time)
        self.batches: list[int] = []
        self.away = False

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        if self.away:
            raise StoreUnavailableError("down")
        self.batches.append(sum(len(one.record.content.data) for one in batch))
        return await super().keep(batch)


class Bench:
    """An archive worker and a media scan over logs and stores in memory."""

    def __init__(self) -> None:
        self.desk = Desk(4)
        self.log, self.store, self.blobs = Log(), Store(self.desk), MemoryBlobs()
        self.trouble: CustodyError | None = None
        self.packer = parcels.Packer(entry_bytes=LIMIT, entropy=self.desk.random.randbytes)
        tenant = Tenant(name=TENANT, zone="UTC", key=self.desk.key)
        registry = Registry(tenants={TENANT: tenant}, apps={}, accounts={})
        self.archive = Archive(
            log=cast("EventLog", self.log),
            store=self.store,
            registry=lambda: registry,
            capabilities={PROVIDER: CAPABILITIES},
            metrics=NoMetrics(),
            clock=self.desk.time,
            entropy=self.desk.random.randbytes,
            blobs=self.opened,
        )
        self.scan = MediaScan(log=cast("EventLog", self.log), blobs=self.opened)
        self.end = 0

    async def opened(self) -> BlobStore:
        if self.trouble is not None:
            raise self.trouble
        return self.blobs

    async def entries(self, *records: Record) -> list[LogEntry]:
        """What the edge would put on the log."""
        return [await self._arrived(record) for record in records]

    async def _arrived(self, record: Record) -> LogEntry:
        entry, parcel = self.packer.record(record)
        await parcels.stow([parcel] if parcel else [], self.blobs)
        return self.read(entry)

    def read(self, entry: NewEntry) -> LogEntry:
        self.end += 1
        return lying(entry, self.end - 1)


async def test_a_large_record_is_kept_as_any_other() -> None:
    bench = Bench()
    large, small = bench.desk.text("long" * 5_000), bench.desk.image(caption="long" * 5_000)
    tiny = bench.desk.text()
    await bench.archive.handle(await bench.entries(large, tiny, small))
    for record in (large, tiny, small):
        kept = await bench.store.record(TENANT, record.envelope.record_id)
        assert kept is not None
        assert (kept.record.content, kept.record.envelope) == (record.content, record.envelope)
    assert len(bench.log.of(Stream.KEPT)) == 3
    assert len(bench.blobs.data) == 2


async def test_an_outage_of_the_blob_store_keeps_nothing_and_sets_nothing_aside() -> None:
    bench = Bench()
    entries = await bench.entries(bench.desk.text("long" * 5_000))
    bench.trouble = BlobsUnavailableError("down")
    with pytest.raises(BlobsUnavailableError) as caught:
        await bench.archive.handle(entries)
    assert action_for(caught.value) is Action.RETRY
    assert bench.store.tables.records == {}
    bench.trouble = None
    await bench.archive.handle(entries)
    assert len(bench.store.tables.records) == 1


@pytest.mark.parametrize(("data", "kind"), [(b"other", DigestMismatchError), (None, ObjectGoneError)])
async def test_a_content_that_is_altered_or_gone_is_set_aside_and_comes_back_once_it_is_mended(
    data: bytes | None, kind: type[CustodyError]
) -> None:
    bench = Bench()
    large = bench.desk.text("long" * 5_000)
    (entry,) = await bench.entries(large)
    ((place, whole),) = bench.blobs.data.items()
    bench.blobs.data = {} if data is None else {place: data}
    with pytest.raises(kind) as caught:
        await bench.archive.handle([entry])
    assert action_for(caught.value) is Action.NARROW
    await bench.archive.set_aside(entry, caught.value, 3)
    (dead,) = bench.log.of(Stream.DEAD)
    assert dead.value == entry.value
    bench.blobs.data = {place: whole}
    as_read = replace(entry, topic=dead.topic, key=dead.key, headers=dead.headers)
    await bench.archive.handle([bench.read(redriven_entry(as_read))])
    kept = await bench.store.record(TENANT, large.envelope.record_id)
    assert kept is not None
    assert kept.record.content == large.content
    assert not list(await bench.store.dead_letters(TENANT))


@pytest.mark.parametrize("in_a_new_process", [False, True])
async def test_an_entry_has_one_dead_letter_however_often_it_is_set_aside(*, in_a_new_process: bool) -> None:
    bench = Bench()
    first, second = await bench.entries(bench.desk.text("one"), bench.desk.text("two"))
    poison = UnstorableError("poison")

    bench.store.away = True
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await bench.archive.set_aside(first, poison, 1)
    bench.store.away = False
    archive = replace(bench.archive) if in_a_new_process else bench.archive
    for entry in (first, second):
        await archive.set_aside(entry, poison, 1)
    assert [one.value for one in bench.log.of(Stream.DEAD)] == [first.value, second.value]
    assert len(await bench.store.dead_letters(TENANT)) == 2


async def test_contents_that_are_much_together_are_kept_one_after_the_other() -> None:
    bench = Bench()
    bench.archive.most_unpacked_bytes = 60_000
    records = [bench.desk.text(f"{number:05}" * 5_000) for number in range(7)]
    entries = await bench.entries(*records)
    await bench.archive.handle(entries)
    assert len(bench.store.tables.records) == 7
    assert len(bench.store.batches) > 2
    assert max(bench.store.batches) <= 60_000 + LIMIT
    await bench.archive.handle(entries)
    assert len(bench.store.tables.records) == 7


async def test_the_parts_of_a_large_record_are_fetched() -> None:
    bench = Bench()
    large = bench.desk.image("object-1", "object-2", caption="long" * 5_000)
    await bench.scan.handle(await bench.entries(large, bench.desk.text("long" * 5_000)))
    tasks = [codec.decode(one.value, FetchTask) for one in bench.log.of(Stream.FETCHES)]
    assert [one.media.object_id for one in tasks] == ["object-1", "object-2"]
    assert [one.media.file_name for one in tasks] == [UNSET, UNSET]


async def test_a_part_whose_url_name_and_digest_have_no_end_is_still_fetched() -> None:
    bench = Bench()
    plain = bench.desk._message("document", None, "27821234567", b"caption")
    part = ItemPart(
        media_kind="document",
        mime="application/pdf",
        object_id="object-1",
        url="https://example.org/" + "x" * 50_000,
        file_name="y" * 50_000,
        sha256="z" * 50_000,
    )
    await bench.scan.handle(await bench.entries(bench.desk.seal(replace(plain, parts=(part,)))))
    (task,) = [codec.decode(one.value, FetchTask) for one in bench.log.of(Stream.FETCHES)]
    assert (task.media.object_id, task.media.url, task.media.sha256) == ("object-1", UNSET, UNSET)
