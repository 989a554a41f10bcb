"""A body cut into its changes, and each of them put into a body of its own again.

`object`, `entry[].{id, time?, changes[].{field, value}}`.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from connectors.whatsapp_cloud.parsing.scene import SHARED_BYTES, Member, Origin
from connectors.whatsapp_cloud.parsing.slices import elements, members
from connectors.whatsapp_cloud.parsing.values import canonical, joined, read, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_OBJECT: Final = ("object", b'"whatsapp_business_account"')
_HOLDERS: Final = frozenset(("entry", "changes"))


class Cut(msgspec.Struct, frozen=True):
    """The slice of a change, and the members of its body and its entry.

    Where something else stands in an entry's place, that is the slice, and `entry` is None.
    """

    raw: bytes
    top: Sequence[Member]
    entry: Sequence[Member] | None


def cuts(top: Sequence[Member]) -> Iterator[Cut]:
    """The cuts of a body's members; none where it has no entry. The first has all that stands around them."""
    for number, raw in enumerate(_rows(top, "entry")):
        top = top if number == 0 else _shared(top)
        entry: Sequence[Member] = members(raw) or []
        changes = _rows(entry, "changes")
        if not changes:
            yield Cut(raw, top, None)
        for place, change in enumerate(changes):
            if place == 1:
                top, entry = _shared(top), _shared(entry)
            yield Cut(change, top, entry)


def body_of(cut: Cut) -> bytes:
    """A body with just this cut in it, byte for byte, and what surrounded it."""
    raw = cut.raw if cut.entry is None else _with_one(cut.entry, "changes", cut.raw)
    return _with_one(cut.top, "entry", raw)


def origin_of(cut: Cut, change: Sequence[Member]) -> Origin:
    """Where a change stood, from the members of its body, its entry and itself."""
    entry, entry_others = _sorted_out(cut.entry or (), ("id", "time", "changes"))
    here, change_others = _sorted_out(change, ("field", "value"))
    top_others = [pair for pair in cut.top if pair[0] != "entry" and pair != _OBJECT]
    place = (entry.get("id"), entry.get("time"), here.get("field"))
    is_little = sum(map(len, filter(None, place))) <= SHARED_BYTES
    origin = _origin(*place) if is_little else _origin.__wrapped__(*place)
    noted = [
        (name, b"{" + joined(others) + b"}")
        for name, others in (("body", top_others), ("entry", entry_others), ("change", change_others))
        if others
    ]
    if not noted:
        return origin
    shown = b",".join(filter(None, (origin.json, joined(noted))))
    return Origin(waba=origin.waba, time=origin.time, field=origin.field, json=shown)


def _shared(pairs: Sequence[Member]) -> Sequence[Member]:
    """What several changes may each have of their surroundings: all of it, unless that is much."""
    around = [pair for pair in pairs if pair[0] not in _HOLDERS]
    if sum(len(name) + len(raw) for name, raw in around) <= SHARED_BYTES:
        return pairs
    known, _ = _sorted_out(around, ("object", "id", "time"))
    return [(name, raw) for name, raw in known.items() if len(raw) <= SHARED_BYTES]


@lru_cache(maxsize=1024)
def _origin(waba: bytes | None, time: bytes | None, field: bytes | None) -> Origin:
    """One value for each account and field: the same few come again and again."""
    shown = [(name, raw) for name, raw in (("waba", waba), ("time", time), ("field", field)) if raw is not None]
    return Origin(waba=_text(waba), time=_text(time), field=_text(field) or "", json=joined(shown))


def _rows(pairs: Sequence[Member], name: str) -> list[bytes]:
    """The elements of every array of that name; what is no array stands for its only element."""
    found: list[bytes] = []
    for raw in (raw for given, raw in pairs if given == name and raw != b"null"):
        rows = elements(raw)
        found += [raw] if rows is None else rows
    return found


def _with_one(pairs: Sequence[Member], name: str, element: bytes) -> bytes:
    """An object as it was, but with one element in the array of that name."""
    kept = [canonical(given) + b":" + raw for given, raw in pairs if given != name]
    kept.append(canonical(name) + b":[" + element + b"]")
    return b"{" + b",".join(kept) + b"}"


def _sorted_out(pairs: Sequence[Member], names: Collection[str]) -> tuple[dict[str, bytes], list[Member]]:
    """The first member of each of these names, and the others; the last name's members are read elsewhere."""
    known: dict[str, bytes] = {}
    others: list[Member] = []
    for name, raw in pairs:
        if name in names and name not in known:
            known[name] = raw
        elif name not in {"changes", "value"}:
            others.append((name, raw))
    return known, others


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else text_of(read(raw))
