"""Who took part: phones, BSUIDs and parent BSUIDs, wherever a webhook shows them.

A phone number is optional since 2026, a BSUID (`CC.` and up to 128 letters and digits) stands in every new webhook; the
parent one (`CC.ENT.`) only for managed businesses.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids (2026-05-07).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from broker.core.model import IdentityKind
from connectors.whatsapp_cloud.parsing.drafts import Named, Person
from connectors.whatsapp_cloud.parsing.values import Fields, fields_of, read_and_mend, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PHONE: Final = IdentityKind.PHONE.value
BSUID: Final = IdentityKind.BSUID.value
PARENT_BSUID: Final = IdentityKind.PARENT_BSUID.value

_PUNCTUATION = str.maketrans("", "", " +-().\u00a0")
_PHONE_DIGITS = 32
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")


class Contact(msgspec.Struct, frozen=True):
    """An entry of a webhook's `contacts`, as JSON, and whom it names."""

    raw: bytes
    identities: tuple[Named, ...]


def phone(value: object) -> str | None:
    """A phone number as digits only; None for anything else."""
    text = text_of(value)
    if text is None:
        return None
    digits = text if text.isdigit() else text.translate(_PUNCTUATION)
    return digits if digits.isdigit() and digits.isascii() and len(digits) <= _PHONE_DIGITS else None


def number_or_id(value: object) -> tuple[Named, ...]:
    """The identity in a field that is meant for a phone number, and may hold a BSUID one day."""
    digits = phone(value)
    if digits is not None:
        return ((PHONE, digits),)
    text = text_of(value)
    found = None if text is None else _USER_ID.fullmatch(text)
    return () if found is None else ((PARENT_BSUID if found[1] else BSUID, found[0]),)


def user_id(value: object, kind: str = BSUID) -> tuple[Named, ...]:
    """The identity in a field that is meant for a BSUID; both of them where it tells a change of it."""
    if isinstance(value, dict):
        return user_id(value.get("previous"), kind) + user_id(value.get("current"), kind)
    text = text_of(value)
    return () if text is None else ((kind, text),)


def identities(fields: Fields, number: str, user: str, parent: str) -> tuple[Named, ...]:
    """One person's identities, by the names that their fields have here."""
    found = number_or_id(fields[number]) if number in fields else ()
    if user in fields:
        found += user_id(fields[user])
    if parent in fields:
        found += user_id(fields[parent], PARENT_BSUID)
    return found


def member(fields: Fields) -> tuple[Named, ...]:
    """The identities of a contact, a participant or a subject of an event."""
    return identities(fields, "wa_id", "user_id", "parent_user_id")


def person(role: str, found: Iterable[Named], link: str = "same_person") -> tuple[Person, ...]:
    """A person, or nobody where nothing identifies one."""
    each_once = tuple(dict.fromkeys(found))
    return (Person(role, each_once, link),) if each_once else ()


def contact(raw: bytes) -> Contact:
    """A contact from its slice."""
    value, shown = read_and_mend(raw)
    return Contact(shown, member(fields_of(value)))


def enriched(
    one: Person, contacts: tuple[Contact, ...], index: Mapping[Named, Sequence[int]]
) -> tuple[Person, tuple[int, ...]]:
    """A person with what the contacts that share an identity with them add, and which contacts those are."""
    places: dict[int, None] = {}
    for name in one.identities:
        places.update(dict.fromkeys(index.get(name, ())))
    added = [name for place in places for name in contacts[place].identities if name not in one.identities]
    return Person(one.role, one.identities + tuple(dict.fromkeys(added)), one.link) if added else one, tuple(places)


def thread_of(who: Person | None) -> tuple[str, ...]:
    """The thread with a person: by BSUID, or else by phone; the account's own where neither is known."""
    names = () if who is None else who.identities
    for kind in (BSUID, PHONE):
        for name in names:
            if name[0] == kind:
                return name
    return ()
