"""Items to records: ids, pseudonyms, salts and digests, and the log entry each record travels in.

Salts come from an injected source, so that a seed gives the same digests again.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from broker.core import identity
from broker.core.codec import ITEM_ENCODING, canonical
from broker.core.entropy import drawn
from broker.core.identity import TenantKey
from broker.core.model import (
    Arrival,
    Content,
    Deadline,
    Delivery,
    Envelope,
    Identity,
    ItemContent,
    Kind,
    MediaObject,
    Part,
    Party,
    ProviderObject,
    Record,
    Relation,
)
from broker.core.ports import Entropy, NewEntry
from broker.core.topics import Stream, topic_name
from broker.core.values import Value

if TYPE_CHECKING:
    from datetime import datetime

    from broker.core.item import Item

_JSON_SPACE = b" \t\n\r"


class Sealer(Value, frozen=True, kw_only=True):
    """Seals the items of one account. `media_life` is how long the provider serves the bytes of a part."""

    tenant: str
    key: TenantKey
    provider: str
    account: str
    media_life: timedelta
    entropy: Entropy

    def seal(self, item: Item, *, received_at: datetime, delivery: Delivery, origin: str) -> Record:
        """The record of an item."""
        record_id = self.record_id(item.kind, item.native_key or (delivery.id, str(delivery.index)))
        fingerprint = self.key.fingerprint(item.counted)
        salt = drawn(self.entropy, identity.SALT_BYTES, record_id, fingerprint)
        data = canonical(_content(item, salt))
        return Record(
            envelope=self._envelope(item, record_id, identity.content_digest(salt=salt, data=data)),
            arrival=Arrival(
                received_at=received_at,
                delivery=delivery,
                origin=origin,
                deadlines=self._deadlines(item, received_at),
            ),
            content=Content(encoding=ITEM_ENCODING, data=data),
            fingerprint=fingerprint,
        )

    def record_id(self, kind: str, native_key: tuple[str, ...]) -> str:
        """The id of a record of this account."""
        return self.key.record_id(provider=self.provider, account=self.account, kind=kind, native_key=native_key)

    def seen_name(self, item: Item) -> str:
        """The same for items of one id and fingerprint alone; it stands in no record."""
        fields: tuple[str | bytes, ...] = (self.provider, self.account, item.kind, *item.native_key, item.counted)
        return self.key.digest("custody/seen/v1", fields).hex()

    def target_id(self, object_kind: str, object_id: str) -> str:
        """The id of a provider object of this account."""
        return self.key.target_id(
            provider=self.provider, account=self.account, object_kind=object_kind, object_id=object_id
        )

    def _envelope(self, item: Item, record_id: str, digest: str) -> Envelope:
        return Envelope(
            record_id=record_id,
            tenant=self.tenant,
            account=self.account,
            provider=self.provider,
            kind=item.kind,
            type=item.type,
            direction=item.direction,
            conversation=self.key.conversation(provider=self.provider, account=self.account, thread=item.thread),
            content_digest=digest,
            parties=tuple(
                Party(role=party.role, identity=party.identity.kind, pseudonym=self._pseudonym(party.identity))
                for party in item.parties
            ),
            relations=tuple(
                Relation(kind=one.kind, record_id=self.record_id(one.target_kind, one.native_key))
                for one in item.relations
            ),
            occurred_at=UNSET if item.occurred_at is None else item.occurred_at,
            parts=tuple(
                Part(
                    number=number,
                    media_kind=part.media_kind,
                    mime=part.mime,
                    size=UNSET if part.size is None else part.size,
                )
                for number, part in enumerate(item.parts, 1)
            ),
            objects=tuple(
                ProviderObject(
                    kind=part.object_kind, target_id=self.target_id(part.object_kind, part.object_id), part=number
                )
                for number, part in enumerate(item.parts, 1)
            ),
        )

    def _pseudonym(self, who: Identity) -> str:
        return self.key.party(identity=who.kind, value=who.value)

    def _deadlines(self, item: Item, received_at: datetime) -> tuple[Deadline, ...]:
        """Counted from when it happened; from now where that is over already, as with history, which is kept longer."""
        start = min(item.occurred_at or received_at, received_at)
        if start + self.media_life <= received_at:
            start = received_at
        return tuple(
            Deadline(part=number, fetch_by=start + self.media_life) for number in range(1, len(item.parts) + 1)
        )


def stream_of(record: Record) -> Stream:
    """The stream a record travels in."""
    kind = record.envelope.kind
    if kind == Kind.STATUS:
        return Stream.STATUSES
    if kind == Kind.PART:
        return Stream.PARTS
    return Stream.RECEIPTS if kind == Kind.RECEIPT else Stream.MESSAGES


def entry_of(record: Record, *, key: str | None = None) -> NewEntry:
    """The log entry of a record: a CloudEvent in binary mode, keyed by conversation unless told otherwise.

    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.
    """
    envelope = record.envelope
    stream = stream_of(record)
    return NewEntry(
        topic=topic_name(envelope.tenant, stream),
        key=(key or envelope.conversation).encode(),
        headers=event_headers(
            event_id=envelope.record_id,
            event_type=f"custody.{envelope.kind}.v1",
            source=f"/{envelope.provider}/{envelope.account}",
            subject=envelope.record_id,
            time=record.arrival.received_at,
        ),
        value=canonical(record),
    )


def event_headers(
    *, event_id: str, event_type: str, source: str, subject: str, time: datetime
) -> tuple[tuple[str, bytes], ...]:
    """The CloudEvents headers of an entry."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", _written(time)),
        ("content-type", b"application/json"),
    )


@lru_cache(maxsize=64)
def _written(time: datetime) -> bytes:
    """Remembered, since all that arrives or is kept together has one time."""
    return time.astimezone(UTC).isoformat().encode()


def _content(item: Item, salt: bytes) -> ItemContent:
    verbatim = _is_json(item.raw) and item.raw == item.raw.strip(_JSON_SPACE)  # what is spliced loses space around it
    context = item.context if item.context is not None and _is_json(item.context) else None
    return ItemContent(
        salt=salt,
        item=msgspec.Raw(item.raw) if verbatim else UNSET,
        item_base64=UNSET if verbatim else item.raw,
        context=UNSET if context is None else msgspec.Raw(context),
        provider_ids=item.provider_ids,
        identities=tuple(party.identity for party in item.parties),
        media=tuple(
            MediaObject(
                part=number,
                object_id=part.object_id,
                url=UNSET if part.url is None else part.url,
                file_name=UNSET if part.file_name is None else part.file_name,
                sha256=UNSET if part.sha256 is None else part.sha256,
            )
            for number, part in enumerate(item.parts, 1)
        ),
    )


def _is_json(data: bytes) -> bool:
    """Whether `data` may be spliced into JSON and read back by every reader: valid UTF-8, no lone surrogates."""
    try:
        data.decode()
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
