"""The headers of an entry: CloudEvents' own, and those of dead letters and of what was driven again.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md (2022-02).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.contract.shapes import DIALECT, Schema
from broker.core.errors import MalformedEntryError, UnstorableError
from broker.core.tracing import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE = "topic/partition/offset"

EVENT: dict[str, Schema] = {
    "ce_specversion": {"description": "The version of CloudEvents.", "const": "1.0"},
    "ce_id": {"description": "What a repetition is told by: see the channel."},
    "ce_type": {"description": "What happened: `custody.<kind>.v1`.", "examples": ["custody.message.v1"]},
    "ce_source": {"description": "Where: /provider/account.", "examples": ["/whatsapp_cloud/106540352242922"]},
    "ce_subject": {"description": "The id of what it is about."},
    "ce_time": {
        "description": "When it happened, by Custody's clock.",
        "format": "date-time",
        "examples": ["2026-11-23T12:00:00+00:00"],
    },
    "content-type": {"description": "Of the value.", "const": "application/json"},
}
AGAIN: dict[str, Schema] = {
    "custody-origin": {"description": "How it came to the log, if not from the provider.", "examples": ["redrive"]},
    "custody-redrive-of": {"description": f"The entry that this one is another try of: {_PLACE}."},
}
TRACE: dict[str, Schema] = {
    TRACEPARENT: {"description": "The W3C trace context of what wrote the entry, where traces are on."},
}
DEAD: dict[str, Schema] = {
    "custody-dead-of": {"description": f"Where the entry lay: {_PLACE}."},
    "custody-dead-key": {"description": "Its key."},
    "custody-dead-event": {"description": "Its own `ce_id`."},
    "custody-dead-code": {
        "description": "Why it was set aside.",
        "examples": [MalformedEntryError.code, UnstorableError.code],
    },
    "custody-dead-attempts": {"description": "How often it was tried, in decimal digits.", "pattern": "^[0-9]+$"},
    "custody-dead-at": {"description": "When it was set aside.", "format": "date-time"},
}


def schemas() -> Mapping[str, Schema]:
    """The schemas of headers by file: of a header's text in UTF-8, by its name."""
    return {
        "headers/event.json": _headers("Event", "The headers of every entry, none of which carries content.", EVENT),
        "headers/dead.json": _headers(
            "Dead", "The entry's own headers but for `ce_id`, and why it was set aside.", EVENT | DEAD
        ),
    }


def _headers(title: str, description: str, always: dict[str, Schema]) -> Schema:
    properties = always | AGAIN | TRACE
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "properties": {name: _text(words) for name, words in properties.items()},
        "required": [*always],
        "additionalProperties": True,
    }


def _text(words: Schema) -> Schema:
    return {"description": words["description"], "type": "string"} | words
