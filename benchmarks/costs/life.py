"""The life of made-up messages, one stage after the other, in one log and one store: what each stage took.

Texts, statuses and documents are kept; the documents' parts are fetched, and the results kept; their targets are
commanded and erased, and the receipts kept. Each stage is the worker that `custody run` has.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from backends.postgres.records import PostgresRecords
from benchmarks import tenant, traffic
from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.children import outcome
from benchmarks.costs.standing import Standing, blob_bytes, standing
from benchmarks.digests import NotTheSameError
from benchmarks.erase.orders import WorkerOrders as EraseOrders
from benchmarks.logs import LogAt, LogKind, empty_log, fill, open_log, told
from benchmarks.machine import Spent
from benchmarks.media.orders import BlobsAt
from benchmarks.media.orders import WorkerOrders as MediaOrders
from benchmarks.provider import address, content, object_ids
from benchmarks.stage import Kind, Place, Stage
from broker.core import codec, model
from broker.core.metrics import NoMetrics
from broker.core.model import ErasureOutcome, PartState
from broker.core.topics import Stream
from broker.sizing.costs import EntryCosts, WorkerCosts
from broker.workers.media import MediaScan
from broker.workers.relay import Relay
from connectors.simulator.payloads.contents import MediaRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    from broker.core.ports import EventLog, NewEntry

PART_BYTES = 60_000
_MICROSECONDS = 1_000_000
_TEXTS, _STATUSES, _DOCUMENTS = 11, 12, 13
"""Seeds: no id comes twice."""
_SCAN_ENTRIES = 1000
_LATER = tenant.AT + timedelta(days=1)
_LEASE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How many there are of each."""

    texts: int
    statuses: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Entries of a stream kept: what stood before they were there, once they were, and once they were kept."""

    stream: Stream
    entries: int
    spent: Spent
    before: Standing
    there: Standing
    after: Standing

    def costs(self, source: str, *, disk: float) -> EntryCosts:
        """What one of them costs; `disk` bytes lie there for each byte of a row of the log."""
        lain = [(self.before.on(one), self.after.on(one)) for one in (self.stream, Stream.KEPT)]
        rows = sum(after.row_bytes - before.row_bytes for before, after in lain)
        return EntryCosts(
            source=source,
            worker_microseconds=self._each(self.spent.seconds * _MICROSECONDS),
            cpu_microseconds=self._each(self.spent.cpu_seconds * _MICROSECONDS),
            server_microseconds=self._each((self.after.server_seconds - self.there.server_seconds) * _MICROSECONDS),
            store_bytes=self._each(self.after.store_bytes - self.before.store_bytes),
            wal_bytes=self._each(self.after.wal_bytes - self.there.wal_bytes),
            log_bytes=self._each(rows * disk),
            entry_bytes=self._each(sum(after.entry_bytes - before.entry_bytes for before, after in lain)),
        )

    def _each(self, whole: float) -> float:
        return whole / self.entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """Work that was not keeping: how much of it, the worker's own CPU time, and what stood before and after."""

    count: int
    cpu_seconds: float
    before: Standing
    after: Standing

    def costs(self, source: str, *, disk: float, appends: Stream | None = None) -> WorkerCosts:
        """What one piece costs, with what it put on a stream."""
        rows = entries = 0
        if appends is not None:
            before, after = self.before.on(appends), self.after.on(appends)
            rows, entries = after.row_bytes - before.row_bytes, after.entry_bytes - before.entry_bytes
        server_seconds = self.after.server_seconds - self.before.server_seconds
        return WorkerCosts(
            source=source,
            cpu_microseconds=self.cpu_seconds * _MICROSECONDS / self.count,
            server_microseconds=server_seconds * _MICROSECONDS / self.count,
            log_bytes=rows * disk / self.count,
            entry_bytes=entries / self.count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A log and a store, both empty to begin with."""

    stage: Stage
    log: LogAt
    store: Place

    async def look(self) -> Standing:
        """What stands in them now."""
        return await standing(self.stage, log_dsn=self.log.address, store=self.store)

    async def keep(self, stream: Stream, entries: Sequence[NewEntry]) -> Kept:
        """Appends entries, and lets one archive worker keep them."""
        before = await self.look()
        await fill(self.log, [entries])
        return await self.kept(stream, len(entries), before, await self.look())

    async def kept(self, stream: Stream, count: int, before: Standing, there: Standing) -> Kept:
        """Lets one archive worker keep what is there already."""
        orders = WorkerOrders(log=self.log, records_dsn=self.store.dsn, group="archive")
        spent = await drain(orders, entries=count)
        after = await self.look()
        return Kept(stream=stream, entries=count, spent=spent, before=before, there=there, after=after)


@asynccontextmanager
async def scene(stage: Stage) -> AsyncGenerator[Scene]:
    """A new one until the block is left."""
    async with empty_log(stage, LogKind.POSTGRES) as log, stage.fresh(Kind.RECORDS) as store:
        yield Scene(stage=stage, log=log, store=store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What each stage took, and what stood at the end. `blob_bytes` is what the parts take on disk."""

    text: Kept
    status: Kept
    document: Kept
    part: Kept
    receipt: Kept
    scan: Worked
    fetch: Worked
    relay: Worked
    erase: Worked
    blob_bytes: int


async def lived(stage: Stage, amounts: Amounts, port: int) -> Life:
    """A whole life, at the provider that listens on a port."""
    async with scene(stage) as here, stage.fresh(Kind.BLOBS) as blobs:
        text = await here.keep(Stream.MESSAGES, sealed(_texts(amounts.texts)))
        scan = await _worked(here, amounts.texts, lambda log: _scan(log, amounts.texts))
        status = await here.keep(Stream.STATUSES, sealed(_statuses(amounts.statuses)))
        document = await here.keep(Stream.MESSAGES, sealed(_documents(amounts.documents, port)))
        parts = MediaOrders(log=here.log, port=port, blobs=BlobsAt(dsn=blobs.dsn), parts=amounts.documents)
        empty = await blob_bytes(blobs)
        fetch = await _carried_out(here, "media.worker", parts, amounts.documents)
        await _all(here, Stream.PARTS, PartState.KEPT, amounts.documents)
        part = await here.kept(Stream.PARTS, amounts.documents, fetch.before, fetch.after)
        relay = await _worked(here, amounts.documents, lambda log: _command(here, log, amounts.documents))
        targets = EraseOrders(log=here.log, port=port, targets=amounts.documents)
        erase = await _carried_out(here, "erase.worker", targets, amounts.documents)
        await _all(here, Stream.RECEIPTS, ErasureOutcome.ERASED, amounts.documents)
        receipt = await here.kept(Stream.RECEIPTS, amounts.documents, relay.before, erase.after)
        return Life(
            text=text,
            status=status,
            document=document,
            part=part,
            receipt=receipt,
            scan=scan,
            fetch=fetch,
            relay=relay,
            erase=erase,
            blob_bytes=await blob_bytes(blobs) - empty,
        )


def sealed(bodies: Iterator[bytes]) -> list[NewEntry]:
    """The entries of messages and statuses in these bodies, without those of identities."""
    sealing = traffic.Sealing(random.Random(_TEXTS).randbytes)
    entries = (entry for body in bodies for entry in sealing.entries(body))
    return [one for one in entries if codec.decode_record(one.value).envelope.kind is not model.Kind.IDENTITY]


def _texts(count: int) -> Iterator[bytes]:
    return traffic.bodies(seed=_TEXTS, items=count, mix=("text",))


def _statuses(count: int) -> Iterator[bytes]:
    return traffic.bodies(seed=_STATUSES, items=count, mix=traffic.STATUSES)


def _documents(count: int, port: int) -> Iterator[bytes]:
    digest = hashlib.sha256(content(PART_BYTES)).digest()
    media = (
        MediaRef(media_id=one, mime="application/pdf", sha256=digest, url=f"{address(port)}/{one}")
        for one in object_ids(count)
    )
    return traffic.documents(media, seed=_DOCUMENTS)


async def _carried_out(here: Scene, role: str, orders: object, count: int) -> Worked:
    """Work of a process of its own."""
    before = await here.look()
    spent = await outcome(role, orders, Spent)
    return Worked(count=count, cpu_seconds=spent.cpu_seconds, before=before, after=await here.look())


async def _worked(here: Scene, count: int, work: Callable[[EventLog], Awaitable[None]]) -> Worked:
    """Work of this process."""
    before = await here.look()
    log = await open_log(here.log)
    started = time.process_time()
    try:
        await work(log)
        cpu_seconds = time.process_time() - started
    finally:
        await log.close()
    return Worked(count=count, cpu_seconds=cpu_seconds, before=before, after=await here.look())


async def _scan(log: EventLog, count: int) -> None:
    """Looks for parts in as many messages, and finds none."""
    scanner = MediaScan(log=log)
    subscription = await log.subscribe("scan", [Stream.MESSAGES])
    try:
        while count > 0:
            batch = await subscription.fetch(max_entries=_SCAN_ENTRIES, wait_seconds=1)
            await scanner.handle(batch)
            await subscription.commit({one.place: one.offset + 1 for one in batch})
            count -= len(batch)
    finally:
        await subscription.close()


async def _command(here: Scene, log: EventLog, count: int) -> None:
    """Commands the erasure of every target."""
    store = await PostgresRecords.open(here.store.dsn, clock=lambda: _LATER)
    relay = Relay(
        log=log,
        store=store,
        metrics=NoMetrics(),
        clock=lambda: _LATER,
        stop=asyncio.Event(),
        lease=_LEASE,
        most_outstanding=count,
    )
    try:
        while count > 0:
            commanded = await relay.command_due()
            if not commanded:
                raise NotTheSameError(f"{count} targets were not due")
            count -= commanded
    finally:
        await store.close()


async def _all(here: Scene, stream: Stream, type_: str, count: int) -> None:
    found = await told(here.log, stream)
    if found != {type_: count}:
        raise NotTheSameError(f"{stream}: {dict(found)}, not {count} {type_}")
