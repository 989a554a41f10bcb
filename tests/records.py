"""Records for tests, made from a seed: the same seed makes the same bytes again.

A `Desk` seals items for one tenant and gives each entry its place in the log, one offset after the other.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core import identity
from broker.core.codec import ACT_ENCODING, PART_ENCODING, RECEIPT_ENCODING, canonical
from broker.core.identity import TenantKey
from broker.core.item import Item, ItemPart, ItemParty, ItemRelation
from broker.core.model import (
    Arrival,
    Content,
    Delivery,
    Direction,
    Envelope,
    Identity,
    IdentityKind,
    Kind,
    PartOutcome,
    PartState,
    Position,
    ReceiptOutcome,
    Record,
)
from broker.core.ports import Arrived, Bounds, DeadLetter, ErasurePolicy
from broker.core.seal import Sealer, stream_of
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.core.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = "log-of-the-tests"
TENANT = "acme"
PROVIDER = "whatsapp_cloud"
ACCOUNT = "106540352242922"
CUSTOMER = "491701234567"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""What the tests' clocks start at."""
MEDIA_LIFE = timedelta(days=7)


class Time:
    """A clock that the test sets."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> datetime:
        """Lets some time pass: `seconds`, `minutes`, `hours`, `days`."""
        self.now += timedelta(**span)
        return self.now


class Desk:
    """Makes records of one tenant's account, and log entries of them."""

    def __init__(self, seed: int, *, tenant: str = TENANT, account: str = ACCOUNT, log: str = LOG) -> None:
        self.random = random.Random(f"{seed}/{tenant}/{account}")
        self.time = Time()
        self.tenant = tenant
        self.log = log
        self.key = TenantKey(self.random.randbytes(identity.KEY_BYTES))
        self.sealer = Sealer(
            tenant=tenant,
            key=self.key,
            provider=PROVIDER,
            account=account,
            media_life=MEDIA_LIFE,
            entropy=self.random.randbytes,
        )
        self.ends: Counter[TopicPartition] = Counter()
        """The next offset of each partition: where the log would end."""
        self._native_of: dict[str, str] = {}

    # --- records that a provider sends ---

    def text(self, body: str = "Good morning", *, native: str | None = None, thread: str = CUSTOMER) -> Record:
        """A text message. The same `native` with another `body` is a variant."""
        return self.seal(self._message("text", native, thread, body.encode("utf-8", "surrogatepass")))

    def image(self, *object_ids: str, native: str | None = None, thread: str = CUSTOMER, caption: str = "") -> Record:
        """A message with a photo for each provider object; one of its own where none is named."""
        parts = tuple(
            ItemPart(media_kind="image", mime="image/jpeg", object_id=one, file_name="IMG_0001.jpg", size=1024)
            for one in object_ids or (self._number(15),)
        )
        return self.seal(replace(self._message("image", native, thread, caption.encode()), parts=parts))

    def status(self, of: Record | None = None, name: str = "delivered") -> Record:
        """A status of a message, or of one that nobody kept."""
        native = self._number(20) if of is None else self._native_of[of.envelope.record_id]
        raw = canonical({"id": native, "status": name, "timestamp": "1795435200"})
        item = Item(
            kind=Kind.STATUS,
            type=name,
            direction=Direction.OUT,
            native_key=(native, "", name, "1795435200", ""),
            thread=("phone", CUSTOMER),
            raw=raw,
            counted=raw,
            relations=(ItemRelation(kind="status_of", target_kind=Kind.MESSAGE, native_key=(native,)),),
            occurred_at=self.time.now,
        )
        return self.seal(item)

    def gap(self, cause: str = "undelivered") -> Record:
        """A message that the provider names and can't deliver."""
        raw = canonical({"error": cause, "id": self._number(20)})
        item = Item(
            kind=Kind.GAP,
            type=cause,
            direction=Direction.IN,
            native_key=(self._number(20),),
            thread=("phone", CUSTOMER),
            raw=raw,
            counted=raw,
        )
        return self.seal(item)

    def seal(self, item: Item) -> Record:
        """The record of an item, received now."""
        delivery = Delivery(id=f"dlv_{self._number(12)}", index=0, connector="tests/1")
        record = self.sealer.seal(item, received_at=self.time.now, delivery=delivery, origin="live")
        self._native_of[record.envelope.record_id] = item.native_key[0] if item.native_key else ""
        return record

    # --- records that workers make ---

    def kept(self, of: Record, number: int = 1, data: bytes = b"a photo") -> Record:
        """The result of a fetch that kept the bytes of a part."""
        outcome = PartOutcome(
            record_id=of.envelope.record_id,
            fingerprint=_fingerprint(of),
            number=number,
            target_id=target_of(of, number),
            state=PartState.KEPT,
            salt=self.random.randbytes(identity.SALT_BYTES),
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            place=f"{self.tenant}/{of.envelope.record_id}/{number}",
            version="1",
        )
        return self._part(of, outcome)

    def lost(self, of: Record, number: int = 1, *, reason: str = "gone", witnessed: bool = False) -> Record:
        """The result of a fetch that ended without the bytes."""
        outcome = PartOutcome(
            record_id=of.envelope.record_id,
            fingerprint=_fingerprint(of),
            number=number,
            target_id=target_of(of, number),
            state=PartState.LOST,
            salt=self.random.randbytes(identity.SALT_BYTES),
            reason=reason,
            witnessed=witnessed,
        )
        return self._part(of, outcome)

    def receipt(
        self,
        target_id: str,
        outcome: str,
        *,
        attempt: int = 1,
        witnessed: bool = False,
        retry_after_seconds: float | None = None,
    ) -> Record:
        """What a deletion command came to."""
        receipt = ReceiptOutcome(
            target_id=target_id,
            attempt=attempt,
            outcome=outcome,
            evidence="200",
            at=self.time.now,
            salt=self.random.randbytes(identity.SALT_BYTES),
            witnessed=witnessed,
            retry_after_seconds=UNSET if retry_after_seconds is None else retry_after_seconds,
        )
        native = (target_id, str(attempt))
        return self._made(Kind.RECEIPT, outcome, native, RECEIPT_ENCODING, canonical(receipt), receipt.salt)

    def act(self, name: str = "redrive") -> Record:
        """Something that an operator did."""
        salt = self.random.randbytes(identity.SALT_BYTES)
        return self._made(
            Kind.ACT, name, (self._number(12),), ACT_ENCODING, canonical({"salt": salt, "why": "a test"}), salt
        )

    # --- entries of the log ---

    def arrive(
        self,
        record: Record,
        *,
        partition: int = 0,
        redrive_of: Arrived | None = None,
        policy: ErasurePolicy | None = None,
    ) -> Arrived:
        """The next entry of the record's stream."""
        place = TopicPartition(topic_name(self.tenant, stream_of(record)), partition)
        return Arrived(
            record=self._placed(record, place),
            event_id=record.envelope.record_id,
            policy=(policy or self.policy(record)) if record.envelope.objects else None,
            redrive_of=None if redrive_of is None else where(redrive_of),
        )

    def die(self, record: Record, *, partition: int = 0, redrive_of: Arrived | None = None) -> Arrived:
        """The next entry of the record's stream, set aside: the gap record in its place."""
        place = TopicPartition(topic_name(self.tenant, stream_of(record)), partition)
        salt = self.random.randbytes(identity.SALT_BYTES)
        native = (self.log, place.topic, str(partition), str(self.ends[place]))
        gap = self._made(Kind.GAP, "dead", native, ACT_ENCODING, canonical({"code": "unstorable", "salt": salt}), salt)
        return Arrived(
            record=self._placed(gap, place),
            event_id=record.envelope.record_id,
            dead=DeadLetter(code="unstorable", attempts=1, at=self.time.now),
            redrive_of=None if redrive_of is None else where(redrive_of),
        )

    def policy(self, record: Record, *, erase_after_seconds: float = 0.0) -> ErasurePolicy:
        """Erased as soon as it is kept, unless told otherwise."""
        received_at = record.arrival.received_at
        return ErasurePolicy(
            not_before=received_at, erase_after_seconds=erase_after_seconds, expires_at=received_at + MEDIA_LIFE
        )

    def bounds(self) -> Mapping[TopicPartition, Bounds]:
        """The log's bounds of the accounted streams, by what arrived so far."""
        accounted = {topic_name(self.tenant, one) for one in (Stream.MESSAGES, Stream.STATUSES)}
        return {place: Bounds(first=0, end=end) for place, end in self.ends.items() if place.topic in accounted}

    # --- how they are made ---

    def _message(self, type_: str, native: str | None, thread: str, counted: bytes) -> Item:
        native = native or f"wamid.{base64.b64encode(self.random.randbytes(24)).decode()}"
        who = Identity(kind=IdentityKind.PHONE, value=thread)
        return Item(
            kind=Kind.MESSAGE,
            type=type_,
            direction=Direction.IN,
            native_key=(native,),
            thread=("phone", thread),
            raw=counted,
            counted=counted,
            context=canonical({"contacts": [{"wa_id": thread}]}),
            parties=(ItemParty(role="sender", identity=who),),
            occurred_at=self.time.now,
            provider_ids=(native,),
        )

    def _number(self, digits: int) -> str:
        return "".join(self.random.choices("123456789", k=digits))

    def _placed(self, record: Record, place: TopicPartition) -> Record:
        position = Position(log=self.log, topic=place.topic, partition=place.partition, offset=self.ends[place])
        self.ends[place] += 1
        return replace(record, arrival=replace(record.arrival, position=position))

    def _part(self, of: Record, outcome: PartOutcome) -> Record:
        native = (outcome.record_id, outcome.fingerprint.hex(), str(outcome.number), outcome.state)
        return self._made(Kind.PART, outcome.state, native, PART_ENCODING, canonical(outcome), outcome.salt, of=of)

    def _made(
        self,
        kind: Kind,
        type_: str,
        native: tuple[str, ...],
        encoding: str,
        data: bytes,
        salt: bytes,
        *,
        of: Record | None = None,
    ) -> Record:
        thread = self.key.conversation(provider=PROVIDER, account=self.sealer.account, thread=())
        envelope = Envelope(
            record_id=self.sealer.record_id(kind, native),
            tenant=self.tenant,
            account=self.sealer.account,
            provider=PROVIDER,
            kind=kind,
            type=type_,
            direction=Direction.INTERNAL,
            conversation=thread if of is None else of.envelope.conversation,
            content_digest=identity.content_digest(salt=salt, data=data),
        )
        delivery = Delivery(id=envelope.record_id, index=0, connector="tests/1")
        return Record(
            envelope=envelope,
            arrival=Arrival(received_at=self.time.now, delivery=delivery),
            content=Content(encoding=encoding, data=data),
        )


def where(arrived: Arrived) -> tuple[TopicPartition, int]:
    """The place of an entry in the log."""
    position = arrived.record.arrival.position
    if position is UNSET:
        raise ValueError(arrived.event_id)
    return TopicPartition(position.topic, position.partition), position.offset


def target_of(record: Record, number: int = 1) -> str:
    """The target that a part of a record names."""
    return next(one.target_id for one in record.envelope.objects if one.part == number)


def _fingerprint(record: Record) -> bytes:
    return b"" if record.fingerprint is UNSET else record.fingerprint
