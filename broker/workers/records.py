"""Records that workers make themselves: results of fetches, receipts, and gaps for what had to be set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from broker.core import identity
from broker.core.codec import ACT_ENCODING, PART_ENCODING, RECEIPT_ENCODING, canonical
from broker.core.entropy import drawn
from broker.core.losses import LOST
from broker.core.model import (
    Arrival,
    Content,
    Delivery,
    Direction,
    Envelope,
    Kind,
    Position,
    Record,
    Relation,
)
from broker.core.topics import split_topic
from broker.core.values import replace

if TYPE_CHECKING:
    from datetime import datetime

    from broker.core.identity import TenantKey
    from broker.core.model import EraseCommand, FetchTask, PartOutcome, ReceiptOutcome
    from broker.core.ports import DeadLetter, Entropy, LogEntry, Loss
    from broker.core.topics import TopicPartition

WORKER_VERSION = "worker/1"


def part_record(task: FetchTask, outcome: PartOutcome, *, key: TenantKey, now: datetime) -> Record:
    """The record of how the fetching of a part ended."""
    native_key = (task.record_id, task.fingerprint.hex(), str(task.media.part), outcome.state)
    data = canonical(outcome)
    envelope = Envelope(
        record_id=key.record_id(provider=task.provider, account=task.account, kind=Kind.PART, native_key=native_key),
        tenant=task.tenant,
        account=task.account,
        provider=task.provider,
        kind=Kind.PART,
        type=outcome.state,
        direction=Direction.INTERNAL,
        conversation=task.conversation,
        relations=(Relation(kind="part_of", record_id=task.record_id),),
        occurred_at=now,
        content_digest=identity.content_digest(salt=outcome.salt, data=data),
    )
    return Record(
        envelope=envelope,
        arrival=_made_at(now, envelope.record_id),
        content=Content(encoding=PART_ENCODING, data=data),
    )


def receipt_record(command: EraseCommand, outcome: ReceiptOutcome, *, key: TenantKey) -> Record:
    """The recorded outcome of one deletion command."""
    data = canonical(outcome)
    envelope = Envelope(
        record_id=key.record_id(
            provider=command.provider,
            account=command.account,
            kind=Kind.RECEIPT,
            native_key=(command.target_id, str(command.attempt), outcome.outcome),
        ),
        tenant=command.tenant,
        account=command.account,
        provider=command.provider,
        kind=Kind.RECEIPT,
        type=outcome.outcome,
        direction=Direction.INTERNAL,
        conversation=key.conversation(provider=command.provider, account=command.account, thread=()),
        relations=tuple(Relation(kind="receipt_for", record_id=one) for one in command.part_record_ids),
        occurred_at=outcome.at,
        content_digest=identity.content_digest(salt=outcome.salt, data=data),
    )
    return Record(
        envelope=envelope,
        arrival=_made_at(outcome.at, envelope.record_id),
        content=Content(encoding=RECEIPT_ENCODING, data=data),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What a gap record tells of an entry set aside: the content of a `gap` record of type `dead`."""

    code: str
    attempts: int
    salt: bytes


def gap_record(  # noqa: PLR0913 - what is known of an entry that may be unreadable
    entry: LogEntry,
    letter: DeadLetter,
    *,
    log: str,
    tenant: str,
    key: TenantKey,
    about: Envelope | None,
    entropy: Entropy,
) -> Record:
    """The gap record that stands in for an entry set aside; `about` is the entry's envelope where it could be read."""
    account = about.account if about else "unknown"
    native_key = (log, entry.topic, str(entry.partition), str(entry.offset))
    record_id = key.record_id(provider="custody", account=account, kind=Kind.GAP, native_key=native_key)
    salt = drawn(entropy, identity.SALT_BYTES, record_id)
    data = canonical(SetAside(code=letter.code, attempts=letter.attempts, salt=salt))
    envelope = Envelope(
        record_id=record_id,
        tenant=tenant,
        account=account,
        provider=about.provider if about else "custody",
        kind=Kind.GAP,
        type="dead",
        direction=Direction.INTERNAL,
        conversation=about.conversation if about else key.conversation(provider="custody", account=account, thread=()),
        relations=(Relation(kind="stands_for", record_id=about.record_id),) if about else (),
        content_digest=identity.content_digest(salt=salt, data=data),
    )
    record = Record(
        envelope=envelope,
        arrival=_made_at(entry.appended_at, envelope.record_id),
        content=Content(encoding=ACT_ENCODING, data=data),
    )
    return placed(record, entry, log)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEntries:
    """The content of a `gap` record of type `lost`: offsets `first` up to, and without, `end`; absent if unknown."""

    topic: str
    partition: int
    first: int
    salt: bytes
    end: int | UnsetType = UNSET


def loss_record(loss: Loss, *, key: TenantKey, now: datetime, entropy: Entropy) -> Record:
    """The one gap record for all entries of a loss. Its place in the log is that of the first of them."""
    place = loss.place
    lost = LostEntries(
        topic=place.topic,
        partition=place.partition,
        first=loss.first,
        end=loss.end,
        salt=entropy(identity.SALT_BYTES),
    )
    native_key = (LOST, loss.log, place.topic, str(place.partition), str(loss.first), str(loss.end))
    return _lost_record(lost, loss.log, native_key, key=key, now=now)


def end_unknown_record(  # noqa: PLR0913 - a place in a log, and what every record is made with
    log: str,
    place: TopicPartition,
    *,
    first: int,
    successor: str,
    key: TenantKey,
    now: datetime,
    entropy: Entropy,
) -> Record:
    """The gap record for whatever lay past `first` in a log that can't be looked at any more."""
    lost = LostEntries(topic=place.topic, partition=place.partition, first=first, salt=entropy(identity.SALT_BYTES))
    native_key = (LOST, log, place.topic, str(place.partition), str(first), "succeeded", successor)
    return _lost_record(lost, log, native_key, key=key, now=now)


def _lost_record(lost: LostEntries, log: str, native_key: tuple[str, ...], *, key: TenantKey, now: datetime) -> Record:
    data = canonical(lost)
    envelope = Envelope(
        record_id=key.record_id(provider="custody", account="unknown", kind=Kind.GAP, native_key=native_key),
        tenant=split_topic(lost.topic)[0],
        account="unknown",
        provider="custody",
        kind=Kind.GAP,
        type=LOST,
        direction=Direction.INTERNAL,
        conversation=key.conversation(provider="custody", account="unknown", thread=()),
        occurred_at=now,
        content_digest=identity.content_digest(salt=lost.salt, data=data),
    )
    arrival = _made_at(now, envelope.record_id)
    position = Position(log=log, topic=lost.topic, partition=lost.partition, offset=lost.first)
    return Record(
        envelope=envelope,
        arrival=replace(arrival, position=position),
        content=Content(encoding=ACT_ENCODING, data=data),
    )


def placed(record: Record, entry: LogEntry, log: str) -> Record:
    """The record with its place in the log."""
    position = Position(log=log, topic=entry.topic, partition=entry.partition, offset=entry.offset)
    return replace(record, arrival=replace(record.arrival, position=position))


def _made_at(now: datetime, record_id: str) -> Arrival:
    return Arrival(received_at=now, delivery=Delivery(id=record_id, index=0, connector=WORKER_VERSION))
