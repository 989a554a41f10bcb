"""What the record store takes, answers and shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from broker.core.model import EraseCommand, Record
from broker.core.topics import TopicPartition
from broker.core.values import Value


class ErasurePolicy(Value, frozen=True, kw_only=True):
    """When the targets of one record may be erased, and until when the provider keeps what can't be.

    `not_before`: the provider's minimum age. `erase_after_seconds`: after the keep. `expires_at`: the provider's own
    deadline, which wins.
    """

    not_before: datetime
    erase_after_seconds: float
    expires_at: datetime


class DeadLetter(Value, frozen=True, kw_only=True):
    """Why an entry was set aside: a stable code, how often it was tried, when."""

    code: str
    attempts: int
    at: datetime


class Arrived(Value, frozen=True, kw_only=True):
    """A log entry, decoded, for the store to keep.

    `record.arrival.position` is set. `dead` marks a gap record that stands in for an entry set aside. `redrive_of`
    names the dead letter that this entry is another try of. `policy` is there for records that name provider objects.
    """

    record: Record
    event_id: str
    policy: ErasurePolicy | None = None
    dead: DeadLetter | None = None
    redrive_of: tuple[TopicPartition, int] | None = None


class Answer(Value, frozen=True, kw_only=True):
    """What became of one entry: `stored`, `variant`, `duplicate`, `replayed`, `dead`.

    `stored` and `variant` have the digest and the place of the row; a replay whose own row is there says `stored`
    again.
    """

    outcome: str
    record_id: str
    record_digest: str | None = None
    keep_seq: int | None = None
    kept_at: datetime | None = None
    variant_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the store is in one partition.

    `start` is the first offset it was to keep there: 0, or where an adopted log began. Of the entries from there to
    `next`, so many were `duplicates`, so many `redriven` (counted with their first try). `keep_seq` rows were kept.
    `last_event_id` is the `ce_id` of the entry at `next - 1`. `successor` is the log that has taken this one's place:
    then nothing more is kept of this one. `beside` is that of a second store, where two are written: what holds of the
    log has to hold for both, and the one that is behind is the one that says where to go on.
    """

    start: int
    next: int
    duplicates: int = 0
    redriven: int = 0
    lost: int = 0
    keep_seq: int = 0
    last_event_id: str = ""
    successor: str | None = None
    beside: Progress | None = field(default=None, compare=False)


NOTHING_KEPT = Progress(start=0, next=0)
"""Of a partition that nothing was kept of yet. Entries begin at 0: what a log no longer has of them is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Entries that a log lost before the store kept them: from `first` up to `end`, which is the first still there."""

    log: str
    place: TopicPartition
    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Log `log` takes the place of log `predecessor` for a tenant, and is kept from `starts` on.

    `gaps` say of partitions of the old log that nobody knows what lay past the store's progress there.
    """

    tenant: str
    log: str
    predecessor: str
    starts: Mapping[TopicPartition, int]
    gaps: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTarget:
    """A target the relay may command the erasure of, until its lease is over."""

    command: EraseCommand
    conversation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """A record as it lies in the store, digests in hex."""

    record: Record
    record_id: str
    keep_seq: int
    kept_at: datetime
    record_digest: str
    arrival_digest: str
    variant_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRecord:
    """A row as it lies in the store: its bytes undecoded, beside the digests (32 bytes) that were kept with them."""

    tenant: str
    record_id: str
    envelope: bytes = field(repr=False)
    arrival: bytes = field(repr=False)
    content: bytes = field(repr=False)
    record_digest: bytes
    arrival_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPart:
    """A part whose bytes lie in the blob store.

    `kept_at`: when both the record that names it and its bytes were kept. `shared`: it has the blob of another part
    of the same provider object, which had been erased when this part was named.
    """

    record_id: str
    number: int
    target_id: str
    place: str
    size: int
    kept_at: datetime
    shared: bool = False
    sha256: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnkeptPart:
    """A part whose bytes are not kept. `state`: lost, for a `reason` as in `LossReason`, or open since it was named."""

    record_id: str
    number: int
    target_id: str
    media_kind: str
    state: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTarget:
    """A provider object and how far its erasure is. `object_id` is content."""

    target_id: str
    account: str
    object_kind: str
    object_id: str = field(repr=False)
    state: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEntry:
    """A dead letter as the store knows it. `state`: open or settled."""

    tenant: str
    topic: str
    partition: int
    offset: int
    gap_record_id: str
    code: str
    attempts: int
    at: datetime
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGap:
    """Something known to be missing or unreadable, and the record that says so.

    Of the cause `outbound_unseen` it is the missing message itself that `record_id` names: a status spoke of it.
    `stream` is that of the entry which told; empty where there was none. `at`: when that was received.
    """

    tenant: str
    cause: str
    record_id: str
    account: str
    stream: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the store holds of a tenant, counted from rows in one snapshot (docs: the account).

    `progress` is per partition of the accounted streams, `before` that of logs whose place this one has taken.
    `targets` counts the distinct targets that kept and variant rows name; `target_states` counts rows, so that a
    missing row shows. `days` is per (account, 15-minute UTC bucket).
    """

    progress: Mapping[TopicPartition, Progress]
    kept: int
    variants: int
    dead: int
    gaps: Mapping[str, int]
    parts: int
    parts_kept: int
    parts_lost: Mapping[str, int]
    targets: int
    target_states: Mapping[str, int]
    buckets: Sequence[BucketTally] = ()
    before: Sequence[Progress] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketTally:
    """One account's quarter of an hour, by `received_at`: entries processed, and what became of them."""

    account: str
    start: datetime
    entries: int
    kept: int
    duplicates: int
    variants: int
    dead: int
    gaps: int
    parts: int
    parts_kept: int
    parts_lost: int
    targets: int
    target_states: Mapping[str, int]
