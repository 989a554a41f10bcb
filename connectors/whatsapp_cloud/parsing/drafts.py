"""What a builder makes of one element: an item without its surroundings, with people instead of parties."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from broker.core.item import Item, ItemPart, ItemRelation
from broker.core.model import Direction, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

Named = tuple[str, str]
"""An identity in clear: its kind and value."""


class Person(msgspec.Struct, frozen=True):
    """Someone outside the business, by every identity shown of them; the thread goes by the first BSUID, or phone.

    `link` says why several identities are one person: same_person, changed_number, changed_user_id.
    """

    role: str
    identities: tuple[Named, ...]
    link: str = "same_person"


class Draft(msgspec.Struct, kw_only=True):
    """An item in the making. The first of `people` is whom it is with. `around` goes into the context as it is."""

    kind: Kind
    type: str
    direction: Direction
    raw: bytes
    counted: bytes
    native_key: tuple[str, ...] = ()
    group: str | None = None
    people: tuple[Person, ...] = ()
    relations: tuple[ItemRelation, ...] = ()
    occurred_at: datetime | None = None
    parts: tuple[ItemPart, ...] = ()
    provider_ids: tuple[str, ...] = ()
    around: bytes = b""
    is_whole_value: bool = False


def gap(type_: str, raw: bytes) -> Draft:
    """A record known to be missing or unreadable: it has no id, so each delivery of it counts."""
    return Draft(kind=Kind.GAP, type=type_, direction=Direction.INTERNAL, raw=raw, counted=raw)


def unknown_shape(raw: bytes) -> Draft:
    """JSON where something of another shape was expected."""
    return gap("unknown_shape", raw)


def rescued(raw: bytes) -> Draft:
    """What a builder failed on, kept all the same: reached by a fault of ours only."""
    return unknown_shape(raw)


def bare_gap(type_: str, raw: bytes) -> Item:
    """A gap of which nothing is known but its bytes."""
    kind, direction = Kind.GAP, Direction.INTERNAL
    return Item(kind=kind, type=type_, direction=direction, native_key=(), thread=(), raw=raw, counted=raw)


def rescued_item(raw: bytes) -> Item:
    """What failed as a whole, kept all the same: reached by a fault of ours only."""
    return bare_gap("unknown_shape", raw)


def value_key(name: str, counted: bytes, surroundings: Iterable[str | None]) -> tuple[str, ...]:
    """The native key of an event without an id: what it says, and where and when it came.

    The same body delivered again is the same event; the same words at another time are another one.
    """
    digest = hashlib.sha256(counted)
    for one in surroundings:
        digest.update(b"\0" + (one or "").encode())
    return name, digest.hexdigest()


def given(*ids: str | None) -> tuple[str, ...]:
    """The ids that are there, each once, in order."""
    return tuple(dict.fromkeys(one for one in ids if one))
