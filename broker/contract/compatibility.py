"""What of a new contract breaks a reader written against an old one. Pure.

A reader relies on: each channel under its address, with its tenant; the key, since order is kept within it; every
header and field that it knows, with its type; and that what was always there is always there. It passes over what is
new. But it also meets entries that were written before: a field that is new, yet required, is not in those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeGuard

from broker.contract.shapes import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from broker.contract.files import Contract

_WORDS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated"})
"""What may be put in other words."""
_FIELDS = frozenset({"properties", "required"})
_ABSENT = object()


def breaks(old: Contract, new: Contract) -> tuple[str, ...]:
    """Why a reader of `old` can't read what `new` describes, one line each; empty where it can."""
    return (*_document_breaks(old.document, new.document), *_schema_breaks(old.schemas, new.schemas))


# --- channels, operations and messages ---


def _document_breaks(old: Schema, new: Schema) -> Iterator[str]:
    for name, before in old["channels"].items():
        if name in new["channels"]:
            after = new["channels"][name]
            yield from _channel_breaks(f"channel {name}", before, after)
            yield from _message_breaks(f"channel {name}", _messages(old, before), _messages(new, after))
        else:
            yield f"channel {name}: removed"
    for name, operation in old["operations"].items():
        if operation["action"] == "send" and name not in new["operations"]:
            yield f"operation {name}: removed, so that nothing is written there any more"


def _channel_breaks(where: str, old: Schema, new: Schema) -> Iterator[str]:
    yield from _change(f"{where}: address", old["address"], new["address"])
    yield from _change(f"{where}: parameters", [*old.get("parameters", {})], [*new.get("parameters", {})])
    for name, value in old["bindings"]["kafka"]["topicConfiguration"].items():
        after = new["bindings"]["kafka"]["topicConfiguration"].get(name, _ABSENT)
        yield from _change(f"{where}: {name}", value, after)
    for tag in old["tags"]:
        if tag not in new["tags"]:
            yield f"{where}: no more for {PurePosixPath(tag['$ref']).name}"


def _message_breaks(where: str, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[str]:
    for name, before in old.items():
        if name not in new:
            yield f"{where}, message {name}: removed"
            continue
        after = new[name]
        for part in ("headers", "payload"):
            yield from _change(f"{where}, {part}", before[part].get("$ref", _ABSENT), after[part].get("$ref", _ABSENT))
        yield from _change(f"{where}, contentType", before["contentType"], after["contentType"])
        yield from _change(f"{where}, key", _key(before), _key(after))


def _messages(document: Schema, channel: Schema) -> Mapping[str, Schema]:
    everywhere = document["components"]["messages"]
    return {name: everywhere[PurePosixPath(one["$ref"]).name] for name, one in channel["messages"].items()}


def _key(message: Schema) -> str:
    return str(message["bindings"]["kafka"]["key"]["title"])


# --- schemas ---


def _schema_breaks(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[str]:
    for name, before in old.items():
        if name in new:
            yield from _Comparison(old=before, new=new[name]).at(f"{name}:", before, new[name])
        else:
            yield f"{name}: removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """Of two schemas, whose references lead to their own `$defs`."""

    old: Schema
    new: Schema

    def at(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """What breaks at one place, and below it."""
        old, new = _followed(self.old, old), _followed(self.new, new)
        yield from self._fields(where, old, new)
        for keyword in sorted((old.keys() | new.keys()) - _WORDS - _FIELDS):
            before, after = old.get(keyword, _ABSENT), new.get(keyword, _ABSENT)
            if keyword == "default" and before is _ABSENT:
                continue  # what was always there, and need not be now: said of the field
            yield from self._keyword(f"{where} {keyword}", before, after)

    def _fields(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        fields = new.get("properties", {})
        always, always_now = set(old.get("required", ())), set(new.get("required", ()))
        for name, before in old.get("properties", {}).items():
            if name not in fields:
                yield f"{where} {name}: removed"
                continue
            if name in always - always_now:
                yield f"{where} {name}: was always there, and may be absent now"
            yield from self.at(f"{where} {name}", before, fields[name])
        for name in sorted(always_now - always):
            yield f"{where} {name}: required, and entries written before need not have it"

    def _keyword(self, where: str, old: object, new: object) -> Iterator[str]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self.at(where, old, new)
        elif _are_schemas(old) and _are_schemas(new) and len(old) == len(new):
            for place, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from self.at(f"{where}[{place}]", before, after)
        else:
            yield from _change(where, old, new)


def _followed(root: Schema, schema: Schema) -> Schema:
    """A schema with its reference replaced by what it leads to."""
    rest = dict(schema)
    reference = rest.pop("$ref", None)
    return root["$defs"][PurePosixPath(reference).name] | rest if reference else rest


def _are_schemas(value: object) -> TypeGuard[list[Schema]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _change(where: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{where}: was {_shown(old)} and is {_shown(new)}"


def _shown(value: object) -> str:
    return "absent" if value is _ABSENT else repr(value)
