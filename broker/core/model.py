"""What crosses the seams: records, their parts, and where they lie in the log.

`codec` turns them into bytes and back. An absent field is `UNSET` and is left out of the encoded form, so that
canonical bytes never hold a null.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from broker.core.values import Hidden, Value

SCHEMA = "custody/record/v1"


class Kind(StrEnum):
    """What sort of thing happened. Readers accept kinds they do not know."""

    MESSAGE = "message"
    STATUS = "status"
    REACTION = "reaction"
    EDIT = "edit"
    REVOCATION = "revocation"
    SYSTEM = "system"
    EVENT = "event"
    IDENTITY = "identity"
    PART = "part"
    RECEIPT = "receipt"
    GAP = "gap"
    VARIANT = "variant"
    ACT = "act"


class Direction(StrEnum):
    """Who spoke: the customer, the business through the API, the business from its app, or Custody."""

    IN = "in"
    OUT = "out"
    ECHO = "echo"
    INTERNAL = "internal"


class Origin(StrEnum):
    """How an entry came to the log."""

    LIVE = "live"
    IMPORT = "import"
    REDRIVE = "redrive"


class IdentityKind(StrEnum):
    """How a party is known."""

    PHONE = "phone"
    BSUID = "bsuid"
    PARENT_BSUID = "parent_bsuid"
    EMPLOYEE = "employee"
    TEAM = "team"


class Party(Value, frozen=True, kw_only=True):
    """Someone who took part, by pseudonym. `role`: sender, recipient, owner, participant."""

    role: str
    identity: str
    pseudonym: str


class Relation(Value, frozen=True, kw_only=True):
    """A tie to another record, which may not be kept yet. `kind`: replies_to, reacts_to, edits, revokes, ..."""

    kind: str
    record_id: str


class Part(Value, frozen=True, kw_only=True):
    """A photo, voice note or document of a record. `number` counts from 1; `size` in bytes, where announced."""

    number: int
    media_kind: str
    mime: str
    size: int | UnsetType = UNSET


class ProviderObject(Value, frozen=True, kw_only=True):
    """A provider object that is to be erased, by target id; `part` is the part it carries."""

    kind: str
    target_id: str
    part: int | UnsetType = UNSET


class Envelope(Value, frozen=True, kw_only=True):
    """The clear part of a record: no content, no identity, no provider id. Times are aware UTC."""

    record_id: str
    tenant: str
    account: str
    provider: str
    kind: str
    type: str
    direction: str
    conversation: str
    content_digest: str
    parties: tuple[Party, ...] = ()
    relations: tuple[Relation, ...] = ()
    occurred_at: datetime | UnsetType = UNSET
    parts: tuple[Part, ...] = ()
    objects: tuple[ProviderObject, ...] = ()
    process: str | UnsetType = UNSET
    schema: str = SCHEMA


class Delivery(Value, frozen=True, kw_only=True):
    """The HTTP delivery that brought an item: a random id, the item's index in it, the connector's version."""

    id: str
    index: int
    connector: str


class Deadline(Value, frozen=True, kw_only=True):
    """Until when the provider serves a part's bytes."""

    part: int
    fetch_by: datetime


class Position(Value, frozen=True, kw_only=True):
    """Where an entry lies: the log's identity, topic, partition, offset."""

    log: str
    topic: str
    partition: int
    offset: int


class Arrival(Value, frozen=True, kw_only=True):
    """How a record came. `position` is known once the entry is read from the log."""

    received_at: datetime
    delivery: Delivery
    origin: str = Origin.LIVE
    deadlines: tuple[Deadline, ...] = ()
    position: Position | UnsetType = UNSET


class BlobReference(Value, frozen=True, kw_only=True):
    """Where bytes lie that are too large for the log: their place in the blob store, size, SHA-256 and encoding."""

    place: str
    size: int
    sha256: Hidden[bytes]
    encoding: str


class Content(Value, frozen=True, kw_only=True):
    """A record's content as bytes, so that it can be sealed without touching the envelope.

    On the log, `encoding` may say that `data` is a `BlobReference` to them; the record store has the bytes themselves.
    """

    encoding: str
    data: Hidden[bytes]
    key_id: str | UnsetType = UNSET


class Record(Value, frozen=True, kw_only=True):
    """One thing that happened. `fingerprint` (32 bytes, keyed) tells a duplicate from a variant and is erasable."""

    envelope: Envelope
    arrival: Arrival
    content: Content
    fingerprint: Hidden[bytes] | UnsetType = UNSET


class Identity(Value, frozen=True, kw_only=True):
    """A real identity: content."""

    kind: str
    value: Hidden[str]


class MediaObject(Value, frozen=True, kw_only=True):
    """What a part's bytes are fetched by: content. `sha256` as the provider wrote it, base64 or hex."""

    part: int
    object_id: Hidden[str]
    url: Hidden[str] | UnsetType = UNSET
    file_name: Hidden[str] | UnsetType = UNSET
    sha256: Hidden[str] | UnsetType = UNSET


class ItemContent(Value, frozen=True, kw_only=True):
    """The content of a record that a provider sent.

    `item` is the provider's own JSON, byte for byte; where it is not valid JSON, or has space around it, `item_base64`
    holds the bytes.
    """

    salt: Hidden[bytes]
    item: Hidden[msgspec.Raw] | UnsetType = UNSET
    item_base64: Hidden[bytes] | UnsetType = UNSET
    context: Hidden[msgspec.Raw] | UnsetType = UNSET
    provider_ids: Hidden[tuple[str, ...]] = ()
    identities: Hidden[tuple[Identity, ...]] = ()
    media: Hidden[tuple[MediaObject, ...]] = ()


class PartState(StrEnum):
    """How the fetching of a part ended."""

    KEPT = "kept"
    LOST = "lost"


class PartOutcome(Value, frozen=True, kw_only=True):
    """The result of fetching one part: the content of a `part` record.

    `record_id` and `fingerprint` name the delivery it was fetched for, since a variant shares its original's id.
    Kept: `size` in bytes, `sha256` of 32 bytes, `place` and `version` in the blob store. Lost: the `reason`, and
    whether the same credential lately succeeded on another object of the account (`witnessed`).
    """

    record_id: str
    fingerprint: Hidden[bytes]
    number: int
    target_id: str
    state: str
    salt: Hidden[bytes]
    reason: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    sha256: Hidden[bytes] | UnsetType = UNSET
    place: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    witnessed: bool = False


class ErasureOutcome(StrEnum):
    """What a deletion command came to.

    RETRY: the provider answered that it did not delete (throttled, premature). UNANSWERED: it may have deleted or not.
    """

    ERASED = "erased"
    ABSENT = "absent"
    RETRY = "retry"
    UNANSWERED = "unanswered"
    BLOCKED = "blocked"


class ReceiptOutcome(Value, frozen=True, kw_only=True):
    """The recorded outcome of one deletion command: the content of a `receipt` record.

    `evidence` is what the provider answered, in fixed words (status and code), never its text. `repeated` says that
    this very command may have been carried out before, by a worker that did not live to tell.
    """

    target_id: str
    attempt: int
    outcome: str
    evidence: str
    at: datetime
    salt: Hidden[bytes]
    witnessed: bool = False
    repeated: bool = False
    retry_after_seconds: float | UnsetType = UNSET


class EraseCommand(Value, frozen=True, kw_only=True):
    """A deletion command, one per target and attempt. `object_id` is content."""

    tenant: str
    account: str
    provider: str
    target_id: str
    object_kind: str
    object_id: Hidden[str]
    attempt: int
    commanded_at: datetime
    part_record_ids: tuple[str, ...] = ()


class FetchTask(Value, frozen=True, kw_only=True):
    """A part still to be fetched, durable in the log. `media` is content; `fetch_by` is the provider's deadline.

    `not_before` is when it is to be tried again, of a task that stood aside for others.
    """

    tenant: str
    account: str
    provider: str
    conversation: str
    record_id: str
    fingerprint: Hidden[bytes]
    target_id: str
    media: MediaObject
    mime: str
    fetch_by: datetime
    received_at: datetime
    attempt: int = 0
    not_before: datetime | UnsetType = UNSET


class KeptNotice(Value, frozen=True, kw_only=True):
    """Says that record X is in the PAS, with its digest and place. `variant_of` names the original of a variant."""

    record_id: str
    tenant: str
    account: str
    kind: str
    type: str
    conversation: str
    record_digest: str
    kept_at: datetime
    keep_seq: int
    position: Position
    variant_of: str | UnsetType = UNSET


class UnclaimedBody(Value, frozen=True, kw_only=True):
    """A signed body (one change of it) for an account nobody registered: kept raw until someone does.

    Its bytes are in `body`, or, where they are too large for the log, in the blob store.
    """

    provider: str
    app: str
    account: str | UnsetType = UNSET
    account_group: str | UnsetType = UNSET
    received_at: datetime
    delivery: Delivery
    body: Hidden[bytes] | UnsetType = UNSET
    blob: BlobReference | UnsetType = UNSET
