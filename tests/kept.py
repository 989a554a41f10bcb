"""A store with something of everything in it, and everything that can be read of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from backends.memory import MemoryBlobs
from broker.core.model import Record
from broker.core.tables import TABLES
from broker.core.topics import ARCHIVED_STREAMS, topic_name
from broker.dual import DualBlobs, DualRecords
from tests.records import LOG, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backends.memory import MemoryRecords
    from broker.core.ports import BlobStore, RecordStore
    from broker.core.ports.tables import TableStore
    from broker.core.tables import Row

PHOTO = b"a photo"


@dataclass
class Traffic:
    """What was kept, by what a test may want to name."""

    desk: Desk
    photos: list[Record] = field(default_factory=list)

    async def keep(self, store: RecordStore, blobs: BlobStore | None = None, *, rounds: int = 2) -> None:
        """Keeps a bit of everything, several times over."""
        for _ in range(rounds):
            await self._round(store, blobs)

    async def _round(self, store: RecordStore, blobs: BlobStore | None) -> None:
        desk = self.desk
        photo, pair = desk.image(caption="one"), desk.image("media-1", "media-2")
        self.photos += [photo, pair]
        native = f"wamid.{len(self.photos)}"
        first, other = desk.image(native=native, caption="nine"), desk.image(native=native, caption="ten")
        await store.keep([desk.arrive(one) for one in (desk.text(), photo, pair, first, other)])
        await store.keep([desk.arrive(desk.text(), partition=1), desk.arrive(desk.text(thread="4915"), partition=1)])
        await store.keep([desk.arrive(desk.status()), desk.arrive(desk.status(photo)), desk.arrive(desk.gap())])
        desk.time.pass_(minutes=20)
        results = [
            desk.kept(photo, data=PHOTO),
            desk.kept(first),
            desk.lost(pair, 1),
            desk.lost(other, reason="expired"),
        ]
        if blobs is not None:
            for of, data in ((photo, PHOTO), (first, PHOTO)):
                place = f"{desk.tenant}/{of.envelope.record_id}/1"
                await blobs.put(place, _pieces(data), max_bytes=len(data))
        await store.keep([desk.arrive(one) for one in results])
        text = desk.text()
        dead, stays = desk.die(text), desk.die(desk.text())
        await store.keep([dead, stays, desk.arrive(text, redrive_of=dead), desk.arrive(text)])
        await store.keep_act(desk.act())
        claimed = await store.claim_due(now=desk.time.now, limit=1, lease=timedelta(minutes=5))
        receipts = [desk.receipt(one.command.target_id, "retry") for one in claimed]
        await store.keep([desk.arrive(one) for one in receipts])
        desk.time.pass_(minutes=20)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def everything(store: RecordStore, tenant: str, log: str = LOG) -> dict[str, object]:
    """All that the store tells of a tenant."""
    records = {one.record_id: one async for one in store.records(tenant)}
    conversations = sorted({one.record.envelope.conversation for one in records.values()})
    by_conversation = {one: await store.conversation(tenant, one, limit=10_000) for one in conversations}
    return {
        "records": records,
        "sealed": {one.record_id: one async for one in store.sealed(tenant)},
        "conversations": {name: [one.record_id for one in found] for name, found in by_conversation.items()},
        "kept parts": {(one.record_id, one.number): one async for one in store.kept_parts(tenant)},
        "unkept parts": {(one.record_id, one.number): one async for one in store.unkept_parts(tenant)},
        "targets": {one.target_id: one async for one in store.targets(tenant)},
        "tally": await store.tally(tenant, log, buckets=True),
        "progress": await store.progress(log, [topic_name(tenant, stream) for stream in ARCHIVED_STREAMS]),
        "dead letters": await store.dead_letters(tenant, settled=True),
        "gaps": [one async for one in store.gaps(tenant)],
    }


async def all_rows(tables: TableStore) -> dict[tuple[str, str], list[Row]]:
    """Every row, by table and tenant."""
    async with tables.snapshot() as snapshot:
        return {
            (table.name, tenant): [row async for row in snapshot.scan(table, tenant, table.columns)]
            for tenant in await snapshot.tenants()
            for table in TABLES
        }


async def copy_rows(left: TableStore, right: TableStore) -> None:
    """Inserts every row of one store into another."""
    for (name, _), rows in (await all_rows(left)).items():
        await right.insert(next(one for one in TABLES if one.name == name), rows)
    await right.renumber()


def both(main: MemoryRecords, other: MemoryRecords, blobs: DualBlobs | None = None) -> DualRecords:
    """Both at once; without photos, unless their blob stores are given."""

    async def opened() -> DualBlobs:
        return blobs or DualBlobs(MemoryBlobs(), MemoryBlobs())

    return DualRecords(main, other, opened)
