"""Cuts JSON into its members and elements without changing a byte of them.

msgspec does it in C. What it refuses though others read it (lone surrogates, NaN, control characters in texts, bytes
that are no UTF-8) it cuts in a stand-in of the same length, with nothing refused in it. A scanner without a call stack
is left with what nests too deeply, and with objects that name a member twice.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from connectors.whatsapp_cloud.parsing.lenient import lenient

REFUSALS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that it will not read."""

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(msgspec.Raw)

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HARMLESS = bytes(range(0x20, 0x80))
_STAND_IN_BYTES = bytes(
    byte if byte in _HARMLESS else ord(" ") if byte in b"\t\n\r" else ord("x") for byte in range(0x100)
)

# Possessive throughout: no text, however made, is looked at twice.
_TOKEN = re.compile(
    rb'[ \t\n\r]*+("[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+"'
    rb"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
    rb"|true|false|null|NaN|-?Infinity|[{}\[\],:])"
)
_OTHER_SCALAR = b"0"
_MARKS = frozenset((b'"', b"{", b"}", b"[", b"]", b",", b":"))

# What the scanner expects next; ENDED is no expectation but says that a value is complete.
_VALUE, _FIRST_VALUE, _NAME, _FIRST_NAME, _COLON, _IN_ARRAY, _IN_OBJECT, _NOTHING, _ENDED = range(9)
_NEXT: Final = {
    (_FIRST_VALUE, b"]"): _ENDED,
    (_FIRST_NAME, b"}"): _ENDED,
    (_FIRST_NAME, b'"'): _COLON,
    (_NAME, b'"'): _COLON,
    (_COLON, b":"): _VALUE,
    (_IN_ARRAY, b","): _VALUE,
    (_IN_ARRAY, b"]"): _ENDED,
    (_IN_OBJECT, b","): _NAME,
    (_IN_OBJECT, b"}"): _ENDED,
    **{(state, scalar): _ENDED for state in (_VALUE, _FIRST_VALUE) for scalar in (b'"', _OTHER_SCALAR)},
    **{(state, b"{"): _FIRST_NAME for state in (_VALUE, _FIRST_VALUE)},
    **{(state, b"["): _FIRST_VALUE for state in (_VALUE, _FIRST_VALUE)},
}
_INSIDE: Final = {b"[": _IN_ARRAY, b"{": _IN_OBJECT}
_DEEPEST = 512
_FEW = 32


_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_BRACKETS = re.compile(rb"[^{}\[\]]++")
_STEPS: Final = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


class Outline(msgspec.Struct):
    """A JSON text's outermost container: its opening bracket and its children (name as written, value)."""

    opener: bytes
    children: list[tuple[bytes, bytes]]


def members(data: bytes) -> list[tuple[str, bytes]] | None:
    """An object's members in order, also those that share a name; None when `data` is no JSON object."""
    if data.lstrip()[:1] != b"{":
        return None
    try:
        found, read = _decoded(_objects, data)
    except RecursionError:
        return _scanned_members(data)
    except REFUSALS:
        return None
    values = list(map(bytes, found.values()))
    if not values or len(data) == 1 + 4 * len(values) + sum(map(len, found)) + sum(map(len, values)):
        return list(zip(found, values, strict=True)) if read is data else _compact_members(data, found, values)
    if read is data and _is_complete(data, found, values):
        return list(zip(found, values, strict=True))
    return _scanned_members(data)


def elements(data: bytes) -> list[bytes] | None:
    """An array's elements; None when `data` is no JSON array."""
    if data.lstrip()[:1] != b"[":
        return None
    try:
        found, read = _decoded(_arrays, data)
    except RecursionError:
        return _scanned_elements(data)
    except REFUSALS:
        return None
    values = list(map(bytes, found))
    if read is data:
        return values
    if not values or len(data) == 1 + len(values) + sum(map(len, values)):
        return _compact_elements(data, values)
    return _scanned_elements(data)


def is_json(data: bytes) -> bool:
    """Whether these bytes are JSON, generously read; also where they nest too deeply to tell."""
    try:
        _decoded(_anything, data)
    except RecursionError:
        return True
    except REFUSALS:
        return False
    return True


def nesting(data: bytes) -> int:
    """How deep a JSON text goes: 0 for a value alone."""
    brackets = _NO_BRACKETS.sub(b"", _TEXTS.sub(b"", data))
    return max(itertools.accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def outline(data: bytes) -> Outline | None:
    """The outline of a JSON text; None when `data` is not JSON, however generously read, or nests beyond reason."""
    found = Outline(opener=data.lstrip()[:1], children=[])
    containers: list[bytes] = []
    expected, position, begin, name = _VALUE, 0, 0, b""
    while expected != _NOTHING and (token := _TOKEN.match(data, position)) is not None:
        start, position = token.span(1)
        mark = data[start : start + 1]
        expected = _NEXT.get((expected, mark if mark in _MARKS else _OTHER_SCALAR), _NOTHING)
        if expected == _NOTHING:
            return None
        if len(containers) == 1 and mark not in b"]},:":
            begin, name = start, token[1] if expected == _COLON else name
        if expected == _ENDED:
            if mark in b"]}":
                containers.pop()
            if len(containers) == 1:
                found.children.append((name, data[begin:position]))
            expected = _INSIDE[containers[-1]] if containers else _NOTHING
        elif mark in b"[{":
            containers.append(mark)
            if len(containers) > _DEEPEST:
                return None
    return None if expected != _NOTHING or data[position:].strip(b" \t\n\r") else found


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> tuple[T, bytes]:
    """What msgspec makes of these bytes, or else of their stand-in; and of which."""
    try:
        return decoder.decode(data), data
    except (msgspec.DecodeError, UnicodeDecodeError):
        stand_in = _SURROGATE.sub(rb"\\ufffd", data.translate(_STAND_IN_BYTES))
        stand_in = stand_in.replace(b"NaN", b"0.0").replace(b"Infinity", b"10000000")
        return decoder.decode(stand_in), stand_in


def _compact_members(data: bytes, names: Iterable[str], values: list[bytes]) -> list[tuple[str, bytes]]:
    """The members where their stand-ins lie, in an object without spaces."""
    found, position = [], 1
    for name, value in zip(names, values, strict=True):
        start = position + len(name) + 3
        end = start + len(value)
        found.append((str(lenient(data[position : start - 1])), data[start:end]))
        position = end + 1
    return found


def _compact_elements(data: bytes, values: list[bytes]) -> list[bytes]:
    """The elements where their stand-ins lie, in an array without spaces."""
    found, position = [], 1
    for value in values:
        found.append(data[position : position + len(value)])
        position += len(value) + 1
    return found


def _is_complete(data: bytes, names: Iterable[str], values: list[bytes]) -> bool:
    """Whether an object has no more members than these: msgspec keeps one of those that share a name.

    A member left out would bring its name once more, or, written in another way, a backslash outside the values.
    """
    if len(values) > _FEW or data.count(b"\\") != sum([value.count(b"\\") for value in values]):
        return False
    quoted = [b'"' + name.encode() + b'"' for name in names]
    return all(data.count(name) == 1 + sum([value.count(name) for value in values]) for name in quoted)


def _scanned_members(data: bytes) -> list[tuple[str, bytes]] | None:
    found = outline(data)
    if found is None or found.opener != b"{":
        return None
    return [(str(lenient(name)), value) for name, value in found.children]


def _scanned_elements(data: bytes) -> list[bytes] | None:
    found = outline(data)
    return None if found is None or found.opener != b"[" else [value for _, value in found.children]
