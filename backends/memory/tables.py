"""What the record store in memory holds, as tables by key."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from msgspec import UNSET

from broker.core.erasure import ANSWERED, TargetState
from broker.core.model import PartOutcome, PartState, Record
from broker.core.plan import DeadKey, DeadRow, PartRow, RecordRow, TallyKey, TargetRow
from broker.core.ports import NOTHING_KEPT, Progress
from broker.core.standing import Ending, Standing
from broker.core.topics import TopicPartition, split_topic

Key: TypeAlias = tuple[str, str]
"""Tenant, then record id or target id."""
DeliveryKey: TypeAlias = tuple[str, str, bytes, int]
"""Tenant, record id as delivered, fingerprint, number of the part: what a result is addressed to."""
TallyPlace: TypeAlias = tuple[str, TopicPartition, TallyKey]
"""The log, the partition whose rows the count was kept with, and what is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A part that a record names, and since when."""

    part: PartRow
    kept_at: datetime

    @property
    def delivery(self) -> DeliveryKey:
        """What its results are addressed to."""
        return self.part.tenant, self.part.origin_id, self.part.fingerprint, self.part.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a fetch ended, or `shared` from another part of the same object."""

    outcome: PartOutcome
    kept_at: datetime
    order: int
    shared: bool = False


@dataclass(slots=True, kw_only=True)
class Target:
    """A target and where it stands."""

    row: TargetRow
    changed_at: datetime
    state: TargetState = TargetState.WAITING
    due_at: datetime | None = None
    reason: str | None = None
    attempt: int = 0

    def move(
        self, state: TargetState, *, at: datetime, due_at: datetime | None = None, reason: str | None = None
    ) -> None:
        """To another state."""
        self.state, self.due_at, self.reason, self.changed_at = state, due_at, reason, at


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a deletion command came to."""

    attempt: int
    outcome: str
    evidence: str
    witnessed: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who told of something missing: an entry's account, stream and time."""

    account: str
    stream: str
    received_at: datetime


def told_by(record: Record) -> Told:
    """What a record tells of where and when it came; without a place in the log it has no stream."""
    position = record.arrival.position
    stream = "" if position is UNSET else split_topic(position.topic)[1]
    return Told(account=record.envelope.account, stream=stream, received_at=record.arrival.received_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A gap, and where and when its record came."""

    cause: str
    told: Told
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A dead letter, and where and when it came."""

    row: DeadRow
    told: Told
    is_open: bool = True


@dataclass(slots=True, kw_only=True)
class Tables:
    """Every table. `records` are in the order they were kept, which `row_numbers` say too."""

    progress: dict[tuple[str, TopicPartition], Progress] = field(default_factory=dict)
    records: dict[Key, RecordRow] = field(default_factory=dict)
    row_numbers: dict[Key, int] = field(default_factory=dict)
    parts: dict[tuple[str, str, int], Named] = field(default_factory=dict)
    results: defaultdict[DeliveryKey, list[Result]] = field(default_factory=lambda: defaultdict(list))
    targets: dict[Key, Target] = field(default_factory=dict)
    answered: defaultdict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The attempts that the provider answered without deleting, by target."""
    receipts: dict[tuple[str, str, int], Receipt] = field(default_factory=dict)
    """By tenant, target id, number."""
    gaps: dict[Key, Gap] = field(default_factory=dict)
    unseen: dict[Key, Told] = field(default_factory=dict)
    dead: dict[tuple[str, DeadKey], Dead] = field(default_factory=dict)
    entries: Counter[TallyPlace] = field(default_factory=Counter)
    duplicates: Counter[TallyPlace] = field(default_factory=Counter)
    numbered: Counter[str] = field(default_factory=Counter)
    """The highest number given in each table that counts its rows."""

    def number(self, table: str) -> int:
        """The next number of a table."""
        self.numbered[table] += 1
        return self.numbered[table]

    def add_record(self, row: RecordRow) -> None:
        """Adds a record, unless it is there."""
        key = (row.record.envelope.tenant, row.record_id)
        if key not in self.records:
            self.records[key], self.row_numbers[key] = row, self.number("records")

    def progress_of(self, log: str, place: TopicPartition) -> Progress:
        """Progress in a partition. One that nothing was kept of has the successor that the others of the log have."""
        found = self.progress.get((log, place))
        if found is not None:
            return found
        tenant = split_topic(place.topic)[0]
        taken = (
            one.successor
            for (of, other), one in self.progress.items()
            if one.successor is not None and (of, split_topic(other.topic)[0]) == (log, tenant)
        )
        return replace(NOTHING_KEPT, successor=next(taken, None))

    def add_result(self, delivery: DeliveryKey, outcome: PartOutcome, now: datetime, *, shared: bool = False) -> None:
        """Adds how a fetch ended."""
        order = self.number("part_results")
        self.results[delivery].append(Result(outcome=outcome, kept_at=now, order=order, shared=shared))

    def add_receipt(self, key: Key, receipt: Receipt, number: int) -> None:
        """Adds what a deletion command came to."""
        self.receipts[*key, number] = receipt
        if receipt.outcome in ANSWERED:
            self.answered[key].add(receipt.attempt)

    def result_of(self, part: Named) -> Result | None:
        """The result that counts: the first that kept the bytes, else the first."""
        results = self.results.get(part.delivery, [])
        kept = (one for one in results if one.outcome.state == PartState.KEPT)
        return next(kept, results[0] if results else None)

    def standing(self, part: Named) -> Standing:
        """A part with the result that counts, as the rules take it."""
        result, row = self.result_of(part), part.part
        return Standing(
            tenant=row.tenant,
            record_id=row.record_id,
            number=row.number,
            media_kind=row.media_kind,
            origin_id=row.origin_id,
            fingerprint=row.fingerprint,
            target_id=row.target_id,
            named_at=part.kept_at,
            ending=None if result is None else _ending(result),
        )

    def is_kept(self, part: Named) -> bool:
        """Whether the bytes of a part are kept."""
        result = self.result_of(part)
        return result is not None and result.outcome.state == PartState.KEPT

    def naming(self, target: Key) -> list[Named]:
        """The parts that name a target, in the order they were kept."""
        tenant, target_id = target
        return [one for one in self.parts.values() if (one.part.tenant, one.part.target_id) == (tenant, target_id)]


def _ending(result: Result) -> Ending:
    outcome = result.outcome
    return Ending(
        order=result.order,
        state=outcome.state,
        reason=None if outcome.reason is UNSET else outcome.reason,
        witnessed=outcome.witnessed,
        shared=result.shared,
        kept_at=result.kept_at,
    )
