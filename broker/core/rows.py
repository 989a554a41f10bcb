"""Between the core's values and a store's rows: what is inserted, column by column, and what is read back.

Every store keeps the same columns (`broker.core.tables`); whoever reads them back here gives a row by column name.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from broker.core.errors import AlteredRecordError
from broker.core.model import Arrival, Content, Envelope, PartState, Position, ReceiptOutcome, Record
from broker.core.plan import Existing
from broker.core.ports import (
    DeadEntry,
    ErasurePolicy,
    KeptPart,
    KeptRecord,
    KeptTarget,
    OpenGap,
    Progress,
    SealedRecord,
    UnkeptPart,
)
from broker.core.topics import Stream, TopicPartition, split_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from broker.core.model import PartOutcome
    from broker.core.plan import DeadKey, DeadRow, KeepPlan, PartRow, RecordRow, TargetRow

T = TypeVar("T")
Values: TypeAlias = tuple[object, ...]


class Columns(Protocol):
    """A row that was read: a driver's own, or a mapping."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - each column has its own type
        """The value of a column; `KeyError` where there is none."""


RECORD_COLUMNS = (
    *("tenant", "record_id", "row_number", "account", "provider", "kind", "type", "conversation", "stream"),
    *("worker_made", "variant_of", "log", "topic", "partition", "log_offset", "keep_seq", "kept_at", "received_at"),
    *("part_count", "target_ids", "fingerprint", "envelope", "arrival", "record_digest", "arrival_digest"),
    *("encoding", "key_id", "content"),
)
PART_COLUMNS = (
    *("tenant", "record_id", "number", "media_kind", "mime", "origin_id", "fingerprint", "target_id", "kept_at"),
)
TARGET_COLUMNS = (
    *("tenant", "target_id", "account", "provider", "conversation", "object_kind", "object_id"),
    *("not_before", "erase_after_seconds", "expires_at", "changed_at"),
)
RESULT_COLUMNS = (
    *("tenant", "origin_id", "number", "fingerprint", "target_id", "state", "reason", "witnessed"),
    *("size", "sha256", "place", "version", "kept_at"),
)
RECEIPT_COLUMNS = ("tenant", "target_id", "attempt", "outcome", "evidence", "witnessed", "at")
GAP_COLUMNS = ("tenant", "record_id", "cause", "account", "received_at")
UNSEEN_COLUMNS = ("tenant", "record_id", "account", "received_at")
DEAD_COLUMNS = (
    *("log", "topic", "partition", "log_offset", "tenant", "gap_record_id", "account", "received_at"),
    *("code", "attempts", "at"),
)
RETRY_COLUMNS = ("log", "topic", "partition", "log_offset", "code", "attempts", "at")
PROGRESS_COLUMNS = (
    *("log", "topic", "partition", "start_offset", "next_offset", "duplicates", "redriven", "lost", "keep_seq"),
    "last_event_id",
)
TALLY_COLUMNS = ("log", "topic", "partition", "account", "bucket", "tenant", "entries", "duplicates")

_envelopes = msgspec.json.Decoder(Envelope)
_arrivals = msgspec.json.Decoder(Arrival)


def record_values(row: RecordRow, row_number: int) -> Values:
    """In the order of `RECORD_COLUMNS`."""
    envelope, arrival, content = row.record.envelope, row.record.arrival, row.record.content
    return (
        envelope.tenant,
        row.record_id,
        row_number,
        envelope.account,
        envelope.provider,
        envelope.kind,
        envelope.type,
        envelope.conversation,
        row.stream,
        row.worker_made,
        row.variant_of,
        *_position_values(arrival.position),
        row.keep_seq,
        row.kept_at,
        arrival.received_at,
        len(envelope.parts),
        [one.target_id for one in envelope.objects],
        _or_none(row.record.fingerprint),
        row.envelope,
        row.arrival,
        row.record_digest,
        row.arrival_digest,
        content.encoding,
        _or_none(content.key_id),
        content.data,
    )


def _position_values(position: Position | UnsetType) -> Values:
    if isinstance(position, UnsetType):
        return (None,) * 4
    return position.log, position.topic, position.partition, position.offset


def part_values(part: PartRow, now: datetime) -> Values:
    """In the order of `PART_COLUMNS`."""
    return (
        part.tenant,
        part.record_id,
        part.number,
        part.media_kind,
        part.mime,
        part.origin_id,
        part.fingerprint,
        part.target_id,
        now,
    )


def target_values(target: TargetRow, now: datetime) -> Values:
    """In the order of `TARGET_COLUMNS`."""
    return (
        target.tenant,
        target.target_id,
        target.account,
        target.provider,
        target.conversation,
        target.object_kind,
        target.object_id.encode("utf-8", "surrogatepass"),
        target.policy.not_before,
        target.policy.erase_after_seconds,
        target.policy.expires_at,
        now,
    )


def result_values(tenant: str, outcome: PartOutcome, now: datetime) -> Values:
    """In the order of `RESULT_COLUMNS`."""
    return (
        tenant,
        outcome.record_id,
        outcome.number,
        outcome.fingerprint,
        outcome.target_id,
        outcome.state,
        _or_none(outcome.reason) if outcome.state != PartState.KEPT else None,
        outcome.witnessed,
        _or_none(outcome.size),
        _or_none(outcome.sha256),
        _or_none(outcome.place),
        _or_none(outcome.version),
        now,
    )


def receipt_values(tenant: str, receipt: ReceiptOutcome) -> Values:
    """In the order of `RECEIPT_COLUMNS`."""
    return (
        tenant,
        receipt.target_id,
        receipt.attempt,
        receipt.outcome,
        receipt.evidence,
        receipt.witnessed,
        receipt.at,
    )


def receipt_outcome(row: Columns) -> ReceiptOutcome:
    """What a receipt's row says of it; that is not all that its record says."""
    return ReceiptOutcome(
        target_id=row["target_id"],
        attempt=row["attempt"],
        outcome=row["outcome"],
        evidence=row["evidence"],
        at=row["at"],
        salt=b"",
        witnessed=row["witnessed"],
    )


def gap_values(plan: KeepPlan) -> Iterator[Values]:
    """In the order of `GAP_COLUMNS`: a gap is counted where and when its record came."""
    rows = {(row.record.envelope.tenant, row.record_id): row.record for row in plan.rows}
    for tenant, record_id, cause in plan.gaps:
        record = rows[tenant, record_id]
        yield tenant, record_id, cause, record.envelope.account, record.arrival.received_at


def unseen_values(plan: KeepPlan) -> Iterator[Values]:
    """In the order of `UNSEEN_COLUMNS`: what is missing is counted where and when a status first spoke of it."""
    told: dict[tuple[str, str], Record] = {}
    for row in plan.rows:
        if row.stream == Stream.STATUSES:
            for named in row.record.envelope.relations:
                told.setdefault((row.record.envelope.tenant, named.record_id), row.record)
    for key in sorted(plan.unseen):
        yield *key, told[key].envelope.account, told[key].arrival.received_at


def dead_values(plan: KeepPlan, log: str) -> Iterator[Values]:
    """In the order of `DEAD_COLUMNS`."""
    rows = {row.record_id: row.record for row in plan.rows}
    for dead in plan.dead:
        record = rows[dead.gap_record_id]
        yield (
            *dead_key_values(dead.key, log),
            dead.tenant,
            dead.gap_record_id,
            record.envelope.account,
            record.arrival.received_at,
            dead.letter.code,
            dead.letter.attempts,
            dead.letter.at,
        )


def dead_key_values(key: DeadKey, log: str) -> Values:
    """The first four of `DEAD_COLUMNS`."""
    place, offset = key
    return log, place.topic, place.partition, offset


def retry_values(dead: DeadRow, log: str) -> Values:
    """In the order of `RETRY_COLUMNS`."""
    return (*dead_key_values(dead.key, log), dead.letter.code, dead.letter.attempts, dead.letter.at)


def progress_values(place: TopicPartition, progress: Progress, log: str) -> Values:
    """In the order of `PROGRESS_COLUMNS`."""
    return (
        log,
        place.topic,
        place.partition,
        progress.start,
        progress.next,
        progress.duplicates,
        progress.redriven,
        progress.lost,
        progress.keep_seq,
        progress.last_event_id,
    )


def tally_values(plan: KeepPlan, log: str) -> Iterator[Values]:
    """By `TALLY_COLUMNS`: under one of the tenant's locked partitions, so that nobody waits for the row."""
    for key in sorted(plan.entries.keys() | plan.duplicates.keys()):
        tenant, account, bucket = key
        own = (one for one in plan.progress if split_topic(one.topic)[0] == tenant)
        place = min(own, default=min(plan.progress))
        yield log, place.topic, place.partition, account, bucket, tenant, plan.entries[key], plan.duplicates[key]


def progress_of(rows: Iterable[Columns]) -> dict[TopicPartition, Progress]:
    """Progress by partition; rows that say nothing yet are left out."""
    return locked_progress_of(row for row in rows if row["next_offset"] is not None)


def locked_progress_of(rows: Iterable[Columns]) -> dict[TopicPartition, Progress]:
    """Progress by partition; of rows that say nothing yet, `NOTHING_KEPT` and the log's successor."""
    return {TopicPartition(row["topic"], row["partition"]): one_progress(row) for row in rows}


def one_progress(row: Columns) -> Progress:
    """The progress of one row."""
    return Progress(
        start=row["start_offset"] or 0,
        next=row["next_offset"] or 0,
        duplicates=row["duplicates"],
        redriven=row["redriven"],
        lost=row["lost"],
        keep_seq=row["keep_seq"],
        last_event_id=row["last_event_id"],
        successor=row["successor"],
    )


def existing_of(row: Columns) -> Existing:
    """What a plan wants to know of a record that is there."""
    position = None
    if row["log"] is not None:
        position = Position(log=row["log"], topic=row["topic"], partition=row["partition"], offset=row["log_offset"])
    return Existing(
        fingerprint=row["fingerprint"],
        position=position,
        record_digest=row["record_digest"].hex(),
        keep_seq=row["keep_seq"],
        kept_at=row["kept_at"],
        variant_of=row["variant_of"],
    )


def policy_of(row: Columns) -> ErasurePolicy:
    """A target's erasure policy."""
    return ErasurePolicy(
        not_before=row["not_before"], erase_after_seconds=row["erase_after_seconds"], expires_at=row["expires_at"]
    )


def kept_record(row: Columns) -> KeptRecord:
    """A record as it was kept. `AlteredRecordError` for a row that is none."""
    envelope, arrival = _decoded(row)
    record = Record(
        envelope=envelope,
        arrival=arrival,
        content=Content(encoding=row["encoding"], data=row["content"], key_id=_or_unset(row["key_id"])),
        fingerprint=_or_unset(row["fingerprint"]),
    )
    return KeptRecord(
        record=record,
        record_id=row["record_id"],
        keep_seq=row["keep_seq"],
        kept_at=row["kept_at"],
        record_digest=row["record_digest"].hex(),
        arrival_digest=row["arrival_digest"].hex(),
        variant_of=row["variant_of"],
    )


def _decoded(row: Columns) -> tuple[Envelope, Arrival]:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):  # what they say may quote the row
        return _envelopes.decode(row["envelope"]), _arrivals.decode(row["arrival"])
    raise AlteredRecordError(f"record {row['record_id']} is not what was kept: see custody report --verify")


def sealed_record(row: Columns) -> SealedRecord:
    """A row's own bytes, undecoded: whatever became of them is the reader's to find out."""
    return SealedRecord(
        tenant=row["tenant"],
        record_id=row["record_id"],
        envelope=row["envelope"],
        arrival=row["arrival"],
        content=row["content"],
        record_digest=row["record_digest"],
        arrival_digest=row["arrival_digest"],
    )


def kept_part(row: Columns) -> KeptPart:
    """A part whose bytes are kept."""
    return KeptPart(
        record_id=row["record_id"],
        number=row["number"],
        target_id=row["target_id"],
        place=row["place"],
        size=row["size"],
        kept_at=row["kept_at"],
        shared=row["shared"],
        sha256=row["sha256"],
    )


def unkept_part(row: Columns) -> UnkeptPart:
    """A part whose bytes are not kept."""
    return UnkeptPart(
        record_id=row["record_id"],
        number=row["number"],
        target_id=row["target_id"],
        media_kind=row["media_kind"],
        state=row["state"],
        reason=row["reason"],
        since=row["since"],
    )


def kept_target(row: Columns) -> KeptTarget:
    """A target and where it stands."""
    return KeptTarget(
        target_id=row["target_id"],
        account=row["account"],
        object_kind=row["object_kind"],
        object_id=object_id_of(row),
        state=row["state"],
        expires_at=row["expires_at"],
    )


def object_id_of(row: Columns) -> str:
    """What the provider calls a target."""
    data: bytes = row["object_id"]
    return data.decode("utf-8", "surrogatepass")


def dead_entry(row: Columns) -> DeadEntry:
    """A dead letter."""
    return DeadEntry(
        tenant=row["tenant"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["log_offset"],
        gap_record_id=row["gap_record_id"],
        code=row["code"],
        attempts=row["attempts"],
        at=row["at"],
        state=row["state"],
    )


def open_gap(row: Columns) -> OpenGap:
    """A gap that is open."""
    return OpenGap(
        tenant=row["tenant"],
        cause=row["cause"],
        record_id=row["record_id"],
        account=row["account"],
        stream=row["stream"],
        at=row["received_at"],
    )


def _or_none(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
