"""What a connector's parser makes of a provider's JSON, before any key is applied.

A parser is pure and holds no key: it names identities, provider ids and media in clear, and `seal` turns that into a
record whose envelope holds only pseudonyms.
"""

from __future__ import annotations

from datetime import datetime

from broker.core.model import Direction, Identity, Kind
from broker.core.values import Hidden, Value


class ItemParty(Value, frozen=True, kw_only=True):
    """Someone who took part, in clear. `role`: sender, recipient, owner, participant."""

    role: str
    identity: Identity


class ItemRelation(Value, frozen=True, kw_only=True):
    """A tie to another item of the same account, by that one's kind and native key."""

    kind: str
    target_kind: Kind
    native_key: Hidden[tuple[str, ...]]


class ItemPart(Value, frozen=True, kw_only=True):
    """A photo, voice note or document: how to fetch it, and what was announced of it. `size` in bytes."""

    media_kind: str
    mime: str
    object_id: Hidden[str]
    object_kind: str = "media"
    size: int | None = None
    url: Hidden[str | None] = None
    file_name: Hidden[str | None] = None
    sha256: Hidden[str | None] = None


class Item(Value, frozen=True, kw_only=True):
    """One thing a provider reported.

    `native_key` is what the provider calls it; empty where it has no id, and then every delivery counts as another.
    `thread` is whom it belongs to: ("group", id), ("bsuid", ..), ("phone", ..), or () for the account itself.
    `raw` is the provider's slice byte for byte, `context` the JSON it came in without other items.
    `counted` are the bytes of the fields that tell a duplicate from a variant.
    """

    kind: Kind
    type: str
    direction: Direction
    native_key: Hidden[tuple[str, ...]]
    thread: Hidden[tuple[str, ...]]
    raw: Hidden[bytes]
    counted: Hidden[bytes]
    context: Hidden[bytes | None] = None
    parties: tuple[ItemParty, ...] = ()
    relations: tuple[ItemRelation, ...] = ()
    occurred_at: datetime | None = None
    parts: tuple[ItemPart, ...] = ()
    provider_ids: Hidden[tuple[str, ...]] = ()


class Change(Value, frozen=True, kw_only=True):
    """The items of one account in one body.

    `account` is the provider's id of the number, `account_group` of what holds it (a WABA); None where the body names
    none. `body` is a body of its own with just this change in it: what is kept raw when nobody registered the account.
    """

    account: str | None
    account_group: str | None
    items: tuple[Item, ...]
    body: Hidden[bytes]
