"""The steps of the schema, in files: which collections there are, what a document must be, and the indexes.

A file `migrations/0001_what_it_does.json` that was applied somewhere is never changed again; its digest would tell.
Steps add and widen, so that the version before goes on working beside the new one: a collection named again gets more
fields, rules and indexes. A document's further fields are let through, since a later version may have added them.

The type of a field is `text`, `whole`, `number`, `flag`, `bytes`, `digest` (32 bytes), `time` (microseconds since 1970,
in UTC), `texts`, or a list of the words it may be; with `?` it may be null or absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
FieldType: TypeAlias = str | Sequence[str]

_HERE = Path(__file__).parent
_DIGEST_BYTES = 32
_BSON: Mapping[str, Document] = {
    "text": {"bsonType": ["string"]},
    "whole": {"bsonType": ["int", "long"]},
    "number": {"bsonType": ["double", "int", "long"]},
    "flag": {"bsonType": ["bool"]},
    "bytes": {"bsonType": ["binData"]},
    "digest": {"bsonType": ["binData"]},
    "time": {"bsonType": ["long"]},  # seconds by mistake would be small enough for an "int"
    "texts": {"bsonType": ["array"], "items": {"bsonType": "string"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index by ascending fields, of the documents that `where` chooses."""

    keys: Sequence[str]
    where: Document | None = None

    @property
    def specification(self) -> Document:
        """As MongoDB tells it back, less version and name."""
        found: Document = {"key": dict.fromkeys(self.keys, 1)}
        return found if self.where is None else {**found, "partialFilterExpression": self.where}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a collection's documents must be, and how they are found."""

    fields: Mapping[str, FieldType] = field(default_factory=dict)
    rules: Sequence[Document] = ()
    indexes: Mapping[str, Index] = field(default_factory=dict)

    @property
    def validator(self) -> Document:
        """What MongoDB holds every insert and update against; empty where anything goes."""
        if not self.fields:
            return {}
        schema: Document = {
            "bsonType": "object",
            "required": ["_id", *(name for name, kind in self.fields.items() if not _is_optional(kind))],
            "properties": {"_id": {"bsonType": "string"}, **{name: _rule(kind) for name, kind in self.fields.items()}},
        }
        return {"$jsonSchema": schema, "$expr": {"$and": [_OF_ITS_TENANT, *self._digests(), *self.rules]}}

    def _digests(self) -> list[Document]:
        """JSON Schema has no length of bytes."""
        names = {name: kind for name, kind in self.fields.items() if str(kind).rstrip("?") == "digest"}
        sizes: Mapping[bool, list[object]] = {False: [_DIGEST_BYTES], True: [_DIGEST_BYTES, None]}
        return [{"$in": [{"$binarySize": f"${name}"}, sizes[_is_optional(kind)]]} for name, kind in names.items()]

    def widened(self, more: Shape) -> Shape:
        """This shape and what a later step adds to it."""
        return Shape(
            fields={**self.fields, **more.fields},
            rules=[*self.rules, *more.rules],
            indexes={**self.indexes, **more.indexes},
        )


_OF_ITS_TENANT: Document = {"$eq": [{"$indexOfBytes": ["$_id", {"$concat": ["$tenant", "/"]}]}, 0]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the schema."""

    version: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of its text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """What it makes of which collections."""
        return {name: _shape(found) for name, found in json.loads(self.text)["collections"].items()}


@cache
def steps() -> Sequence[Step]:
    """All of them, oldest first."""
    files = sorted((_HERE / "migrations").glob("*.json"))
    return tuple(
        Step(version=int(file.stem.split("_")[0]), name=file.stem, text=file.read_text(encoding="utf-8"))
        for file in files
    )


@cache
def shapes() -> Mapping[str, Shape]:
    """Every collection as it is after the last step."""
    found: dict[str, Shape] = {}
    for step in steps():
        for name, shape in step.shapes.items():
            found[name] = found[name].widened(shape) if name in found else shape
    return found


def known_version() -> int:
    """The one version that this code knows."""
    return steps()[-1].version


def _shape(found: Document) -> Shape:
    indexes = {name: Index(**one) for name, one in found.get("indexes", {}).items()}
    return Shape(fields=found.get("fields", {}), rules=found.get("rules", ()), indexes=indexes)


def _is_optional(kind: FieldType) -> bool:
    return isinstance(kind, str) and kind.endswith("?")


def _rule(kind: FieldType) -> Document:
    if not isinstance(kind, str):
        return {"enum": list(kind)}
    rule = _BSON[kind.removesuffix("?")]
    return {**rule, "bsonType": [*rule["bsonType"], "null"]} if _is_optional(kind) else dict(rule)
