"""The record store on MongoDB."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Self, TypeVar

from backends.mongo import claims, keep, reading, tally
from backends.mongo.connections import Database, MongoOptions
from backends.mongo.documents import key_id, row_of
from broker.core import rows
from broker.core.errors import UnstorableError
from broker.core.hope import Hope
from broker.core.plan import record_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from backends.mongo.connections import Uri
    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.model import Record
    from broker.core.ports import (
        Adoption,
        Answer,
        Arrived,
        ClaimedTarget,
        Clock,
        DeadEntry,
        KeptPart,
        KeptRecord,
        KeptTarget,
        Loss,
        OpenGap,
        Progress,
        SealedRecord,
        Tally,
        UnkeptPart,
    )
    from broker.core.standing import Standing
    from broker.core.topics import TopicPartition

T = TypeVar("T")

_LARGEST_CONTENT_BYTES = 15 * 1024 * 1024
"""A document may have 16 MB (https://www.mongodb.com/docs/v6.0/reference/limits/, 2026-11-26); the rest of it is for
the envelope and all else.
"""
_RECORDS_AT_ONCE = 50
_PARTS_AT_ONCE = 50
"""So few, since whoever hashes their blobs takes long, and what is read meanwhile is of the moment it is read at."""
_ROWS_AT_ONCE = 1000
_LONGEST_TALLY_SECONDS = 3600.0
"""Counting takes longer the more there is: the limit of other commands would end it on a large store."""


class MongoRecords:
    """See `RecordStore`. Reconnects by itself; a renewed password is found if the URI comes from a function.

    On a standalone server (see `MongoOptions`), writes come in the order records, parts, targets, progress, and
    `claim_due` claims nothing: without transactions nobody can tell that all is kept. Where a keep breaks off there and
    the batch is kept again, its entries may count twice in the figures of their quarter of an hour.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._counting = database.patient(_LONGEST_TALLY_SECONDS)
        self._clock = clock
        self._hope = Hope()

    @classmethod
    async def open(cls, uri: Uri, *, clock: Clock, options: MongoOptions | None = None) -> Self:
        """A store that answers. `StoreUnavailableError`: it does not; `SchemaError`: migrate, or upgrade.

        `SettingsError`: the URI is none, or the server has no transactions.
        """
        return cls(await Database.open(uri, options), clock)

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        if not batch:
            return ()
        _check_sizes(one.record for one in batch)
        hopes = iter([self._hope.for_next()])

        async def work(one: Work) -> Sequence[Answer]:
            return await keep.keep_batch(one, batch, self._clock(), in_hope=next(hopes, False))

        answers = await self._database.transact(work)
        self._hope.learn(answers)
        return answers

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        await self._database.transact(lambda work: keep.accept_loss(work, loss, gap, self._clock()))

    async def keep_act(self, record: Record) -> None:
        _check_sizes([record])
        row = record_row(
            record,
            record_id=record.envelope.record_id,
            variant_of=None,
            worker_made=False,
            keep_seq=0,
            kept_at=self._clock(),
        )
        await self._database.transact(lambda work: keep.keep_act(work, row))

    async def adopt(self, adoption: Adoption) -> None:
        await self._database.transact(lambda work: keep.adopt(work, adoption, self._clock()))

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        return await reading.other_logs(await self._database.plain(), log, topics)

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        return await reading.progress(await self._database.plain(), log, topics)

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        return await self._database.transact(lambda work: claims.claim_due(work, now=now, limit=limit, lease=lease))

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        work = await self._database.plain()
        found = await work.by_id("records", [key_id((tenant, record_id))], reading.RECORD_COLUMNS)
        return rows.kept_record(row_of(found[0])) if found else None

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        work = await self._database.plain()
        wanted = {"tenant": tenant, "conversation": conversation}
        found = await work.find(
            "records", wanted, reading.RECORD_COLUMNS, order=("row_number",), skip=after, limit=limit
        )
        return [rows.kept_record(row_of(one)) for one in found]

    def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        return self._read("records", tenant, reading.RECORD_COLUMNS, _RECORDS_AT_ONCE, rows.kept_record)

    def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        return self._read("records", tenant, reading.SEALED_COLUMNS, _RECORDS_AT_ONCE, rows.sealed_record)

    def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        return self._parts(tenant, _PARTS_AT_ONCE, reading.kept_part)

    def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        return self._parts(tenant, _ROWS_AT_ONCE, reading.unkept_part)

    def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        return self._read("targets", tenant, reading.TARGET_COLUMNS, _ROWS_AT_ONCE, rows.kept_target)

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        return await self._database.transact(lambda work: claims.unblock(work, tenant, target_ids, self._clock()))

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        return await self._database.transact(lambda work: claims.accept_gone(work, tenant, target_ids, self._clock()))

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        wanted = ({} if tenant is None else {"tenant": tenant}) | ({} if settled else {"state": "open"})
        work = await self._database.plain()
        order = ("at", "topic", "partition", "log_offset", "gap_record_id")
        found = await work.find("dead_letters", wanted, order=order)
        return [rows.dead_entry(row_of(one)) for one in found]

    async def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        async with self._database.moment() as work, aclosing(reading.gaps(work, tenant)) as found:
            async for gap in found:
                yield gap

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        async with self._counting.moment() as work:
            return await tally.tally(work, tenant, log, buckets=buckets)

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        await self._database.close()
        await self._counting.close()

    async def _read(
        self, name: str, tenant: str, columns: Sequence[str], at_once: int, read: Callable[[Document], T]
    ) -> AsyncIterator[T]:
        async for page in reading.pages(self._database.plain, name, tenant, columns, at_once=at_once):
            for one in page:
                yield read(row_of(one))

    async def _parts(self, tenant: str, at_once: int, read: Callable[[Standing], T | None]) -> AsyncIterator[T]:
        async for one in reading.part_standings(self._database.plain, tenant, at_once=at_once):
            if (part := read(one)) is not None:
                yield part


def _check_sizes(records: Iterable[Record]) -> None:
    for record in records:
        if len(record.content.data) > _LARGEST_CONTENT_BYTES:
            name = record.envelope.record_id
            raise UnstorableError(f"record {name} has over {_LARGEST_CONTENT_BYTES} bytes of content: set it aside")
