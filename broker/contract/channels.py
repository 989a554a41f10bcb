"""The streams in words: what each carries, under which key, for whom, and what may come twice."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.topics import Stream
from broker.workers import archive, claim, erase
from broker.workers.media import fetcher, scan

SUBSCRIBERS = "subscribers"
WORKERS = "workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What an entry's key is: its name is part of the contract, as order is kept within a key."""

    name: str
    words: str


CONVERSATION = Key(name="conversation", words="The record's conversation.")
RATE_SCOPE = Key(name="rate scope", words="What shares one rate at the provider: provider/account.")
TARGET = Key(name="target", words="The id of the provider object.")
PLACE = Key(name="place", words="Where the entry lay: topic/partition/offset.")
DELIVERY = Key(name="delivery", words="The random id of the HTTP delivery.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A stream. `schema` is that of its values, None where they can be anything; `groups` are Custody's own readers.

    Without `tenant_stands_in_name` it is one for all tenants. Where not `expires`, entries stay until they are settled.
    """

    stream: Stream
    summary: str
    words: str
    repeats: str
    key: Key
    schema: str | None
    event_type: str
    audience: str = SUBSCRIBERS
    groups: tuple[str, ...] = ()


_REPETITION = "The same `ce_id`: a repetition."
_VARIANT = (
    "The same `ce_id` and the same `fingerprint`: a repetition. The same `ce_id` and another `fingerprint`: a variant, "
    "kept beside the first."
)

CHANNELS = (
    Channel(
        stream=Stream.MESSAGES,
        summary="Records of messages, and of all else that happens in a conversation, as received.",
        words="Every channel, in and out: messages, reactions, edits, revocations, identities, events, gaps.",
        repeats=_VARIANT,
        key=CONVERSATION,
        schema="record",
        event_type="custody.message.v1",
        groups=(archive.GROUP, scan.GROUP),
    ),
    Channel(
        stream=Stream.STATUSES,
        summary="Records of what became of outgoing messages: sent, delivered, read, played, failed.",
        words="`relations` name the message, as `status_of`.",
        repeats=_VARIANT,
        key=CONVERSATION,
        schema="record",
        event_type="custody.status.v1",
        groups=(archive.GROUP,),
    ),
    Channel(
        stream=Stream.KEPT,
        summary='Says that a record is in the company\'s own store: "record X is kept", with its digest and place.',
        words="`position` names the entry of `messages` or `statuses` that was kept. A duplicate is told of once.",
        repeats=_REPETITION,
        key=CONVERSATION,
        schema="kept",
        event_type="custody.kept.v1",
    ),
    Channel(
        stream=Stream.PARTS,
        summary="Records of how fetching a photo, voice note or document ended: where its bytes lie, or why not.",
        words="The content is a part outcome, `custody/part+json`. May come before the record that names the part.",
        repeats=_REPETITION,
        key=CONVERSATION,
        schema="record",
        event_type="custody.part.v1",
        groups=(archive.GROUP,),
    ),
    Channel(
        stream=Stream.RECEIPTS,
        summary="Records of what each deletion command came to at the provider.",
        words="The content is a receipt outcome, `custody/receipt+json`.",
        repeats=_REPETITION,
        key=RATE_SCOPE,
        schema="record",
        event_type="custody.receipt.v1",
        groups=(archive.GROUP,),
    ),
    Channel(
        stream=Stream.ERASURES,
        summary="Deletion commands, one for each provider object and attempt.",
        words="Whoever writes here deletes at the provider. Values hold content.",
        repeats=_REPETITION,
        key=RATE_SCOPE,
        schema="erasure",
        event_type="custody.erasure.v1",
        audience=WORKERS,
        groups=(erase.GROUP,),
    ),
    Channel(
        stream=Stream.FETCHES,
        summary="Parts still to be fetched from the provider.",
        words="Values hold content.",
        repeats="The same `ce_id`: a repetition, or a task that was put off.",
        key=TARGET,
        schema="fetch",
        event_type="custody.fetch.v1",
        audience=WORKERS,
        groups=(fetcher.GROUP,),
    ),
    Channel(
        stream=Stream.DEAD,
        summary="Entries that could not be kept, set aside with the reason in their headers.",
        words="The value is the entry's own bytes, usually a record, and not always JSON. Looked at and driven again "
        "with `custody dead`.",
        repeats=_REPETITION,
        key=PLACE,
        schema=None,
        event_type="custody.message.v1",
        audience=WORKERS,
    ),
    Channel(
        stream=Stream.BODIES,
        summary="Signed bodies that name an account nobody has registered yet.",
        words="Kept raw, and parsed afresh once the account is registered. Values hold content.",
        repeats="The same `ce_id`: a repetition, or a body that still has no owner.",
        key=DELIVERY,
        schema="unclaimed",
        event_type="custody.unclaimed.v1",
        audience=WORKERS,
        groups=(claim.GROUP,),
    ),
)
"""Every stream that carries something. `outbound` is reserved for commands to send, and empty."""
