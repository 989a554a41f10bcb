"""JSON Schemas (draft 2020-12) of what crosses, from the very values that `codec` encodes and decodes.

Open for readers: unknown fields are allowed, and a field with a set of words shows them as examples, never as an enum.
Required is what no version may leave out; a field with a default may be absent in entries of older versions.
Source: https://json-schema.org/draft/2020-12 (2022-06-16).
"""

from __future__ import annotations

import inspect
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from broker.contract.words import FIELDS, KNOWN
from broker.core.model import (
    BlobReference,
    EraseCommand,
    FetchTask,
    ItemContent,
    KeptNotice,
    PartOutcome,
    ReceiptOutcome,
    Record,
    UnclaimedBody,
)
from broker.core.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

VALUES: Mapping[str, type[Any]] = {
    "record": Record,
    "kept": KeptNotice,
    "erasure": EraseCommand,
    "fetch": FetchTask,
    "unclaimed": UnclaimedBody,
}
"""What an entry's value is, by the name of its schema."""
CONTENTS: Mapping[str, type[Any]] = {
    "item": ItemContent,
    "part": PartOutcome,
    "receipt": ReceiptOutcome,
    "blob-reference": BlobReference,
}
"""What the bytes of a content are, by the name in its encoding: `custody/<name>+json`."""


def schemas() -> Mapping[str, Schema]:
    """Every schema by its file, below `schemas/`; each stands alone."""
    values = {f"{name}.json": schema_of(kind) for name, kind in VALUES.items()}
    return values | {f"content/{name}.json": schema_of(kind) for name, kind in CONTENTS.items()}


def schema_of(kind: type[Any]) -> Schema:
    """The schema of a kind of value, with those it holds under `$defs`."""
    classes = {one.__name__: one for one in _classes(kind)}
    _, components = msgspec.json.schema_components((kind,))
    found: dict[str, Schema] = msgspec.json.decode(msgspec.json.encode(components))  # as they will be read back
    described = {name: _described(classes[name], schema) for name, schema in found.items()}
    schema = {"$schema": DIALECT} | described.pop(kind.__name__)
    return schema | {"$defs": described} if described else schema


def _classes(kind: type[Any]) -> Iterator[type[Any]]:
    """A kind of value and all that it holds."""
    yield kind
    for hint in get_type_hints(kind).values():
        for one in (hint, *get_args(hint)):
            if isinstance(one, type) and issubclass(one, Value):
                yield from _classes(one)


def _described(kind: type[Any], schema: Schema) -> Schema:
    hints = get_type_hints(kind)
    properties = {
        name: _field(found, FIELDS[kind][name], hints[name], KNOWN.get((kind, name), ()))
        for name, found in schema["properties"].items()
    }
    return {
        "title": kind.__name__,
        "description": prose(inspect.getdoc(kind) or ""),
        "type": "object",
        "properties": properties,
        "required": schema["required"],
        "additionalProperties": True,
    }


def _field(found: Schema, words: str, hint: object, known: Iterable[str]) -> Schema:
    """A field as msgspec sees it, in words, and a time as the time it is."""
    times = {"format": "date-time"} if datetime in (hint, *get_args(hint)) else {}
    values = [str(one) for one in known]
    examples = {"examples": values} if values else {}
    return {"description": words} | found | times | examples


def prose(text: str) -> str:
    """A docstring's lines as paragraphs."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())
