"""Ids as the provider makes them, drawn from the seed: the n-th message of a run has the same id in every run.

A `wamid` carries a phone number in base64, as real ones do, so that whoever treats it as harmless is found out.
Phone numbers begin with 2700, BSUIDs with `ZA.`: the first is no number South Africa ever assigned.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

_INBOUND, _OUTBOUND = b"\x12", b"\x11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Someone who writes to the business: a phone number, a business-scoped user id, or both.

    Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
    (2026-05-07): every user has a BSUID; the phone number is left out for users of a username, with exceptions.
    """

    user_id: str
    name: str = "Thandi Mokoena"
    phone: str | None = None
    username: str | None = None
    parent_user_id: str | None = None

    def contact(self) -> dict[str, object]:
        """The entry of `contacts` that tells who wrote."""
        profile: dict[str, object] = {"name": self.name}
        if self.username is not None:
            profile["username"] = self.username
        contact: dict[str, object] = {"profile": profile, "user_id": self.user_id}
        if self.phone is not None:
            contact["wa_id"] = self.phone
        if self.parent_user_id is not None:
            contact["parent_user_id"] = self.parent_user_id
        return contact


class Ids:
    """Makes ids of one run. The same seed and run give the same ids in the same order of asking."""

    def __init__(self, *, seed: int, run: int = 0) -> None:
        self._salt = f"{seed}/{run}"
        self._numbers = count(1)

    def wamid(self, person: str, *, outbound: bool = False) -> str:
        """A message id naming `person` (a phone number or BSUID), unique in this run."""
        side = _OUTBOUND if outbound else _INBOUND
        token = ("3EB0" if outbound else "3A") + self._hex(16 if outbound else 18).upper()
        name, tail = person.encode(), token.encode()
        raw = b"\x1c\x18" + bytes([len(name) % 256]) + name + b"\x15\x02\x00" + side
        return "wamid." + b64encode(raw + b"\x18" + bytes([len(tail)]) + tail + b"\x00").decode()

    def media_id(self) -> str:
        """A media id: digits, unique in this run."""
        return str(10**15 + int(self._hex(14), 16) % (9 * 10**15))

    def token(self, length: int = 32) -> str:
        """Hex digits for whatever else wants an id: request ids, call ids, tags."""
        return self._hex(length).upper()

    def _hex(self, length: int) -> str:
        text = f"{self._salt}/{next(self._numbers)}".encode()
        return blake2b(text, digest_size=(length + 1) // 2).hexdigest()[:length]


def digits(length: int, *parts: object) -> str:
    """Decimal digits that depend on nothing but the parts."""
    raw = blake2b("/".join(str(part) for part in parts).encode(), digest_size=16).digest()
    return str(int.from_bytes(raw, "big") % 10**length).zfill(length)


def user_id_of(phone: str) -> str:
    """The BSUID of whoever has this phone number; a new number brings a new one."""
    return f"ZA.{digits(20, 'bsuid', phone)}"
