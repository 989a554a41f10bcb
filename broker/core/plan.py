"""What `keep(batch)` is to write: decided here, purely, and carried out by every store alike.

A store looks up `lookup(batch)`, asks `plan_keep` what to write, and writes it in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core import codec, identity
from broker.core.errors import LogChangedError, OffsetGapError, UnstorableError
from broker.core.model import Kind, PartOutcome, Position, ReceiptOutcome, Record, Relation
from broker.core.planned import DeadKey, DeadRow, Existing, KeepPlan, Lookup, PartRow, RecordRow, TallyKey, TargetRow
from broker.core.ports import NOTHING_KEPT, Answer, DeadLetter, Progress
from broker.core.topics import Stream, TopicPartition, split_topic
from broker.core.values import Value, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import Arrived

__all__ = [
    "BUCKET_MINUTES",
    "DeadKey",
    "DeadRow",
    "Existing",
    "KeepPlan",
    "Lookup",
    "PartRow",
    "RecordRow",
    "TallyKey",
    "TargetRow",
    "as_variant",
    "bucket_start",
    "counts_as_accepted",
    "lookup",
    "place_of",
    "place_of_record",
    "plan_keep",
    "record_row",
    "variants",
]

BUCKET_MINUTES = 15
_BUCKET = timedelta(minutes=BUCKET_MINUTES)
_NEVER = datetime.max.replace(tzinfo=UTC)


def place_of(arrived: Arrived) -> tuple[TopicPartition, int]:
    """The partition and offset an entry came from."""
    return place_of_record(arrived.record)


def place_of_record(record: Record) -> tuple[TopicPartition, int]:
    """The partition and offset a record came from."""
    position = _position_of(record)
    return TopicPartition(position.topic, position.partition), position.offset


def _position_of(record: Record) -> Position:
    position = record.arrival.position
    if position is UNSET:
        message = f"record {record.envelope.record_id} has no place in the log"
        raise UnstorableError(message)
    return position


def log_of(batch: Sequence[Arrived]) -> str:
    """The log that a batch comes from: one, since progress is counted in it."""
    logs = {_position_of(arrived.record).log for arrived in batch}
    if len(logs) > 1:
        raise LogChangedError("a batch holds entries of several logs: restart the worker on one of them")
    return logs.pop()


def lookup(batch: Sequence[Arrived]) -> Lookup:
    """What to look up: progress rows in the order they are to be locked in, record ids, dead letters redriven.

    Once that is found, there are `variants` to look up.
    """
    ids: set[tuple[str, str]] = set()
    for arrived in batch:
        envelope = arrived.record.envelope
        ids.add((envelope.tenant, envelope.record_id))
        if envelope.kind == Kind.STATUS:
            ids.update((envelope.tenant, one.record_id) for one in envelope.relations)
    return Lookup(
        partitions=sorted({place_of(arrived)[0] for arrived in batch}),
        record_ids=ids,
        dead={arrived.redrive_of for arrived in batch if arrived.redrive_of is not None},
    )


def variants(batch: Sequence[Arrived], existing: Mapping[tuple[str, str], Existing]) -> set[tuple[str, str]]:
    """The (tenant, record id) of what came under an id that is there already and is not the same.

    A variant is there only if its original is, though that may have lost its fingerprint since.
    """
    ids: set[tuple[str, str]] = set()
    for arrived in batch:
        tenant, record_id = arrived.record.envelope.tenant, arrived.record.envelope.record_id
        first, fingerprint = existing.get((tenant, record_id)), arrived.record.fingerprint
        if first is not None and fingerprint is not UNSET and first.fingerprint != fingerprint:
            ids.add((tenant, identity.variant_id(record_id, fingerprint)))
    return ids


def brief_lookup(batch: Sequence[Arrived]) -> Lookup:
    """What to look up where inserting finds out by itself that a record is there, and then all is looked up after all.

    Only for a batch without replays (`has_replays`): a replay inserts nothing.
    """
    statuses = [one.record.envelope for one in batch if one.record.envelope.kind == Kind.STATUS]
    return Lookup(
        partitions=sorted({place_of(arrived)[0] for arrived in batch}),
        record_ids={(one.tenant, named.record_id) for one in statuses for named in one.relations},
        dead={arrived.redrive_of for arrived in batch if arrived.redrive_of is not None},
    )


def has_replays(batch: Sequence[Arrived], progress: Mapping[TopicPartition, Progress]) -> bool:
    """Whether some of a batch's entries lie below progress, so that they were kept before."""
    return any(offset < progress.get(place, NOTHING_KEPT).next for place, offset in map(place_of, batch))


def plan_keep(
    batch: Sequence[Arrived],
    *,
    progress: Mapping[TopicPartition, Progress],
    existing: Mapping[tuple[str, str], Existing],
    open_dead: frozenset[DeadKey] | set[DeadKey],
    now: datetime,
) -> KeepPlan:
    """The plan for a batch; `OffsetGapError` when entries between progress and the batch are missing.

    `LogChangedError` when another log has taken the place of the one the batch comes from.

    `existing` is by (tenant, record id), of `lookup` and of `variants`. `open_dead` are the dead letters of
    `lookup` that are not settled.
    """
    planner = _Planner(progress=progress, existing=existing, open_dead=set(open_dead), now=now)
    for arrived in batch:
        planner.add(arrived)
    return planner.done()


class _Counts(Value, frozen=True, kw_only=True):
    """How an entry counts: with an `outcome` of its own or not, as a `duplicate`, as `redriven`.

    A redriven entry was accepted before. Where its dead letter was settled already, it counts only if it comes to a row
    of its own after all, and then like any other entry.
    """

    outcome: bool
    duplicate: bool = False
    redriven: bool = False


@dataclass(slots=True)
class _Standing:
    """How far a partition is, amid the batch: as it was `before`, and what the batch has added."""

    before: Progress
    entries: int = 0
    rows: int = 0
    duplicates: int = 0
    redriven: int = 0
    last_event_id: str = ""

    @property
    def next(self) -> int:
        return self.before.next + self.entries

    @property
    def keep_seq(self) -> int:
        return self.before.keep_seq + self.rows

    def move(self, arrived: Arrived, counts: _Counts) -> None:
        """Past the entry at `next`."""
        self.entries += 1
        self.duplicates += counts.duplicate
        self.redriven += counts.redriven
        self.last_event_id = arrived.event_id

    def progress(self) -> Progress:
        return replace(
            self.before,
            next=self.next,
            duplicates=self.before.duplicates + self.duplicates,
            redriven=self.before.redriven + self.redriven,
            keep_seq=self.keep_seq,
            last_event_id=self.last_event_id,
        )


@dataclass(slots=True, kw_only=True)
class _Planner:
    progress: Mapping[TopicPartition, Progress]
    existing: Mapping[tuple[str, str], Existing]
    open_dead: set[DeadKey]
    now: datetime
    plan: KeepPlan = field(default_factory=KeepPlan)
    _standings: dict[TopicPartition, _Standing] = field(default_factory=dict)
    _rows: dict[tuple[str, str], RecordRow] = field(default_factory=dict)
    """By (tenant, record id): those of this batch."""
    _bucket: tuple[datetime, datetime] = (_NEVER, _NEVER)

    def done(self) -> KeepPlan:
        """The plan, with the progress of the partitions that moved."""
        moved = ((place, one) for place, one in self._standings.items() if one.entries)
        self.plan.progress = {place: one.progress() for place, one in moved}
        return self.plan

    def add(self, arrived: Arrived) -> None:
        place, offset = place_of(arrived)
        standing = self._standing(place)
        if offset < standing.next:
            self.plan.answers.append(self._replayed(arrived))
            return
        if standing.before.successor is not None:
            raise LogChangedError(
                f"{place.topic}[{place.partition}]: another log has taken this one's place; nothing more is kept of it"
            )
        if offset > standing.next:
            raise OffsetGapError(topic=place.topic, partition=place.partition, expected=standing.next, found=offset)
        answer, counts = self._fresh(arrived, standing)
        self.plan.answers.append(answer)
        standing.move(arrived, counts)
        if counts_as_accepted(place.topic):
            self._tally(arrived, counts)

    def _standing(self, place: TopicPartition) -> _Standing:
        found = self._standings.get(place)
        if found is None:
            found = self._standings[place] = _Standing(self.progress.get(place, NOTHING_KEPT))
        return found

    def _known(self, tenant: str, record_id: str) -> Existing | None:
        """A record that is in the store, or comes there with this batch."""
        row = self._rows.get((tenant, record_id))
        return self.existing.get((tenant, record_id)) if row is None else existing_row(row)

    def _tally(self, arrived: Arrived, counts: _Counts) -> None:
        envelope = arrived.record.envelope
        key = envelope.tenant, envelope.account, self._bucket_of(arrived.record.arrival.received_at)
        if counts.outcome:
            self.plan.entries[key] += 1
        if counts.duplicate:
            self.plan.duplicates[key] += 1

    def _bucket_of(self, at: datetime) -> datetime:
        """`bucket_start`, remembered: an entry is nearly always of the same quarter of an hour as the one before."""
        start, end = self._bucket
        if not start <= at < end:
            start = bucket_start(at)
            self._bucket = start, start + _BUCKET
        return start

    def _replayed(self, arrived: Arrived) -> Answer:
        """Below progress: if the row born of this very entry is there, its answer again, so that `kept` goes out."""
        envelope = arrived.record.envelope
        for record_id in _own_ids(arrived.record):
            row = self._known(envelope.tenant, record_id)
            if row is not None and row.position == arrived.record.arrival.position:
                return Answer(
                    outcome="variant" if row.variant_of else "stored",
                    record_id=record_id,
                    record_digest=row.record_digest,
                    keep_seq=row.keep_seq,
                    kept_at=row.kept_at,
                    variant_of=row.variant_of,
                )
        return Answer(outcome="replayed", record_id=envelope.record_id)

    def _fresh(self, arrived: Arrived, standing: _Standing) -> tuple[Answer, _Counts]:
        """The answer for an entry at progress, and how it counts."""
        if arrived.dead is not None:
            first = arrived.redrive_of is None
            return self._set_aside(arrived, arrived.dead, standing), _Counts(outcome=first, redriven=not first)
        tried_again = arrived.redrive_of is not None
        settles = tried_again and self._settle(arrived)
        record_id, variant_of = self._classify(arrived.record)
        if record_id is None:
            duplicate = Answer(outcome="duplicate", record_id=arrived.record.envelope.record_id)
            counted = settles or not tried_again
            return duplicate, _Counts(outcome=counted, duplicate=counted, redriven=tried_again)
        row = self._row(arrived, record_id, variant_of, standing, worker_made=False)
        self._follow(arrived, row)
        return _answer(row, "variant" if variant_of else "stored"), _Counts(outcome=True, redriven=settles)

    def _settle(self, arrived: Arrived) -> bool:
        """Whether the entry settles the dead letter it is another try of, which only the first such entry does."""
        if arrived.redrive_of is None or arrived.redrive_of not in self.open_dead:
            return False
        self.open_dead.discard(arrived.redrive_of)
        self.plan.settled.append(arrived.redrive_of)
        return True

    def _set_aside(self, arrived: Arrived, letter: DeadLetter, standing: _Standing) -> Answer:
        envelope = arrived.record.envelope
        if arrived.redrive_of is not None:
            row = DeadRow(
                tenant=envelope.tenant, key=arrived.redrive_of, gap_record_id=envelope.record_id, letter=letter
            )
            self.plan.retried.append(row)
            return Answer(outcome="dead", record_id=envelope.record_id)
        gap = self._row(arrived, envelope.record_id, None, standing, worker_made=True)
        self.plan.dead.append(
            DeadRow(tenant=envelope.tenant, key=place_of(arrived), gap_record_id=envelope.record_id, letter=letter)
        )
        self.plan.gaps.append((envelope.tenant, envelope.record_id, "dead"))
        self.open_dead.add(place_of(arrived))
        return _answer(gap, "dead")

    def _classify(self, record: Record) -> tuple[str | None, str | None]:
        """(row id, original's id): a new row, a variant's row, or (None, None) for a duplicate."""
        envelope = record.envelope
        first = self._known(envelope.tenant, envelope.record_id)
        if first is None:
            return envelope.record_id, None
        if UNSET is record.fingerprint or first.fingerprint in (None, record.fingerprint):
            return None, None
        variant = identity.variant_id(envelope.record_id, record.fingerprint)
        known = self._known(envelope.tenant, variant)
        return (variant, envelope.record_id) if known is None else (None, None)

    def _row(
        self, arrived: Arrived, record_id: str, variant_of: str | None, standing: _Standing, *, worker_made: bool
    ) -> RecordRow:
        record = arrived.record if variant_of is None else as_variant(arrived.record, record_id)
        row = record_row(
            record,
            record_id=record_id,
            variant_of=variant_of,
            worker_made=worker_made,
            keep_seq=standing.keep_seq + 1,
            kept_at=self.now,
        )
        standing.rows += 1
        self.plan.rows.append(row)
        self._rows[record.envelope.tenant, record_id] = row
        return row

    def _follow(self, arrived: Arrived, row: RecordRow) -> None:
        """What a new row brings with it: parts and targets, a part's result, a receipt, a gap, an unseen message."""
        envelope = row.record.envelope
        if arrived.record.envelope.kind == Kind.PART:
            self.plan.part_outcomes.append((envelope.tenant, _part_outcome(row.record)))
        elif arrived.record.envelope.kind == Kind.RECEIPT:
            self.plan.receipts.append((envelope.tenant, _receipt(row.record)))
        elif arrived.record.envelope.kind == Kind.GAP:
            self.plan.gaps.append((envelope.tenant, row.record_id, envelope.type))
        elif arrived.record.envelope.kind == Kind.STATUS:
            self._unseen(arrived.record)
        if envelope.objects:
            self._name_objects(arrived, row)

    def _unseen(self, record: Record) -> None:
        tenant = record.envelope.tenant
        self.plan.unseen.update(
            (tenant, one.record_id) for one in record.envelope.relations if self._known(tenant, one.record_id) is None
        )

    def _name_objects(self, arrived: Arrived, row: RecordRow) -> None:
        if arrived.policy is None:
            message = f"record {row.record_id} names provider objects and comes without an erasure policy"
            raise UnstorableError(message)
        envelope = row.record.envelope
        media = {one.part: one for one in codec.item_content(row.record.content).media}
        kinds = {part.number: part for part in envelope.parts}
        for named in envelope.objects:
            if named.part is UNSET or named.part not in media or named.part not in kinds:
                message = f"record {row.record_id} names an object that none of its parts carries"
                raise UnstorableError(message)
            part = kinds[named.part]
            self.plan.parts.append(
                PartRow(
                    tenant=envelope.tenant,
                    record_id=row.record_id,
                    number=part.number,
                    media_kind=part.media_kind,
                    mime=part.mime,
                    origin_id=arrived.record.envelope.record_id,
                    fingerprint=_fingerprint(arrived.record),
                    target_id=named.target_id,
                )
            )
            self.plan.targets.setdefault(
                (envelope.tenant, named.target_id),
                TargetRow(
                    tenant=envelope.tenant,
                    target_id=named.target_id,
                    account=envelope.account,
                    provider=envelope.provider,
                    conversation=envelope.conversation,
                    object_kind=named.kind,
                    object_id=media[named.part].object_id,
                    policy=arrived.policy,
                ),
            )


def record_row(
    record: Record,
    *,
    record_id: str,
    variant_of: str | None,
    worker_made: bool,
    keep_seq: int,
    kept_at: datetime,
) -> RecordRow:
    """The row of a record, digests included. A record without a place in the log (an act) has no stream."""
    envelope = codec.canonical(record.envelope)
    arrival = codec.canonical(record.arrival)
    position = record.arrival.position
    return RecordRow(
        record_id=record_id,
        variant_of=variant_of,
        stream="" if position is UNSET else split_topic(position.topic)[1],
        worker_made=worker_made,
        record=record,
        envelope=envelope,
        arrival=arrival,
        record_digest=identity.record_digest(envelope),
        arrival_digest=identity.arrival_digest(arrival),
        keep_seq=keep_seq,
        kept_at=kept_at,
    )


def as_variant(record: Record, record_id: str) -> Record:
    """The record of a variant: its own id, its kind, and a relation to the original."""
    envelope = record.envelope
    original = Relation(kind="variant_of", record_id=envelope.record_id)
    return replace(
        record,
        envelope=replace(envelope, record_id=record_id, kind=Kind.VARIANT, relations=(*envelope.relations, original)),
    )


def bucket_start(at: datetime) -> datetime:
    """The start of the quarter of an hour, in UTC."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute // BUCKET_MINUTES * BUCKET_MINUTES, second=0, microsecond=0)


def _own_ids(record: Record) -> tuple[str, ...]:
    record_id = record.envelope.record_id
    if record.fingerprint is UNSET:
        return (record_id,)
    return record_id, identity.variant_id(record_id, record.fingerprint)


def _fingerprint(record: Record) -> bytes:
    return b"" if record.fingerprint is UNSET else record.fingerprint


def existing_row(row: RecordRow) -> Existing:
    """What a plan wants to know of a row that is there."""
    position = row.record.arrival.position
    return Existing(
        fingerprint=_fingerprint(row.record) or None,
        position=None if position is UNSET else position,
        record_digest=row.record_digest.hex(),
        keep_seq=row.keep_seq,
        kept_at=row.kept_at,
        variant_of=row.variant_of,
    )


def _answer(row: RecordRow, outcome: str) -> Answer:
    return Answer(
        outcome=outcome,
        record_id=row.record_id,
        record_digest=row.record_digest.hex(),
        keep_seq=row.keep_seq,
        kept_at=row.kept_at,
        variant_of=row.variant_of,
    )


def _part_outcome(record: Record) -> PartOutcome:
    return codec.decode(record.content.data, PartOutcome)


def _receipt(record: Record) -> ReceiptOutcome:
    return codec.decode(record.content.data, ReceiptOutcome)


def counts_as_accepted(topic: str) -> bool:
    """Whether a topic's entries are counted in the account."""
    return split_topic(topic)[1] in (Stream.MESSAGES, Stream.STATUSES)
