"""Cuts JSON into its members and elements without changing a byte of them.

msgspec does it in C. What msgspec refuses though others read it (lone surrogates, NaN, control characters in strings,
nesting deeper than its stack), and objects that name a member twice, are cut by a scanner that keeps no call stack.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from connectors.whatsapp_cloud.parsing.lenient import lenient

REFUSALS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that it will not read."""

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(msgspec.Raw)

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


class Outline(msgspec.Struct):
    """A JSON text's outermost container: its opening bracket, its children (name as written, value), its depth."""

    opener: bytes
    children: list[tuple[bytes, bytes]]
    depth: int


def members(data: bytes) -> list[tuple[str, bytes]] | None:
    """An object's members in order, also those that share a name; None when `data` is no JSON object."""
    try:
        found = _objects.decode(data)
    except REFUSALS:
        return _scanned_members(data)
    values = list(map(bytes, found.values()))
    cut = list(zip(found, values, strict=True))
    compact_length = 1 + 4 * len(cut) + sum(map(len, found)) + sum(map(len, values))
    if not cut or len(data) == compact_length or _is_complete(data, cut):
        return cut
    return _scanned_members(data)


def elements(data: bytes) -> list[bytes] | None:
    """An array's elements; None when `data` is no JSON array."""
    try:
        return list(map(bytes, _arrays.decode(data)))
    except REFUSALS:
        found = outline(data)
        return None if found is None or found.opener != b"[" else [value for _, value in found.children]


def is_json(data: bytes) -> bool:
    """Whether these bytes are JSON, generously read."""
    try:
        _anything.decode(data)
    except REFUSALS:
        return outline(data) is not None
    return True


def outline(data: bytes) -> Outline | None:
    """The outline of a JSON text; None when `data` is not JSON, however generously read.

    Beyond `_DEEPEST` it stops, and tells a depth and no children: such a text is not worth the time.
    """
    found = Outline(opener=data.lstrip()[:1], children=[], depth=0)
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
            found.depth = max(found.depth, len(containers))
            if found.depth > _DEEPEST:
                return Outline(opener=b"", children=[], depth=found.depth)
    return None if expected != _NOTHING or data[position:].strip(b" \t\n\r") else found


def _is_complete(data: bytes, cut: list[tuple[str, bytes]]) -> bool:
    """Whether an object has no more members than these: msgspec keeps one of those that share a name.

    A member left out would bring its name once more, or, written in another way, a backslash outside the values.
    """
    values = [value for _, value in cut]
    if data.count(b"\\") != sum([value.count(b"\\") for value in values]):
        return False
    quoted = [b'"' + name.encode() + b'"' for name, _ in cut]
    return all(data.count(name) == 1 + sum([value.count(name) for value in values]) for name in quoted)


def _scanned_members(data: bytes) -> list[tuple[str, bytes]] | None:
    found = outline(data)
    if found is None or found.opener != b"{":
        return None
    return [(str(lenient(name)), value) for name, value in found.children]
