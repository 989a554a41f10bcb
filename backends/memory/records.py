"""The record store in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.memory import claims, tally
from backends.memory.tables import Tables
from backends.memory.write import carry_out, succeed
from broker.core.erasure import TargetState
from broker.core.losses import plan_loss
from broker.core.model import PartState
from broker.core.plan import existing_row, log_of, lookup, plan_keep, record_row, variants
from broker.core.ports import (
    Clock,
    DeadEntry,
    KeptPart,
    KeptRecord,
    KeptTarget,
    OpenGap,
    SealedRecord,
    UnkeptPart,
)
from broker.core.succession import plan_adoption
from broker.core.topics import split_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime, timedelta

    from broker.core.model import Record
    from broker.core.plan import Existing, RecordRow
    from broker.core.ports import Adoption, Answer, Arrived, ClaimedTarget, Loss, Progress, Tally
    from broker.core.topics import TopicPartition


@dataclass(slots=True)
class MemoryRecords:
    """See `RecordStore`. Nothing is awaited within a change, so each is one transaction."""

    clock: Clock
    tables: Tables = field(default_factory=Tables)

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        if not batch:
            return ()
        log, wanted, now = log_of(batch), lookup(batch), self.clock()
        tables = self.tables
        existing = self._existing(wanted.record_ids)
        plan = plan_keep(
            batch,
            progress={one: tables.progress_of(log, one) for one in wanted.partitions},
            existing=existing | self._existing(variants(batch, existing)),
            open_dead={one for one in wanted.dead if (dead := tables.dead.get((log, one))) and dead.is_open},
            now=now,
        )
        carry_out(self.tables, plan, log, now)
        return plan.answers

    def _existing(self, ids: AbstractSet[tuple[str, str]]) -> dict[tuple[str, str], Existing]:
        return {one: existing_row(self.tables.records[one]) for one in ids & self.tables.records.keys()}

    async def keep_act(self, record: Record) -> None:
        record_id = record.envelope.record_id
        row = record_row(
            record, record_id=record_id, variant_of=None, worker_made=False, keep_seq=0, kept_at=self.clock()
        )
        self.tables.add_record(row)

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        now, envelope = self.clock(), gap.envelope
        plan = plan_loss(
            loss,
            gap,
            progress=self.tables.progress_of(loss.log, loss.place),
            known=(envelope.tenant, envelope.record_id) in self.tables.records,
            now=now,
        )
        carry_out(self.tables, plan, loss.log, now)

    async def adopt(self, adoption: Adoption) -> None:
        tables, now = self.tables, self.clock()
        before = {
            place: one
            for (of_log, place), one in tables.progress.items()
            if of_log == adoption.predecessor and split_topic(place.topic)[0] == adoption.tenant
        }
        plan = plan_adoption(adoption, before, known=tables.records.keys(), now=now)
        if plan is not None:
            carry_out(tables, plan, adoption.predecessor, now)
            succeed(tables, adoption)

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for (of_log, place), one in self.tables.progress.items():
            if of_log != log and place.topic in topics and one.successor is None:
                found.setdefault(place.topic, set()).add(of_log)
        return {topic: frozenset(logs) for topic, logs in found.items()}

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        wanted = ((place, one) for (of_log, place), one in self.tables.progress.items() if of_log == log)
        return {place: one for place, one in wanted if place.topic in topics}

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        return claims.claim_due(self.tables, now=now, limit=limit, lease=lease)

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        row = self.tables.records.get((tenant, record_id))
        return None if row is None else _kept(row)

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        found = [
            _kept(row)
            for (owner, _), row in self.tables.records.items()
            if (owner, row.record.envelope.conversation) == (tenant, conversation)
        ]
        return found[after : after + limit]

    async def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        for (owner, _), row in list(self.tables.records.items()):
            if owner == tenant:
                yield _kept(row)

    async def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        for (owner, record_id), row in list(self.tables.records.items()):
            if owner == tenant:
                yield SealedRecord(
                    tenant=owner,
                    record_id=record_id,
                    envelope=row.envelope,
                    arrival=row.arrival,
                    content=row.record.content.data,
                    record_digest=row.record_digest,
                    arrival_digest=row.arrival_digest,
                )

    async def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        for (owner, record_id, number), part in list(self.tables.parts.items()):
            result = self.tables.result_of(part)
            if owner == tenant and result is not None and result.outcome.state == PartState.KEPT:
                yield KeptPart(
                    record_id=record_id,
                    number=number,
                    target_id=part.part.target_id,
                    place=str(result.outcome.place),
                    size=result.outcome.size or 0,
                    kept_at=max(part.kept_at, result.kept_at),
                    shared=result.shared,
                    sha256=result.outcome.sha256 or b"",
                )

    async def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        for (owner, record_id, number), part in list(self.tables.parts.items()):
            result = self.tables.result_of(part)
            if owner == tenant and (result is None or result.outcome.state == PartState.LOST):
                yield UnkeptPart(
                    record_id=record_id,
                    number=number,
                    target_id=part.part.target_id,
                    media_kind=part.part.media_kind,
                    state="open" if result is None else PartState.LOST,
                    reason="" if result is None else str(result.outcome.reason),
                    since=part.kept_at if result is None else result.kept_at,
                )

    async def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        for (owner, target_id), target in list(self.tables.targets.items()):
            if owner == tenant:
                yield KeptTarget(
                    target_id=target_id,
                    account=target.row.account,
                    object_kind=target.row.object_kind,
                    object_id=target.row.object_id,
                    state=target.state,
                    expires_at=target.row.policy.expires_at,
                )

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        wanted = [self.tables.targets.get((tenant, one)) for one in dict.fromkeys(target_ids)]
        blocked = [one for one in wanted if one is not None and one.state == TargetState.BLOCKED]
        for target in blocked:
            if any(self.tables.is_kept(one) for one in self.tables.naming((tenant, target.row.target_id))):
                target.move(TargetState.DUE, due_at=self.clock(), at=self.clock())
            else:
                target.move(TargetState.RESIDUE, reason="part_lost", at=self.clock())
        return len(blocked)

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        count = 0
        for target_id in dict.fromkeys(target_ids):
            target, naming = self.tables.targets.get((tenant, target_id)), self.tables.naming((tenant, target_id))
            if target is None or target.state != TargetState.BLOCKED or not all(map(self.tables.result_of, naming)):
                continue
            target.move(TargetState.ALREADY_GONE, reason="accepted", at=self.clock())
            count += 1
        return count

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        found = [
            DeadEntry(
                tenant=one.row.tenant,
                topic=place.topic,
                partition=place.partition,
                offset=offset,
                gap_record_id=one.row.gap_record_id,
                code=one.row.letter.code,
                attempts=one.row.letter.attempts,
                at=one.row.letter.at,
                state="open" if one.is_open else "settled",
            )
            for (_, (place, offset)), one in self.tables.dead.items()
            if tenant in {None, one.row.tenant} and (settled or one.is_open)
        ]
        return sorted(found, key=lambda one: (one.at, one.topic, one.partition, one.offset, one.gap_record_id))

    async def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        found = [
            OpenGap(
                tenant=tenant,
                cause=cause,
                record_id=record_id,
                account=told.account,
                stream=told.stream,
                at=told.received_at,
            )
            for record_id, cause, told in tally.open_gaps(self.tables, tenant)
        ]
        for gap in sorted(found, key=lambda one: (one.cause, one.at, one.record_id)):
            yield gap

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        return tally.tally(self.tables, tenant, log, buckets=buckets)

    async def ping(self) -> None:
        """Memory answers."""

    async def close(self) -> None:
        """There is nothing to let go of."""


def _kept(row: RecordRow) -> KeptRecord:
    return KeptRecord(
        record=row.record,
        record_id=row.record_id,
        keep_seq=row.keep_seq,
        kept_at=row.kept_at,
        record_digest=row.record_digest.hex(),
        arrival_digest=row.arrival_digest.hex(),
        variant_of=row.variant_of,
    )
