"""The record store on Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from backends.postgres import claims, keep, tally
from backends.postgres.connections import Database, PostgresOptions
from backends.postgres.errors import ConflictError
from backends.postgres.sql import RECORDS, query
from broker.core import rows
from broker.core.errors import StoreUnavailableError, UnstorableError
from broker.core.hope import Hope
from broker.core.plan import record_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from backends.postgres.connections import Connection, Dsn
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
    from broker.core.topics import TopicPartition

T = TypeVar("T")

_CONFLICT_ATTEMPTS = 5
_LARGEST_RECORD_BYTES = 256 * 1024 * 1024
"""A quarter of what one value may have, so that a row, its copy and the protocol's message all fit."""
_PREFETCH_RECORDS = 50
_PREFETCH_PARTS = 50
"""So few, since whoever hashes their blobs leaves the transaction idle meanwhile, and for so long only."""
_PREFETCH_ROWS = 1000


class PostgresRecords:
    """See `RecordStore`. Reconnects by itself; a renewed password is found if the address comes from a function."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._hope = Hope()

    @classmethod
    async def open(cls, dsn: Dsn, *, clock: Clock, options: PostgresOptions | None = None) -> Self:
        """A store that answers. `StoreUnavailableError`: it does not; `SchemaError`: migrate, or upgrade."""
        database = await Database.open(dsn, options, schema=RECORDS, unavailable=StoreUnavailableError)
        return cls(database, clock)

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        if not batch:
            return ()
        _check_sizes(one.record for one in batch)
        hopes = iter([self._hope.for_next()])

        async def work(connection: Connection) -> Sequence[Answer]:
            return await keep.keep_batch(connection, batch, self._clock(), in_hope=next(hopes, False))

        answers = await self._unless_in_conflict(work)
        self._hope.learn(answers)
        return answers

    async def _unless_in_conflict(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        for _ in range(_CONFLICT_ATTEMPTS):
            try:
                return await self._database.transact(work)
            except ConflictError:
                continue
        raise StoreUnavailableError("others keep the same records at this moment: keep the batch again")

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        await self._unless_in_conflict(lambda connection: keep.accept_loss(connection, loss, gap, self._clock()))

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
        await self._database.transact(lambda connection: keep.keep_act(connection, row))

    async def adopt(self, adoption: Adoption) -> None:
        await self._unless_in_conflict(lambda connection: keep.adopt(connection, adoption, self._clock()))

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for row in await self._database.fetch(query("records/read_other_logs"), log, list(topics)):
            found.setdefault(row["topic"], set()).add(row["log"])
        return {topic: frozenset(logs) for topic, logs in found.items()}

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        return rows.progress_of(await self._database.fetch(query("records/read_progress"), log, list(topics)))

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        return await self._database.transact(
            lambda connection: claims.claim_due(connection, now=now, limit=limit, lease=lease)
        )

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        found = await self._database.fetch(query("records/read_record"), tenant, record_id)
        return rows.kept_record(found[0]) if found else None

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        found = await self._database.fetch(query("records/read_conversation"), tenant, conversation, after, limit)
        return [rows.kept_record(row) for row in found]

    def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        statement = query("records/read_records")
        return self._database.stream(statement, tenant, prefetch=_PREFETCH_RECORDS, read=rows.kept_record)

    def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        statement = query("records/read_sealed")
        return self._database.stream(statement, tenant, prefetch=_PREFETCH_RECORDS, read=rows.sealed_record)

    def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        statement = query("records/read_kept_parts")
        return self._database.stream(statement, tenant, prefetch=_PREFETCH_PARTS, read=rows.kept_part)

    def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        statement = query("records/read_unkept_parts")
        return self._database.stream(statement, tenant, prefetch=_PREFETCH_ROWS, read=rows.unkept_part)

    def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        statement = query("records/read_targets")
        return self._database.stream(statement, tenant, prefetch=_PREFETCH_ROWS, read=rows.kept_target)

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        statement = query("records/unblock_targets")
        return len(await self._database.fetch(statement, tenant, list(target_ids), self._clock()))

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        statement = query("records/accept_gone")
        return len(await self._database.fetch(statement, tenant, list(target_ids), self._clock()))

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        found = await self._database.fetch(query("records/read_dead_letters"), tenant, settled)
        return [rows.dead_entry(row) for row in found]

    def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        return self._database.stream(query("records/read_gaps"), tenant, prefetch=_PREFETCH_ROWS, read=rows.open_gap)

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        return await self._database.transact(
            lambda connection: tally.tally(connection, tenant, log, buckets=buckets),
            limited=False,
            isolation="repeatable_read",
            readonly=True,
        )

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        await self._database.close()


def _check_sizes(records: Iterable[Record]) -> None:
    for record in records:
        if len(record.content.data) > _LARGEST_RECORD_BYTES:
            name = record.envelope.record_id
            raise UnstorableError(f"record {name} has over {_LARGEST_RECORD_BYTES} bytes of content: set it aside")
