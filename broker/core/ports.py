"""The seams: a Protocol only where there are two implementations (docs/adr/0003-seams.md).

Everything that crosses one is a frozen dataclass of `model` or of this module. Times are aware UTC, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from broker.core.item import Change
from broker.core.model import EraseCommand, FetchTask, MediaObject, Record
from broker.core.registry import Account
from broker.core.topics import TopicPartition, TopicSpec

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

Clock = Callable[[], datetime]
"""Now, aware and in UTC."""
Entropy = Callable[[int], bytes]
"""So many random bytes; seeded in tests and where a demo is to be repeatable: see `entropy.drawn`."""

_FRAME_BYTES = 10
"""Of a length or a number that a log writes beside what it stands for, at most."""


# --- the event log -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An entry to append. The key chooses the partition; keys and headers never carry content."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """What counts against `EventLog.entry_bytes`: key, headers and value, and some bytes for what frames them."""
        framed = sum(len(name.encode()) + len(value) + _FRAME_BYTES for name, value in self.headers)
        return len(self.key) + len(self.value) + framed + 8 * _FRAME_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An entry as read. `appended_at` is the log's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes = field(repr=False)
    appended_at: datetime

    @property
    def place(self) -> TopicPartition:
        """The partition it lies in."""
        return TopicPartition(self.topic, self.partition)

    def header(self, name: str) -> str | None:
        """The first header of that name, as text."""
        return next((value.decode("utf-8", "replace") for key, value in self.headers if key == name), None)

    @property
    def event_id(self) -> str:
        """`ce_id`; empty where an entry has none."""
        return self.header("ce_id") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A partition's first offset still there, and the offset its next entry will get."""

    first: int
    end: int


StartAt = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Where to start, asked on assignment: the reader goes on at the lower of this and the group's committed offset."""


class Subscription(Protocol):
    """A group member's view of the streams it reads.

    Nothing moves by itself: `fetch` hands a batch over, and only `commit` moves the group's offsets, to the explicit
    next offsets given. Fetching goes on from the last fetched entry, not from the last committed one.
    """

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions this member owns now."""
        ...

    async def fetch(self, *, max_entries: int, wait_seconds: float) -> Sequence[LogEntry]:
        """The next entries of owned partitions that are not paused, in order within a partition.

        Waits up to `wait_seconds` for the first one; empty when there is none. Also keeps the membership alive and
        takes over free partitions. `LogUnavailableError`: call again later.
        """
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Moves the group's offsets to these next offsets, durably.

        `OwnershipLostError` when one of the partitions is another member's now (nothing of it moves).
        """
        ...

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetches nothing more of these until `resume`; they stay owned, also over a change of the membership."""
        ...

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetches from these again."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetches this partition from `offset` on."""
        ...

    def keep_alive(self) -> None:
        """A sign of life of a reader that waits for something else, and neither fetches nor commits meanwhile.

        One that gives none for long is taken for hanging, and others take its partitions over.
        """
        ...

    async def close(self) -> None:
        """Gives the partitions back at once, committing nothing."""
        ...


class EventLog(Protocol):
    """The log: Kafka, or Postgres on one machine."""

    @property
    def identity(self) -> str:
        """Differs between two logs, and between a log and its successor after a restore; stable otherwise."""
        ...

    @property
    def entry_bytes(self) -> int:
        """The most that one entry may have, key and headers included; `append` refuses more as `TooLargeError`."""
        ...

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """Durable on return, in order within a key. `LogUnavailableError`: the caller may not take any as written."""
        ...

    async def subscribe(
        self,
        group: str,
        streams: Sequence[str],
        *,
        start_at: StartAt | None = None,
    ) -> Subscription:
        """Joins a group reading these streams of every tenant, those created later included.

        A partition without a committed offset is read from its first entry, never from its end.
        """
        ...

    async def read(self, partition: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        """Entries from `offset` on, outside any group; empty past the end."""
        ...

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        """First and end offsets of every partition of these topics; topics that do not exist are left out."""
        ...

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """A group's committed next offsets."""
        ...

    async def members(self, group: str) -> Mapping[TopicPartition, str]:
        """Who reads a group's partitions now: the member's name; partitions that nobody reads are left out."""
        ...

    async def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[str]:
        """Creates what is missing and gives back the names created; never takes partitions away."""
        ...

    async def topics(self) -> Sequence[str]:
        """Every topic of Custody there is."""
        ...

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Entries below `before` may go."""
        ...

    async def expire(self, now: datetime, *, floors: Mapping[TopicPartition, int]) -> int:
        """Takes away what is older than its topic's retention; how many entries went.

        Of the partitions in `floors` nothing from that offset on goes, however old.

        A log that does so by itself, as Kafka does, takes nothing away here.
        """
        ...

    async def ping(self) -> None:
        """Returns when the log answers; `LogUnavailableError` when not."""
        ...

    async def close(self) -> None:
        """Lets go of connections; what was appended stays."""
        ...


# --- the record store --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePolicy:
    """When the targets of one record may be erased, and until when the provider keeps what can't be.

    `not_before`: the provider's minimum age. `erase_after_seconds`: after the keep. `expires_at`: the provider's own
    deadline, which wins.
    """

    not_before: datetime
    erase_after_seconds: float
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why an entry was set aside: a stable code, how often it was tried, when."""

    code: str
    attempts: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A log entry, decoded, for the store to keep.

    `record.arrival.position` is set. `dead` marks a gap record that stands in for an entry set aside. `redrive_of`
    names the dead letter that this entry is another try of. `policy` is there for records that name provider objects.
    """

    record: Record
    event_id: str
    policy: ErasurePolicy | None = None
    dead: DeadLetter | None = None
    redrive_of: tuple[TopicPartition, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    then nothing more is kept of this one.
    """

    start: int
    next: int
    duplicates: int = 0
    redriven: int = 0
    lost: int = 0
    keep_seq: int = 0
    last_event_id: str = ""
    successor: str | None = None


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


class RecordStore(Protocol):
    """The PAS's records: Postgres, MongoDB, memory."""

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        """Keeps a batch in one transaction, progress included; an answer for each entry, in order.

        Within a partition the batch's entries are in order and without holes. Below progress an entry is a replay.
        `OffsetGapError`: nothing was written. `UnstorableError`: nothing was written; one entry of the batch is at
        fault.
        `StoreUnavailableError`: nothing was written, or all of it; keep the same batch again.
        """
        ...

    async def keep_act(self, record: Record) -> None:
        """Keeps what an operator did: a record without a place in the log."""
        ...

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        """Moves progress past entries that the log lost, counts them as lost and keeps the gap record that says so.

        One transaction. The same loss again changes nothing. `LossRefusedError`: progress is not at its first offset;
        nothing was written.
        """
        ...

    async def adopt(self, adoption: Adoption) -> None:
        """Lets a log take another one's place, in one transaction; the same again changes nothing.

        `AdoptionRefusedError`: the store did not keep this tenant from that log, or a third has taken its place.
        """
        ...

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """By topic: other logs it was kept from, and that none has taken the place of."""
        ...

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        """How far the store is in a log's partitions; partitions it never saw are left out."""
        ...

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        """Claims targets that are due (or whose lease is over), each for `lease`, and counts the attempt.

        Also moves residue past its day to `expired`.
        """
        ...

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        """One record, or None."""
        ...

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        """A conversation's records in the order they were kept, without the first `after` of them."""
        ...

    def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        """Every record of a tenant, streamed in bounded memory."""
        ...

    def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        """Every row of a tenant, its bytes as they lie there, streamed: for whoever hashes them again."""
        ...

    def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        """Every part whose bytes are kept, streamed."""
        ...

    def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        """Every part whose bytes are not kept, streamed."""
        ...

    def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        """Every target of a tenant, streamed: what the account of the provider's side is held against."""
        ...

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        """Puts blocked targets back to `due`, after a person saw to the cause; how many there were."""
        ...

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        """Moves blocked targets to `already_gone`, on a person's word; how many there were.

        A target that is not blocked stays, and so does one with a part of which it is not known how it ended.
        """
        ...

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        """Dead letters, oldest first; the settled ones too when asked."""
        ...

    def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        """Every open gap of a tenant, by cause and then oldest first, streamed; the derived ones among them."""
        ...

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        """The store's side of the account, in one snapshot."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers and its schema is known."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


# --- the blob store ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInfo:
    """A blob as kept: its size, SHA-256 (32 bytes) and the version the store gave it."""

    place: str
    size: int
    sha256: bytes = field(repr=False)
    version: str


class BlobStore(Protocol):
    """The PAS's blobs: S3, Postgres, memory. Written once, never visible by half, not deleted by its writers."""

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        """Streams a blob in; durable on return, in memory bounded by a chunk.

        `TooLargeError`, `DigestMismatchError` (against `sha256`), `BlobExistsError`, and whatever `chunks` raises:
        nothing is visible. `BlobsUnavailableError`: nothing is visible; try again.
        """
        ...

    async def stat(self, place: str) -> BlobInfo | None:
        """What lies there, or None."""
        ...

    def open(self, place: str) -> AsyncIterator[bytes]:
        """Streams a blob out. `ObjectGoneError` when nothing lies there."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers; `BlobsUnavailableError` when not."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


OpenBlobs = Callable[[], Awaitable[BlobStore]]
"""Opens the blob store, once, when it is first needed. `BlobsUnavailableError`: not now; ask again."""


# --- connectors --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do, as data.

    `erasable` are the object kinds with a delete call. `media_life` and `text_life` are how long the provider keeps
    bytes and texts by itself, per wanted storage. `min_age` before a delete is taken. `media_hosts` are the only
    hosts a token is sent to. `rate_scope` says what shares one rate: account, app or provider.
    """

    erasable: frozenset[str]
    media_life: Mapping[str, timedelta]
    text_life: Mapping[str, timedelta]
    min_age: timedelta
    media_hosts: tuple[str, ...]
    max_part_bytes: int
    rate_scope: str
    read_back: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPart:
    """A part's bytes on their way. `sha256`: the digests the provider announced (32 bytes each); all must hold."""

    mime: str
    size: int | None
    sha256: tuple[bytes, ...] = field(repr=False)
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseAnswer:
    """What the provider answered to a delete. `outcome` as in `ErasureOutcome`; `evidence` in fixed words."""

    outcome: str
    evidence: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that `custody check` found. `level`: ok, warning or problem; every problem has its remedy."""

    level: str
    subject: str
    message: str
    remedy: str = ""


class Connector(Protocol):
    """One provider. Its webhook edge is its own; what it can fetch, erase and read back is here."""

    @property
    def name(self) -> str:
        """The provider's name in records and settings."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the provider can do."""
        ...

    def parse(self, body: bytes) -> Sequence[Change]:
        """A body's items. Pure; never raises and never drops: what it does not know becomes `unsupported` or a gap."""
        ...

    def open_part(self, account: Account, task: FetchTask) -> AbstractAsyncContextManager[OpenPart]:
        """Opens a part's bytes at the provider.

        `ObjectGoneError`, `TooLargeError`, `ForbiddenHostError`: final. Provider errors that pass are retryable.
        """
        ...

    async def erase(self, account: Account, command: EraseCommand) -> EraseAnswer:
        """Deletes a provider object; raises only for faults of Custody's own."""
        ...

    async def check(self, account: Account) -> Sequence[Finding]:
        """Whether the account's posture and subscriptions are as wanted."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


__all__ = [
    "NOTHING_KEPT",
    "Account",
    "Adoption",
    "Answer",
    "Arrived",
    "BlobInfo",
    "BlobStore",
    "Bounds",
    "BucketTally",
    "Capabilities",
    "Change",
    "ClaimedTarget",
    "Clock",
    "Connector",
    "DeadEntry",
    "DeadLetter",
    "Entropy",
    "EraseAnswer",
    "ErasurePolicy",
    "EventLog",
    "Finding",
    "KeptPart",
    "KeptRecord",
    "KeptTarget",
    "LogEntry",
    "Loss",
    "MediaObject",
    "NewEntry",
    "OpenBlobs",
    "OpenGap",
    "OpenPart",
    "Progress",
    "RecordStore",
    "SealedRecord",
    "StartAt",
    "Subscription",
    "Tally",
    "UnkeptPart",
]
