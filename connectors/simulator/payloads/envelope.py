"""The envelope around what happened: entries by WABA, changes by field and number, items byte for byte as made.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11): one
value holds messages, statuses or errors of one number; `metadata` names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One encoded item on its way to one app. `array` None: `raw` is the whole value of its change.

    `number` ties it to the ground truth; `contacts` are encoded entries of the value's `contacts`.
    """

    number: int
    app_id: str
    waba_id: str
    account: str
    display_phone_number: str
    field: str
    array: str | None
    raw: bytes
    contacts: tuple[bytes, ...] = ()
    time: int = 0
    inbound: bool = False
    redeliveries: int = 0


def encode(value: object) -> bytes:
    """JSON as the provider writes it: ASCII only, so that an unpaired surrogate is an escape and a NUL too."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def body(parcels: Sequence[Parcel]) -> bytes:
    """One webhook body with these parcels, in their order; neighbours of one number and field share a change."""
    entries = (_entry(waba, list(run)) for waba, run in groupby(parcels, key=_place))
    return b'{"object":"whatsapp_business_account","entry":[' + b",".join(entries) + b"]}"


def _place(parcel: Parcel) -> tuple[str, int | None]:
    """The WABA, and for a whole value its time: the entry of an event has the same time at every delivery."""
    return parcel.waba_id, parcel.time if parcel.array is None else None


def _entry(place: tuple[str, int | None], parcels: list[Parcel]) -> bytes:
    waba_id, at = place
    changes: list[bytes] = []
    for _, run in groupby(parcels, key=_change_of):
        changes.extend(_changes(list(run)))
    time = b'"time":%d,' % at if at is not None else b""
    return b'{"id":%s,%s"changes":[%s]}' % (encode(waba_id), time, b",".join(changes))


def _change_of(parcel: Parcel) -> tuple[str, str, str]:
    return parcel.account, parcel.field, parcel.array or ""


def _changes(parcels: list[Parcel]) -> Iterable[bytes]:
    first = parcels[0]
    if first.array is None:
        return (_change(parcel.raw, parcel.field) for parcel in parcels)
    metadata = {"display_phone_number": first.display_phone_number, "phone_number_id": first.account}
    value = b'{"messaging_product":"whatsapp","metadata":' + encode(metadata)
    contacts = dict.fromkeys(contact for parcel in parcels for contact in parcel.contacts)
    if contacts:
        value += b',"contacts":[' + b",".join(contacts) + b"]"
    items = b",".join(parcel.raw for parcel in parcels)
    return (_change(value + b"," + encode(first.array) + b":[" + items + b"]}", first.field),)


def _change(value: bytes, field: str) -> bytes:
    return b'{"value":' + value + b',"field":' + encode(field) + b"}"
