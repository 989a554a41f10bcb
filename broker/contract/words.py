"""What every field means, in the words of the design; and the values known today, where a field has a set of them.

Classes speak by their own docstrings. A field without words here is an error of the generator, so none is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.codec import BLOB_ENCODING, ITEM_ENCODING, PART_ENCODING, RECEIPT_ENCODING
from broker.core.erasure import LossReason
from broker.core.model import (
    SCHEMA,
    Arrival,
    BlobReference,
    Content,
    Deadline,
    Delivery,
    Direction,
    Envelope,
    EraseCommand,
    ErasureOutcome,
    FetchTask,
    Identity,
    IdentityKind,
    ItemContent,
    KeptNotice,
    Kind,
    MediaObject,
    Origin,
    Part,
    PartOutcome,
    PartState,
    Party,
    Position,
    ProviderObject,
    ReceiptOutcome,
    Record,
    Relation,
    UnclaimedBody,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RECORD_ID = "The same for every delivery of the same thing. Opaque."
CONVERSATION = "Pseudonym of the thread as observed. Opaque, and never rewritten."
TENANT = "The client organisation, as in the topic's name."
ACCOUNT = "The business number, by the provider's id of it; `waba.<id>` or `app.<name>` for what names no number."
PROVIDER = "The connector that speaks with the provider."
TARGET = "The pseudonym of a provider object that is to be erased. Opaque."
SALT = "32 random bytes that go into the content digest, so that it confirms no guess once the content is erased."
FINGERPRINT = "32 keyed bytes. The same record id with another fingerprint is a variant, not a duplicate."
RECEIVED = "When the webhook came, by Custody's clock."
ATTEMPT = "Counts the tries of this target, from 1."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    Record: {
        "envelope": "The clear part.",
        "arrival": "How it came.",
        "content": "The content, apart from the envelope.",
        "fingerprint": FINGERPRINT + " Absent from records that Custody made itself.",
    },
    Envelope: {
        "record_id": RECORD_ID,
        "tenant": TENANT,
        "account": ACCOUNT,
        "provider": PROVIDER,
        "kind": "What sort of thing happened.",
        "type": "What it is within its kind: a message's medium, a status's name, a part's or receipt's outcome.",
        "direction": "Who spoke: the customer, the business through the API, the business from its app, or Custody.",
        "conversation": CONVERSATION,
        "content_digest": "SHA-256 in hex over `custody/content/v1`, a NUL byte, the salt, and the bytes of `data`.",
        "parties": "Who took part.",
        "relations": "Ties to other records, which may come later or never.",
        "occurred_at": "When it happened, by the provider's clock.",
        "parts": "Its photos, voice notes and documents. Their bytes are announced on `parts`.",
        "objects": "Provider objects that are to be erased.",
        "process": "The policy, claim or ticket that the conversation is bound to.",
        "schema": "The form of this envelope.",
    },
    Party: {
        "role": "The part taken.",
        "identity": "How the party is known.",
        "pseudonym": "The same person or team, known the same way, has the same pseudonym in all of a tenant. Opaque.",
    },
    Relation: {"kind": "What the tie is.", "record_id": "The record it leads to."},
    Part: {
        "number": "Counts from 1.",
        "media_kind": "The provider's word for the medium.",
        "mime": "As the provider announced it.",
        "size": "In bytes, where it was announced.",
    },
    ProviderObject: {"kind": "What it is.", "target_id": TARGET, "part": "The part that it carries."},
    Arrival: {
        "received_at": RECEIVED,
        "delivery": "The delivery that brought it.",
        "origin": "How it came to the log.",
        "deadlines": "Until when the provider serves each part.",
        "position": "Where it lies in the log. Left out of entries, which have their place already.",
    },
    Delivery: {
        "id": "A random id; of records that Custody made itself, the record's.",
        "index": "Which of the delivery's items it was, from 0.",
        "connector": "The version of what read it.",
    },
    Deadline: {"part": "The part's number.", "fetch_by": "When the provider ceases to serve it."},
    Position: {
        "log": "Identity of the log; another one after a restore or a migration.",
        "topic": "The topic.",
        "partition": "The partition.",
        "offset": "The offset.",
    },
    Content: {
        "encoding": "What the bytes are: `custody/<name>+json` is described by `schemas/content/<name>.json`. A "
        "`custody/blob-reference+json` says where a content lies that is too large for the log.",
        "data": "The bytes, in base64. Sealed where there is a `key_id`.",
        "key_id": "The key that the bytes are sealed with. Without one they lie open.",
    },
    BlobReference: {
        "place": "Where the bytes lie in the blob store.",
        "size": "In bytes.",
        "sha256": "Of the bytes: 32 bytes in base64.",
        "encoding": "What the bytes are, as in `encoding` of a content that did not have to travel apart.",
    },
    ItemContent: {
        "salt": SALT,
        "item": "The provider's own JSON for this item, byte for byte.",
        "item_base64": "The provider's bytes where they are no JSON, or have space around it. Then there is no `item`.",
        "context": "The JSON that the item came in, without other items.",
        "provider_ids": "What the provider calls it.",
        "identities": "Who stands behind `parties`, in the same order.",
        "media": "How each part is fetched from the provider.",
    },
    Identity: {"kind": "How the party is known.", "value": "The number or id itself."},
    MediaObject: {
        "part": "The part's number.",
        "object_id": "The provider's id of the object.",
        "url": "Where the webhook said that it lies.",
        "file_name": "As the sender named it.",
        "sha256": "As the provider wrote it: base64 or hex.",
    },
    PartOutcome: {
        "record_id": "The record whose part it is.",
        "fingerprint": "That record's fingerprint.",
        "number": "The part's number in that record.",
        "target_id": TARGET,
        "state": "How the fetching ended.",
        "salt": SALT,
        "reason": "Why it is lost.",
        "size": "In bytes. Of a part that is kept.",
        "sha256": "Of the bytes, checked: 32 bytes. Of a part that is kept.",
        "place": "Where the bytes lie in the blob store. Of a part that is kept.",
        "version": "The blob store's own version of it.",
        "witnessed": "Whether the credential worked on another object of the account when this one was absent.",
    },
    ReceiptOutcome: {
        "target_id": TARGET,
        "attempt": ATTEMPT,
        "outcome": "What the command came to.",
        "evidence": "The provider's answer in fixed words: status and code.",
        "at": "When it answered.",
        "salt": SALT,
        "witnessed": "Whether the same credential lately succeeded on another object of the account.",
        "repeated": "Whether this very command may have been carried out before.",
        "retry_after_seconds": "How long the provider asked to wait.",
    },
    EraseCommand: {
        "tenant": TENANT,
        "account": ACCOUNT,
        "provider": PROVIDER,
        "target_id": TARGET,
        "object_kind": "What it is.",
        "object_id": "The provider's id of it.",
        "attempt": ATTEMPT,
        "commanded_at": "When the command was given.",
        "part_record_ids": "The records whose parts it carries.",
    },
    FetchTask: {
        "tenant": TENANT,
        "account": ACCOUNT,
        "provider": PROVIDER,
        "conversation": CONVERSATION,
        "record_id": "The record whose part it is.",
        "fingerprint": "That record's fingerprint.",
        "target_id": TARGET,
        "media": "How to fetch it.",
        "mime": "As the provider announced it.",
        "fetch_by": "When the provider ceases to serve it.",
        "received_at": RECEIVED,
        "attempt": "How many tries failed before.",
        "not_before": "When it is to be tried again.",
    },
    KeptNotice: {
        "record_id": "The record that is kept now; of a variant, the variant's own id.",
        "tenant": TENANT,
        "account": ACCOUNT,
        "kind": "The record's kind.",
        "type": "The record's type.",
        "conversation": CONVERSATION,
        "record_digest": "SHA-256 in hex over `custody/record/v1`, a NUL byte, and the canonical JSON of the envelope.",
        "kept_at": "When the store had it durably.",
        "keep_seq": "Counts what is kept of one partition of the log, without holes.",
        "position": "The entry on `messages` or `statuses` that it was kept from.",
        "variant_of": "The record that came first, of a variant.",
    },
    UnclaimedBody: {
        "provider": PROVIDER,
        "app": "The app whose secret signed it.",
        "account": "The account that it names, by the provider's id.",
        "account_group": "What holds that account, by the provider's id.",
        "received_at": RECEIVED,
        "delivery": "The delivery that brought it.",
        "body": "A body with just this change in it. Absent where there is a `blob`.",
        "blob": "Where the body lies, if it is too large for the log.",
    },
}

KNOWN: Mapping[tuple[type[Any], str], Iterable[str]] = {
    (Envelope, "kind"): Kind,
    (KeptNotice, "kind"): Kind,
    (Envelope, "direction"): Direction,
    (Envelope, "provider"): ("whatsapp_cloud",),
    (Envelope, "schema"): (SCHEMA,),
    (Party, "role"): ("sender", "recipient", "owner", "participant"),
    (Party, "identity"): IdentityKind,
    (Identity, "kind"): IdentityKind,
    (Relation, "kind"): (
        "replies_to",
        "reacts_to",
        "edits",
        "revokes",
        "status_of",
        "shown_by",
        "part_of",
        "receipt_for",
    ),
    (Arrival, "origin"): Origin,
    (Content, "encoding"): (ITEM_ENCODING, PART_ENCODING, RECEIPT_ENCODING, BLOB_ENCODING),
    (PartOutcome, "state"): PartState,
    (PartOutcome, "reason"): LossReason,
    (ReceiptOutcome, "outcome"): ErasureOutcome,
}
"""Examples, not limits: a reader takes a value that it does not know."""
