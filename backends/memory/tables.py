"""What the record store in memory holds, as tables by key."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from broker.core.erasure import TargetState
from broker.core.model import PartOutcome, PartState, Record
from broker.core.plan import DeadKey, DeadRow, PartRow, RecordRow, TallyKey, TargetRow
from broker.core.ports import NOTHING_KEPT, Progress
from broker.core.topics import TopicPartition, split_topic

Key: TypeAlias = tuple[str, str]
"""Tenant, then record id or target id."""
DeliveryKey: TypeAlias = tuple[str, str, bytes, int]
"""Tenant, record id as delivered, fingerprint, number of the part: what a result is addressed to."""


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
    state: TargetState = TargetState.WAITING
    due_at: datetime | None = None
    reason: str | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A gap and the record that says so; of an unseen message, the status."""

    cause: str
    record: Record
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A dead letter and its gap record."""

    row: DeadRow
    gap: Record
    is_open: bool = True


@dataclass(slots=True, kw_only=True)
class Tables:
    """Every table. `records` are in the order they were kept."""

    progress: dict[tuple[str, TopicPartition], Progress] = field(default_factory=dict)
    records: dict[Key, RecordRow] = field(default_factory=dict)
    parts: dict[tuple[str, str, int], Named] = field(default_factory=dict)
    results: defaultdict[DeliveryKey, list[Result]] = field(default_factory=lambda: defaultdict(list))
    targets: dict[Key, Target] = field(default_factory=dict)
    answered: defaultdict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The attempts that the provider answered without deleting, by target."""
    gaps: dict[Key, Gap] = field(default_factory=dict)
    unseen: dict[Key, Record] = field(default_factory=dict)
    dead: dict[tuple[str, DeadKey], Dead] = field(default_factory=dict)
    entries: Counter[tuple[str, TallyKey]] = field(default_factory=Counter)
    duplicates: Counter[tuple[str, TallyKey]] = field(default_factory=Counter)

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
        order = sum(map(len, self.results.values()))
        self.results[delivery].append(Result(outcome=outcome, kept_at=now, order=order, shared=shared))

    def result_of(self, part: Named) -> Result | None:
        """The result that counts: the first that kept the bytes, else the first."""
        results = self.results.get(part.delivery, [])
        kept = (one for one in results if one.outcome.state == PartState.KEPT)
        return next(kept, results[0] if results else None)

    def is_kept(self, part: Named) -> bool:
        """Whether the bytes of a part are kept."""
        result = self.result_of(part)
        return result is not None and result.outcome.state == PartState.KEPT

    def naming(self, target: Key) -> list[Named]:
        """The parts that name a target, in the order they were kept."""
        tenant, target_id = target
        return [one for one in self.parts.values() if (one.part.tenant, one.part.target_id) == (tenant, target_id)]
