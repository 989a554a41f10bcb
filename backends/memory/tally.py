"""The store's side of the account, counted from the tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from msgspec import UNSET

from broker.core.model import PartState
from broker.core.plan import bucket_start, counts_as_accepted
from broker.core.ports import BucketTally, Tally
from broker.core.topics import ACCOUNTED_STREAMS, split_topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from backends.memory.tables import Tables, TallyPlace, Told
    from broker.core.model import Record
    from broker.core.plan import RecordRow, TallyKey

Bucket: TypeAlias = "tuple[str, datetime]"
"""An account, and the start of a quarter of an hour."""
_UNSEEN = "outbound_unseen"


def tally(tables: Tables, tenant: str, log: str, *, buckets: bool) -> Tally:
    """A tenant's tally."""
    count = _Count(tables, tenant, log)
    parts_kept, parts_lost = count.parts_ended(count.rows)
    return Tally(
        progress={
            place: one
            for (of_log, place), one in tables.progress.items()
            if of_log == log and place.topic.split(".")[1] == tenant and counts_as_accepted(place.topic)
        },
        before=[
            one
            for (_, place), one in sorted(tables.progress.items(), key=lambda item: item[0])
            if one.successor == log and place.topic.split(".")[1] == tenant and counts_as_accepted(place.topic)
        ],
        kept=count.accounted(count.rows, variants=False),
        variants=count.accounted(count.rows, variants=True),
        dead=sum(one.is_open for one in count.dead),
        gaps=Counter(cause for cause, _ in count.gaps),
        parts=sum(len(row.record.envelope.parts) for row in count.rows),
        parts_kept=parts_kept,
        parts_lost=parts_lost,
        targets=len(count.named(count.rows)),
        target_states=Counter(target.state for (owner, _), target in tables.targets.items() if owner == tenant),
        buckets=[count.bucket(*one) for one in sorted(count.buckets())] if buckets else (),
    )


def open_gaps(tables: Tables, tenant: str) -> list[tuple[str, str, Told]]:
    """(record id, cause, where and when it was told) of every open gap of a tenant, the derived ones among them."""
    told = [
        (record_id, gap.cause, gap.told)
        for (owner, record_id), gap in tables.gaps.items()
        if owner == tenant and gap.is_open
    ]
    return told + [
        (key[1], _UNSEEN, told) for key, told in tables.unseen.items() if key[0] == tenant and key not in tables.records
    ]


class _Count:
    """Counts the rows of one tenant. Entries and duplicates come from counters, the rest from rows."""

    def __init__(self, tables: Tables, tenant: str, log: str) -> None:
        self.tables = tables
        self.tenant = tenant
        self.logs = {log} | {
            of_log
            for (of_log, place), one in tables.progress.items()
            if one.successor == log and split_topic(place.topic)[0] == tenant
        }
        self.rows = [row for (owner, _), row in tables.records.items() if owner == tenant]
        self.gaps = [(cause, told) for _, cause, told in open_gaps(tables, tenant)]
        self.dead = [
            one
            for (of_log, (place, _)), one in tables.dead.items()
            if of_log in self.logs and one.row.tenant == tenant and counts_as_accepted(place.topic)
        ]

    def accounted(self, rows: Sequence[RecordRow], *, variants: bool) -> int:
        return sum(self._is_accounted(row) and (row.variant_of is not None) == variants for row in rows)

    def _is_accounted(self, row: RecordRow) -> bool:
        position = row.record.arrival.position
        of_log = position is not UNSET and position.log in self.logs
        return of_log and row.stream in ACCOUNTED_STREAMS and not row.worker_made

    def named(self, rows: Sequence[RecordRow]) -> set[str]:
        return {one.target_id for row in rows for one in row.record.envelope.objects}

    def parts_ended(self, rows: Sequence[RecordRow]) -> tuple[int, Mapping[str, int]]:
        ids = {row.record_id for row in rows}
        kept, lost = 0, Counter[str]()
        for (tenant, record_id, _), part in self.tables.parts.items():
            result = self.tables.result_of(part)
            if tenant != self.tenant or record_id not in ids or result is None:
                continue
            if result.outcome.state == PartState.KEPT:
                kept += 1
            else:
                lost[str(result.outcome.reason)] += 1
        return kept, lost

    def buckets(self) -> set[Bucket]:
        counted = {
            (key[1], key[2]) for log, _, key in self.tables.entries if log in self.logs and key[0] == self.tenant
        }
        return (
            counted
            | {_bucket_of(row.record) for row in self.rows if self._is_accounted(row) or row.record.envelope.parts}
            | {_told_in(told) for _, told in self.gaps}
            | {_told_in(one.told) for one in self.dead}
        )

    def bucket(self, account: str, start: datetime) -> BucketTally:
        here = (account, start)
        rows = [row for row in self.rows if _bucket_of(row.record) == here]
        dead = [one.is_open for one in self.dead if _told_in(one.told) == here]
        named = self.named(rows)
        states = (self.tables.targets.get((self.tenant, one)) for one in named)
        parts_kept, parts_lost = self.parts_ended(rows)
        counted = (self.tenant, account, start)
        return BucketTally(
            account=account,
            start=start,
            entries=self._sum(self.tables.entries, counted) - dead.count(False),
            kept=self.accounted(rows, variants=False),
            duplicates=self._sum(self.tables.duplicates, counted),
            variants=self.accounted(rows, variants=True),
            dead=dead.count(True),
            gaps=sum(_told_in(told) == here for _, told in self.gaps),
            parts=sum(len(row.record.envelope.parts) for row in rows),
            parts_kept=parts_kept,
            parts_lost=sum(parts_lost.values()),
            targets=len(named),
            target_states=Counter(one.state for one in states if one is not None),
        )

    def _sum(self, counts: Mapping[TallyPlace, int], counted: TallyKey) -> int:
        return sum(amount for (log, _, key), amount in counts.items() if log in self.logs and key == counted)


def _told_in(told: Told) -> Bucket:
    return told.account, bucket_start(told.received_at)


def _bucket_of(record: Record) -> Bucket:
    return record.envelope.account, bucket_start(record.arrival.received_at)
