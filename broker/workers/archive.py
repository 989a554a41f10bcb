"""The archive worker: from the log into the record store, and `kept` notices for whoever waits for them.

The store keeps a batch and its progress in one transaction; only then do `kept` notices go out, and only then do
the log's offsets move. On assignment it goes on where the store stands, after a look whether this is still the log
it was kept from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core import codec, parcels
from broker.core.delivery import code_of
from broker.core.errors import FatalError, LogChangedError, MalformedEntryError, OffsetGapError
from broker.core.metrics import Metrics
from broker.core.model import KeptNotice, Kind, Origin
from broker.core.ports import (
    NOTHING_KEPT,
    Arrived,
    Capabilities,
    Clock,
    DeadLetter,
    Entropy,
    ErasurePolicy,
    EventLog,
    NewEntry,
    OpenBlobs,
    RecordStore,
)
from broker.core.registry import Registry
from broker.core.seal import event_headers
from broker.core.topics import ACCOUNTED_STREAMS, Stream, TopicPartition, split_topic, topic_name
from broker.core.values import replace
from broker.workers.dead import DeadStream
from broker.workers.deliver import Delivery
from broker.workers.records import gap_record, placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.model import Envelope, Record
    from broker.core.ports import (
        Answer,
        Bounds,
        LogEntry,
        Progress,
    )
    from broker.core.registry import Tenant

GROUP = "archive"
REDRIVE_HEADER = "custody-redrive-of"
PROVIDER_DROPPED = "provider_dropped"


@dataclass(slots=True, kw_only=True)
class Archive:
    """Keeps what `messages`, `statuses`, `parts` and `receipts` carry."""

    log: EventLog
    store: RecordStore
    registry: Callable[[], Registry]
    capabilities: Mapping[str, Capabilities]
    metrics: Metrics
    clock: Clock
    entropy: Entropy
    blobs: OpenBlobs = parcels.no_blobs
    most_unpacked_bytes: int = 16 * 2**20
    delivery: Delivery | None = None
    dead: DeadStream = field(init=False)

    def __post_init__(self) -> None:
        self.dead = DeadStream(log=self.log)

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        """Keeps a batch and tells of it; in several transactions where contents lie apart that are much together."""
        arrived: list[Arrived] = []
        unpacked_bytes = 0
        for entry in batch:
            one = self.arrived(entry)
            reference = parcels.reference_of(one.record.content)
            if reference is not None:
                if arrived and unpacked_bytes + reference.size > self.most_unpacked_bytes:
                    await self._keep(arrived)
                    arrived, unpacked_bytes = [], 0
                unpacked_bytes += reference.size
                one = replace(one, record=await parcels.unpacked(one.record, self.blobs))
            arrived.append(one)
        await self._keep(arrived)

    async def _keep(self, arrived: Sequence[Arrived]) -> None:
        answers = await self.store.keep(arrived)
        notices = [
            notice
            for one, answer in zip(arrived, answers, strict=True)
            if (notice := kept_entry(one.record, answer)) is not None
        ]
        if notices:
            await self.log.append(notices)
        self._count(arrived, answers)

    def _count(self, arrived: Sequence[Arrived], answers: Sequence[Answer]) -> None:
        for outcome, amount in Counter(answer.outcome for answer in answers).items():
            self.metrics.count("custody.keep.answers", amount, outcome=outcome)
        dropped = sum(
            one.record.envelope.kind == Kind.GAP and one.record.envelope.type == PROVIDER_DROPPED for one in arrived
        )
        if dropped:
            self.metrics.count("custody.gaps.data_loss", dropped)

    async def set_aside(self, entry: LogEntry, error: Exception, attempts: int) -> None:
        """Puts an entry's own bytes on `dead`, and a gap record in its place in the store."""
        letter = DeadLetter(code=code_of(error), attempts=attempts, at=self.clock())
        tenant = self._tenant(entry)
        about = _envelope_of(entry)
        gap = gap_record(
            entry,
            letter,
            log=self.log.identity,
            tenant=tenant.name,
            key=tenant.key,
            about=about,
            entropy=self.entropy,
        )
        await self.dead.add(dead_entry(entry, letter, tenant.name))
        await self.store.keep([Arrived(record=gap, event_id=entry.event_id, dead=letter, redrive_of=redrive_of(entry))])

    async def start_at(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where to go on in these partitions; stops those whose log is not the one they were kept from.

        Where the group never committed there is no wish, so that they are read from their first entry: what was kept
        there may not have been told of, and until something is committed they would seem to stand still.
        """
        stands = await self.stands_at(places)
        committed = await self.log.committed(GROUP, sorted({place.topic for place in stands}))
        return {place: offset for place, offset in stands.items() if place in committed}

    async def stands_at(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where the store stands in these partitions; stops those whose log is not the one they were kept from."""
        others = await self._from_other_logs(places)
        for place, logs in others.items():
            self._stop(place, _not_adopted(place, self.log.identity, logs))
        standing = await self._standing(places - others.keys())
        for place, (progress, bounds) in standing.items():
            if not await self._is_same_log(place, progress, bounds):
                self._stop(place, _changed(place, progress))
            elif bounds.first > progress.next:
                self._stop(place, _gap(place, progress, bounds))
        return {place: min(progress.next, bounds.end) for place, (progress, bounds) in standing.items()}

    async def mended(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Those of these stopped partitions whose log is, or is again, what the store goes on with; and from where."""
        standing = await self._standing(places - (await self._from_other_logs(places)).keys())
        return {
            place: progress.next
            for place, (progress, bounds) in standing.items()
            if await self._is_same_log(place, progress, bounds) and await self._goes_on(place, progress, bounds)
        }

    async def _from_other_logs(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, frozenset[str]]:
        """Those of these partitions that were kept from another log, whose place this one has not taken."""
        topics = sorted({place.topic for place in places})
        fresh = places - (await self.store.progress(self.log.identity, topics)).keys()
        if not fresh:
            return {}
        others = await self.store.other_logs(self.log.identity, sorted({place.topic for place in fresh}))
        return {place: others[place.topic] for place in fresh if place.topic in others}

    async def _standing(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, tuple[Progress, Bounds]]:
        """Where the store and the log stand in those of these partitions that the log has."""
        topics = sorted({place.topic for place in places})
        progress = await self.store.progress(self.log.identity, topics)
        bounds = await self.log.bounds(topics)
        return {place: (progress.get(place, NOTHING_KEPT), bounds[place]) for place in places & bounds.keys()}

    async def _is_same_log(self, place: TopicPartition, progress: Progress, bounds: Bounds) -> bool:
        if progress.beside is not None and not await self._is_same_log(place, progress.beside, bounds):
            return False
        if bounds.end < progress.next or progress.successor is not None:
            return False
        if not progress.last_event_id or progress.next <= max(bounds.first, progress.start):
            return True
        entries = await self.log.read(place, progress.next - 1, max_entries=1)
        return not entries or entries[0].event_id == progress.last_event_id

    async def _goes_on(self, place: TopicPartition, progress: Progress, bounds: Bounds) -> bool:
        """Whether the log has the entry at progress, or has come no further."""
        if bounds.first > progress.next or bounds.end <= progress.next:
            return bounds.first <= progress.next
        entries = await self.log.read(place, progress.next, max_entries=1)
        return bool(entries) and entries[0].offset == progress.next

    def _stop(self, place: TopicPartition, error: FatalError) -> None:
        if self.delivery is None:
            raise error
        self.delivery.stop_partition(place, error)

    def arrived(self, entry: LogEntry) -> Arrived:
        """An entry, decoded, as the store takes it. `MalformedEntryError`: it is no record, or another tenant's."""
        record = placed(codec.decode_record(entry.value), entry, self.log.identity)
        tenant = self._tenant(entry)
        if record.envelope.tenant != tenant.name:
            message = f"{entry.topic}[{entry.partition}] offset {entry.offset}: a record of another tenant"
            raise MalformedEntryError(message)
        return Arrived(
            record=record,
            event_id=entry.event_id,
            policy=self._policy(record, tenant) if record.envelope.objects else None,
            redrive_of=redrive_of(entry),
        )

    def _tenant(self, entry: LogEntry) -> Tenant:
        return self.registry().tenant(split_topic(entry.topic)[0])

    def _policy(self, record: Record, tenant: Tenant) -> ErasurePolicy:
        envelope, received_at = record.envelope, record.arrival.received_at
        capabilities = self.capabilities[envelope.provider]
        deadlines = [one.fetch_by for one in record.arrival.deadlines]
        return ErasurePolicy(
            not_before=received_at + capabilities.min_age,
            erase_after_seconds=tenant.erase_after_seconds,
            expires_at=max(deadlines, default=received_at + max(capabilities.media_life.values(), default=timedelta())),
        )


def _changed(place: TopicPartition, progress: Progress) -> LogChangedError:
    return LogChangedError(
        f"{place.topic}[{place.partition}]: the entry before offset {progress.next} is not the one this store "
        "kept. Point Custody at the log it was kept from, or see what to do about a topic that was made anew"
    )


def _not_adopted(place: TopicPartition, log: str, others: frozenset[str]) -> LogChangedError:
    return LogChangedError(
        f"{place.topic}[{place.partition}]: kept from {', '.join(sorted(others))} so far, and this is {log}. "
        "Point Custody at that log, or let this one take its place: custody log adopt"
    )


def _gap(place: TopicPartition, progress: Progress, bounds: Bounds) -> OffsetGapError:
    return OffsetGapError(topic=place.topic, partition=place.partition, expected=progress.next, found=bounds.first)


def redrive_of(entry: LogEntry) -> tuple[TopicPartition, int] | None:
    """The dead letter that an entry is another try of, from its header."""
    header = entry.header(REDRIVE_HEADER)
    if header is None:
        return None
    topic, partition, offset = header.rsplit("/", 2)
    return TopicPartition(topic, int(partition)), int(offset)


def dead_entry(entry: LogEntry, letter: DeadLetter, tenant: str) -> NewEntry:
    """An entry's own bytes for the `dead` stream, with the reason in headers."""
    place = f"{entry.topic}/{entry.partition}/{entry.offset}"
    headers = dict(entry.headers) | {
        "ce_id": place.encode(),
        "custody-dead-of": place.encode(),
        "custody-dead-key": entry.key,
        "custody-dead-event": entry.event_id.encode(),
        "custody-dead-code": letter.code.encode(),
        "custody-dead-attempts": str(letter.attempts).encode(),
        "custody-dead-at": letter.at.isoformat().encode(),
    }
    return NewEntry(
        topic=topic_name(tenant, Stream.DEAD),
        key=place.encode(),
        headers=tuple(headers.items()),
        value=entry.value,
    )


def redriven_entry(dead: LogEntry) -> NewEntry:
    """A dead letter back on its own topic, as another try of the same entry."""
    origin = dead.header("custody-dead-of") or ""
    key = next(value for name, value in dead.headers if name == "custody-dead-key")
    headers = {name: value for name, value in dead.headers if not name.startswith("custody-dead-")}
    headers |= {
        "ce_id": (dead.header("custody-dead-event") or "").encode(),
        "custody-origin": Origin.REDRIVE.encode(),
        REDRIVE_HEADER: origin.encode(),
    }
    return NewEntry(topic=origin.rsplit("/", 2)[0], key=key, headers=tuple(headers.items()), value=dead.value)


def _envelope_of(entry: LogEntry) -> Envelope | None:
    try:
        return codec.decode_record(entry.value).envelope
    except MalformedEntryError:
        return None


def kept_entry(record: Record, answer: Answer) -> NewEntry | None:
    """The notice for a row born of this entry; statuses and messages only.

    Its id is not the record's own, which the record's event has already, of the same source: whoever reads both streams
    would take one for a repetition of the other.
    """
    position = record.arrival.position
    if answer.outcome not in {"stored", "variant"} or position is UNSET:
        return None
    if split_topic(position.topic)[1] not in ACCOUNTED_STREAMS:
        return None
    if answer.record_digest is None or answer.keep_seq is None or answer.kept_at is None:
        return None
    envelope = record.envelope
    notice = KeptNotice(
        record_id=answer.record_id,
        tenant=envelope.tenant,
        account=envelope.account,
        kind=envelope.kind,
        type=envelope.type,
        conversation=envelope.conversation,
        record_digest=answer.record_digest,
        kept_at=answer.kept_at,
        keep_seq=answer.keep_seq,
        position=position,
        variant_of=answer.variant_of if answer.variant_of is not None else UNSET,
    )
    return NewEntry(
        topic=topic_name(envelope.tenant, Stream.KEPT),
        key=envelope.conversation.encode(),
        headers=event_headers(
            event_id=f"{answer.record_id}/kept",
            event_type="custody.kept.v1",
            source=f"/{envelope.provider}/{envelope.account}",
            subject=answer.record_id,
            time=answer.kept_at,
        ),
        value=codec.canonical(notice),
    )
