"""What a connector's parser makes of a provider's JSON, before any key is applied.

A parser is pure and holds no key: it names identities, provider ids and media in clear, and `seal` turns that into a
record whose envelope holds only pseudonyms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from broker.core.model import Direction, Identity, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemParty:
    """Someone who took part, in clear. `role`: sender, recipient, owner, participant."""

    role: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRelation:
    """A tie to another item of the same account, by that one's kind and native key."""

    kind: str
    target_kind: Kind
    native_key: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPart:
    """A photo, voice note or document: how to fetch it, and what was announced of it. `size` in bytes."""

    media_kind: str
    mime: str
    object_id: str = field(repr=False)
    object_kind: str = "media"
    size: int | None = None
    url: str | None = field(default=None, repr=False)
    file_name: str | None = field(default=None, repr=False)
    sha256: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing a provider reported.

    `native_key` is what the provider calls it; empty where it has no id, and then every delivery counts as another.
    `thread` is whom it belongs to: ("group", id), ("bsuid", ..), ("phone", ..), or () for the account itself.
    `raw` is the provider's slice byte for byte, `context` the JSON it came in without other items.
    `counted` are the bytes of the fields that tell a duplicate from a variant.
    """

    kind: Kind
    type: str
    direction: Direction
    native_key: tuple[str, ...] = field(repr=False)
    thread: tuple[str, ...] = field(repr=False)
    raw: bytes = field(repr=False)
    counted: bytes = field(repr=False)
    context: bytes | None = field(default=None, repr=False)
    parties: tuple[ItemParty, ...] = ()
    relations: tuple[ItemRelation, ...] = ()
    occurred_at: datetime | None = None
    parts: tuple[ItemPart, ...] = ()
    provider_ids: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The items of one account in one body.

    `account` is the provider's id of the number, `account_group` of what holds it (a WABA); None where the body names
    none. `body` is a body of its own with just this change in it: what is kept raw when nobody registered the account.
    """

    account: str | None
    account_group: str | None
    items: tuple[Item, ...]
    body: bytes = field(repr=False)
