"""Reads the values of a provider's JSON, whatever stands where a text, a number or an object should."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from connectors.whatsapp_cloud.parsing.lenient import lenient
from connectors.whatsapp_cloud.parsing.slices import REFUSALS, nesting

if TYPE_CHECKING:
    from collections.abc import Iterable

Fields = dict[str, object]
"""A JSON object as read."""

DEPTH_LIMIT: Final = 64
"""Nesting that no provider needs; deeper slices are kept unread."""


class Unreadable:
    """What `read` gives for bytes that are too deep, or not JSON after all."""


UNREADABLE: Final = Unreadable()

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(order="sorted")

_YEAR_2009, _YEAR_2100 = 1_230_768_000, 4_102_444_800
_MILLISECONDS_FROM = 100_000_000_000
_TIMESTAMP_DIGITS = 18


def read(data: bytes) -> object:
    """The value of a slice; `UNREADABLE` where it nests too deeply or can't be read at all."""
    if _too_deep(data):
        return UNREADABLE
    try:
        value: object = _decoder.decode(data)
    except REFUSALS:
        try:
            return lenient(data)
        except ValueError:
            return UNREADABLE
    return value


def canonical(value: object) -> bytes:
    """The bytes of a value that `read` gave: equal values, equal bytes."""
    return _encoder.encode(value)


def read_and_mend(data: bytes) -> tuple[object, bytes]:
    """The value of a slice, and the slice as JSON that every reader takes.

    That is as it is; rewritten where it is broken; in base64 where it is unreadable.
    """
    if not _too_deep(data):
        try:
            return _decoder.decode(data), data
        except REFUSALS:
            pass
    value = read(data)
    return value, canonical(data if value is UNREADABLE else value)


def mended(data: bytes) -> bytes:
    """A slice as JSON that every reader takes."""
    return read_and_mend(data)[1]


def joined(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """Members as they stand in a JSON object, without its braces."""
    return b",".join([canonical(name) + b":" + mended(raw) for name, raw in pairs])


def fields_of(value: object) -> Fields:
    """An object's fields; none where `value` is no object."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str | None:
    """A text that says something, or a whole number as text."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def moment_of(value: object) -> datetime | None:
    """A moment from Unix seconds or milliseconds, as text or number; None where it can't be WhatsApp's.

    Source: `timestamp` is a text of seconds in messages, a number in `user_preferences`:
    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11).
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _TIMESTAMP_DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _YEAR_2100 * 1000:
        return None
    seconds = value / 1000 if value >= _MILLISECONDS_FROM else value
    return datetime.fromtimestamp(seconds, UTC) if _YEAR_2009 <= seconds < _YEAR_2100 else None


def _too_deep(data: bytes) -> bool:
    may_be = len(data) > 2 * DEPTH_LIMIT and data.count(b"{") + data.count(b"[") > DEPTH_LIMIT
    return may_be and nesting(data) > DEPTH_LIMIT
