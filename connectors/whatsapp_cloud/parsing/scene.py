"""What surrounds the items of one change: the account, its number, the contacts, and everything that is no item."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from broker.core.item import ItemParty
from broker.core.model import Identity
from connectors.whatsapp_cloud.parsing.drafts import Draft, Named
from connectors.whatsapp_cloud.parsing.people import PHONE, Contact, contact, phone
from connectors.whatsapp_cloud.parsing.slices import elements
from connectors.whatsapp_cloud.parsing.values import fields_of, joined, read, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Member = tuple[str, bytes]
"""A member of an object: its name and the slice of its value."""

ITEM_ARRAYS: Final = frozenset(
    ("messages", "message_echoes", "statuses", "errors", "calls", "groups", "history", "standby")
)
"""Members of a value that hold items; one that is no array is an item by itself."""

_NUMBERS: Final = ("metadata", "recipient", "display_phone_number")
_STANDING: Final = frozenset(("metadata", "messaging_product"))
"""Members that are the same in every webhook of an account, and name nobody else: what is made of them is kept."""
_ACCOUNTS: Final = 1024

SHARED_BYTES: Final = 2048
"""How much of its surroundings each of several items, or changes, may have."""
_CONTACT_BYTES: Final = 512
_SAME_CONTACTS: Final = 3


class Origin(msgspec.Struct, frozen=True):
    """Where a change stood in its body: WABA, time and field as texts, and all of it as members of a JSON object."""

    waba: str | None
    time: str | None
    field: str
    json: bytes


class Scene(msgspec.Struct, frozen=True):
    """The surroundings of one change's items. `business` is the account's own number, digits only.

    `around` is what the value holds beside the items, as members of a JSON object.
    """

    origin: Origin
    account: str | None
    business: str | None
    contacts: tuple[Contact, ...]
    contact_index: dict[Named, list[int]]
    around: bytes

    @property
    def owner(self) -> tuple[ItemParty, ...]:
        """The business as a party."""
        return () if self.business is None else (_owner(self.business),)

    @property
    def origin_context(self) -> bytes:
        """The context of what holds its surroundings in itself, or needs none."""
        return b"{" + self.origin.json + b"}"

    def context(self, draft: Draft, contacts: Sequence[int], *, is_first: bool) -> bytes:
        """The context of an item with these contacts; a whole value has its surroundings in itself.

        What is much stands with the first item only: a context for each item must not outgrow the body.
        """
        if draft.is_whole_value:
            return self.origin_context
        shared = [one for one in (self.origin.json, self.around) if is_first or len(one) <= SHARED_BYTES]
        shown = b",".join([self.contacts[place].raw for place in contacts])
        own = (draft.around, b'"contacts":[' + shown + b"]" if shown else b"")
        return b"{" + b",".join([one for one in (*shared, *own) if one]) + b"}"


def scene(origin: Origin, value: Sequence[Member]) -> Scene:
    """The scene of a change, from the members of its value."""
    numbers: dict[str, bytes] = {}
    contacts: list[Contact] = []
    others: list[Member] = []
    for name, raw in value:
        if raw[:1] == b"[":
            contacts += map(contact, elements(raw) or ()) if name == "contacts" else ()
        elif name not in ITEM_ARRAYS:
            others.append((name, raw))
            if name in _NUMBERS:
                numbers.setdefault(name, raw)
    is_little = sum(len(raw) for _, raw in others) <= SHARED_BYTES
    number = _number if is_little else _number.__wrapped__
    account, business = number(*map(numbers.get, _NUMBERS))
    same_each_time = is_little and all(name in _STANDING for name, _ in others)
    return Scene(
        origin=origin,
        account=account,
        business=business,
        contacts=tuple(contacts),
        contact_index=_index(contacts),
        around=_standing_around(tuple(others)) if same_each_time else _around(others),
    )


@lru_cache(maxsize=_ACCOUNTS)
def _number(metadata: bytes | None, recipient: bytes | None, shown: bytes | None) -> tuple[str | None, str | None]:
    """The account's id and phone number: from the metadata, a handover's recipient, or the number beside them."""
    number = fields_of(read(metadata or recipient or b"null"))
    digits = phone(number.get("display_phone_number"))
    return text_of(number.get("phone_number_id")), digits or phone(read(shown or b"null"))


def _around(pairs: Sequence[Member]) -> bytes:
    """The metadata, and whatever else a value holds beside its items, as members of a JSON object."""
    metadata = [pair for pair in pairs if pair[0] == "metadata"][:1]
    others = [pair for pair in pairs if pair not in metadata]
    value = [("value", b"{" + joined(others) + b"}")] if others else []
    return joined(metadata + value)


_standing_around = lru_cache(maxsize=_ACCOUNTS)(_around)


def _index(contacts: Sequence[Contact]) -> dict[Named, list[int]]:
    """Which contacts name an identity: a few of them, and none that is too large to stand in many contexts."""
    index: dict[Named, list[int]] = {}
    for place, one in enumerate(contacts):
        for name in one.identities if len(one.raw) <= _CONTACT_BYTES else ():
            places = index.setdefault(name, [])
            if len(places) < _SAME_CONTACTS:
                places.append(place)
    return index


@lru_cache(maxsize=_ACCOUNTS)
def _owner(digits: str) -> ItemParty:
    """One value for each business number: there are few of them, and each item names one."""
    return ItemParty(role="owner", identity=Identity(kind=PHONE, value=digits))
