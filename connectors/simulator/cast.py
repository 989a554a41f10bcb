"""Who takes part in a telling of the story: four customers, the same in every run with the same seed."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass

from connectors.simulator.ids import Customer, digits, user_id_of

_FIRST = ("Thandi", "Johan", "Aisha", "Sipho", "Lerato", "Pieter", "Naledi", "Yusuf", "Zanele", "Chloé")
_LAST = ("Mokoena", "van Wyk", "Patel", "Dlamini", "Naidoo", "Botha", "Khumalo", "Jacobs", "Nkosi", "Müller")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The people of one telling, and what it is about.

    `member` has a phone number; `username_only` shows none; `both` shows a phone number and a username; `neighbour`
    is a witness in the group.
    """

    seed: int
    telling: int
    member: Customer
    username_only: Customer
    both: Customer
    neighbour: Customer
    claim: str
    group_id: str


def cast(seed: int, telling: int) -> Cast:
    """The people of the `telling`-th telling."""
    claim = digits(8, seed, telling, "claim")
    group = f"capi_group:{_phone(seed, telling, 'group')}:{digits(18, seed, telling, 'group')}"
    return Cast(
        seed=seed,
        telling=telling,
        member=_customer(seed, telling, "member", phone=True),
        username_only=_customer(seed, telling, "username_only", username=True),
        both=_customer(seed, telling, "both", phone=True, username=True),
        neighbour=_customer(seed, telling, "neighbour", phone=True),
        claim=f"CLM-{claim}",
        group_id=urlsafe_b64encode(group.encode()).decode().rstrip("="),
    )


def moved(customer: Customer, people: Cast) -> Customer:
    """The same person under a new phone number, and so a new BSUID."""
    phone = _phone(people.seed, people.telling, "moved")
    return Customer(user_id=user_id_of(phone), name=customer.name, phone=phone)


def _customer(seed: int, telling: int, role: str, *, phone: bool = False, username: bool = False) -> Customer:
    first = _FIRST[int(digits(6, seed, telling, role, "first")) % len(_FIRST)]
    last = _LAST[int(digits(6, seed, telling, role, "last")) % len(_LAST)]
    handle = f"@{first.lower()}.{digits(5, seed, telling, role)}"
    number = _phone(seed, telling, role)
    return Customer(
        user_id=user_id_of(number),
        name=f"{first} {last}",
        phone=number if phone else None,
        username=handle if username else None,
    )


def _phone(seed: int, telling: int, role: str) -> str:
    return "2700" + digits(9, seed, telling, role, "phone")[:8]
