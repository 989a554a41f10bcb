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
from connectors.whatsapp_cloud.parsing.values import Fields, fields_of, joined, read, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Member = tuple[str, bytes]
"""A member of an object: its name and the slice of its value."""

ITEM_ARRAYS: Final = frozenset(
    ("messages", "message_echoes", "statuses", "errors", "calls", "groups", "history", "standby")
)
"""Members of a value that hold items; one that is no array is an item by itself."""


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
    contact_index: dict[Named, tuple[int, ...]]
    around: bytes

    @property
    def owner(self) -> tuple[ItemParty, ...]:
        """The business as a party."""
        return () if self.business is None else (_owner(self.business),)

    @property
    def origin_context(self) -> bytes:
        """The context of what holds its surroundings in itself, or needs none."""
        return b"{" + self.origin.json + b"}"

    def context(self, draft: Draft, contacts: Sequence[int]) -> bytes:
        """The context of an item with these contacts; a whole value has its surroundings in itself."""
        if draft.is_whole_value:
            return self.origin_context
        shown = b",".join([self.contacts[place].raw for place in contacts])
        pieces = (self.origin.json, self.around, draft.around, b'"contacts":[' + shown + b"]" if shown else b"")
        return b"{" + b",".join([piece for piece in pieces if piece]) + b"}"


def scene(origin: Origin, value: Sequence[Member]) -> Scene:
    """The scene of a change, from the members of its value."""
    metadata, recipient, contacts, others = _sorted_out(value)
    number = metadata or recipient
    shown = phone(number.get("display_phone_number"))
    if shown is None:
        shown = next((phone(read(raw)) for name, raw in value if name == "display_phone_number"), None)
    return Scene(
        origin=origin,
        account=text_of(number.get("phone_number_id")),
        business=shown,
        contacts=contacts,
        contact_index=_index(contacts),
        around=others,
    )


def _sorted_out(value: Sequence[Member]) -> tuple[Fields, Fields, tuple[Contact, ...], bytes]:
    """The metadata, the recipient of a handover, the contacts; and the rest, but the items, as JSON members."""
    metadata: Fields = {}
    recipient: Fields = {}
    contacts: list[Contact] = []
    first: list[Member] = []
    others: list[Member] = []
    for name, raw in value:
        if raw[:1] == b"[":
            contacts += map(contact, elements(raw) or ()) if name == "contacts" else ()
        elif name == "metadata" and not first:
            metadata = fields_of(read(raw))
            first.append((name, raw))
        elif name not in ITEM_ARRAYS:
            recipient = fields_of(read(raw)) if name == "recipient" else recipient
            others.append((name, raw))
    if others:
        first.append(("value", b"{" + joined(others) + b"}"))
    return metadata, recipient, tuple(contacts), joined(first)


def _index(contacts: Sequence[Contact]) -> dict[Named, tuple[int, ...]]:
    index: dict[Named, tuple[int, ...]] = {}
    for place, one in enumerate(contacts):
        for name in one.identities:
            index[name] = (*index.get(name, ()), place)
    return index


@lru_cache(maxsize=1024)
def _owner(digits: str) -> ItemParty:
    """One value for each business number: there are few of them, and each item names one."""
    return ItemParty(role="owner", identity=Identity(kind=PHONE, value=digits))
