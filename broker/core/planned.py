"""What a batch looks up and writes, as values: `broker.core.plan` makes them, stores carry them out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from broker.core.model import PartOutcome, Position, ReceiptOutcome, Record
from broker.core.ports import Answer, DeadLetter, ErasurePolicy, Progress
from broker.core.topics import TopicPartition
from broker.core.values import Hidden, Value

DeadKey = tuple[TopicPartition, int]
TallyKey = tuple[str, str, datetime]
"""Tenant, account, start of the quarter of an hour."""


class Existing(Value, frozen=True, kw_only=True):
    """A record row that is in the store already."""

    fingerprint: Hidden[bytes | None]
    position: Position | None
    record_digest: str
    keep_seq: int
    kept_at: datetime
    variant_of: str | None


class RecordRow(Value, frozen=True, kw_only=True):
    """A record row to insert. `worker_made` rows (gaps for dead letters) stand outside the account's `kept`."""

    record_id: str
    variant_of: str | None
    stream: str
    worker_made: bool
    record: Record
    envelope: Hidden[bytes]
    arrival: Hidden[bytes]
    record_digest: bytes
    arrival_digest: bytes
    keep_seq: int
    kept_at: datetime


class PartRow(Value, frozen=True, kw_only=True):
    """A part that a row names. `origin_id` and `fingerprint` are what its fetch result will be addressed to."""

    tenant: str
    record_id: str
    number: int
    media_kind: str
    mime: str
    origin_id: str
    fingerprint: Hidden[bytes]
    target_id: str


class TargetRow(Value, frozen=True, kw_only=True):
    """A provider object that is to be erased."""

    tenant: str
    target_id: str
    account: str
    provider: str
    conversation: str
    object_kind: str
    object_id: Hidden[str]
    policy: ErasurePolicy


class DeadRow(Value, frozen=True, kw_only=True):
    """An entry set aside, with the gap record that stands in for it."""

    tenant: str
    key: DeadKey
    gap_record_id: str
    letter: DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a store has to look up before it can plan."""

    partitions: list[TopicPartition]
    record_ids: set[tuple[str, str]]
    dead: set[DeadKey]


@dataclass(slots=True, kw_only=True)
class KeepPlan:
    """Everything one transaction writes. `retried` dead letters died again; `settled` ones are done with."""

    answers: list[Answer] = field(default_factory=list)
    rows: list[RecordRow] = field(default_factory=list)
    parts: list[PartRow] = field(default_factory=list)
    targets: dict[tuple[str, str], TargetRow] = field(default_factory=dict)
    part_outcomes: list[tuple[str, PartOutcome]] = field(default_factory=list)
    receipts: list[tuple[str, ReceiptOutcome]] = field(default_factory=list)
    gaps: list[tuple[str, str, str]] = field(default_factory=list)
    """(tenant, record id, cause)."""
    unseen: set[tuple[str, str]] = field(default_factory=set)
    """(tenant, record id) of messages that a status speaks of and nobody kept so far."""
    dead: list[DeadRow] = field(default_factory=list)
    retried: list[DeadRow] = field(default_factory=list)
    settled: list[DeadKey] = field(default_factory=list)
    progress: dict[TopicPartition, Progress] = field(default_factory=dict)
    entries: Counter[TallyKey] = field(default_factory=Counter)
    duplicates: Counter[TallyKey] = field(default_factory=Counter)

    @property
    def affected_targets(self) -> set[tuple[str, str]]:
        """(tenant, target id) of targets whose parts or results this batch changes."""
        by_results = {(tenant, outcome.target_id) for tenant, outcome in self.part_outcomes}
        return set(self.targets) | by_results
