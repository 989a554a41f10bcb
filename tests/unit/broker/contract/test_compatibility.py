"""What breaks a reader is named; what is only added passes. Each case changes the contract as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
import pytest
from msgspec import NODEFAULT, UNSET, UnsetType

from broker.contract import files, shapes
from broker.contract.compatibility import breaks
from broker.contract.words import FIELDS
from broker.core.model import KeptNotice
from broker.core.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.contract.files import Contract

NOW = files.generated()
Change = object


def envelope(contract: Contract) -> dict[str, Any]:
    found: dict[str, Any] = contract.schemas["record.json"]["$defs"]["Envelope"]
    return found


def part_of(contract: Contract, kind: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = contract.schemas["record.json"]["$defs"][kind]["properties"][field]
    return found


def schemas(contract: Contract) -> dict[str, Any]:
    assert isinstance(contract.schemas, dict)
    return contract.schemas


def event_headers(contract: Contract) -> dict[str, Any]:
    found: dict[str, Any] = contract.schemas["headers/event.json"]
    return found


def message(contract: Contract, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = contract.document["components"]["messages"][stream]
    return found


def channel(contract: Contract, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = contract.document["channels"][stream]
    return found


def topic_settings(contract: Contract, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = channel(contract, stream)["bindings"]["kafka"]["topicConfiguration"]
    return found


def kafka_key(contract: Contract, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = message(contract, stream)["bindings"]["kafka"]["key"]
    return found


def retyped(schema: dict[str, Any], name: str, **keywords: object) -> None:
    schema["properties"][name] = {"description": "other", **keywords}


def added_as_required(schema: dict[str, Any], name: str) -> None:
    retyped(schema, name, type="string")
    schema["required"].append(name)


BREAKING: dict[str, tuple[Callable[[Contract], Change], str]] = {
    "a field goes": (
        lambda one: envelope(one)["properties"].pop("conversation"),
        "record.json: envelope conversation: removed",
    ),
    "a field is called otherwise": (
        lambda one: envelope(one)["properties"].update(thread=envelope(one)["properties"].pop("conversation")),
        "record.json: envelope conversation: removed",
    ),
    "an optional field goes": (
        lambda one: one.schemas["record.json"]["properties"].pop("fingerprint"),
        "record.json: fingerprint: removed",
    ),
    "a field deep in a list goes": (
        lambda one: one.schemas["record.json"]["$defs"]["Part"]["properties"].pop("mime"),
        "record.json: envelope parts items mime: removed",
    ),
    "a field of the content goes": (
        lambda one: one.schemas["content/item.json"]["properties"].pop("item"),
        "content/item.json: item: removed",
    ),
    "a field may be absent": (
        lambda one: envelope(one)["required"].remove("kind"),
        "record.json: envelope kind: was always there, and may be absent now",
    ),
    "a new field is required": (
        lambda one: added_as_required(envelope(one), "mood"),
        "record.json: envelope mood: required, and entries written before need not have it",
    ),
    "an optional field is required": (
        lambda one: envelope(one)["required"].append("process"),
        "record.json: envelope process: required, and entries written before need not have it",
    ),
    "a field has another type": (
        lambda one: retyped(one.schemas["kept.json"], "keep_seq", type="string"),
        "kept.json: keep_seq type: was 'integer' and is 'string'",
    ),
    "a field may be null": (
        lambda one: retyped(one.schemas["kept.json"], "keep_seq", anyOf=[{"type": "integer"}, {"type": "null"}]),
        "kept.json: keep_seq type: was 'integer' and is absent",
    ),
    "a list's items have another type": (
        lambda one: one.schemas["erasure.json"]["properties"]["part_record_ids"]["items"].update(type="integer"),
        "erasure.json: part_record_ids items type: was 'string' and is 'integer'",
    ),
    "bytes are written otherwise": (
        lambda one: part_of(one, "Content", "data").update(contentEncoding="base32"),
        "record.json: content data contentEncoding: was 'base64' and is 'base32'",
    ),
    "a time is written otherwise": (
        lambda one: retyped(one.schemas["kept.json"], "kept_at", type="string"),
        "kept.json: kept_at format: was 'date-time' and is absent",
    ),
    "an absent field means something else": (
        lambda one: part_of(one, "Arrival", "origin").update(default="import"),
        "record.json: arrival origin default: was 'live' and is 'import'",
    ),
    "a set of values is closed": (
        lambda one: envelope(one)["properties"]["kind"].update(enum=["message"]),
        "record.json: envelope kind enum: was absent and is ['message']",
    ),
    "an object is closed": (
        lambda one: envelope(one).update(additionalProperties=False),
        "record.json: envelope additionalProperties: was True and is False",
    ),
    "a schema goes": (lambda one: schemas(one).pop("content/part.json"), "content/part.json: removed"),
    "a channel goes": (lambda one: one.document["channels"].pop("kept"), "channel kept: removed"),
    "a channel has another address": (
        lambda one: channel(one, "kept").update(address="custody.{tenant}.kept.v2"),
        "channel kept: address: was 'custody.{tenant}.kept.v1' and is 'custody.{tenant}.kept.v2'",
    ),
    "a channel has no tenant": (
        lambda one: channel(one, "kept").pop("parameters"),
        "channel kept: parameters: was ['tenant'] and is []",
    ),
    "a channel is compacted": (
        lambda one: topic_settings(one, "messages").update({"cleanup.policy": ["compact"]}),
        "channel messages: cleanup.policy: was ['delete'] and is ['compact']",
    ),
    "what stayed expires": (
        lambda one: topic_settings(one, "dead").pop("retention.ms"),
        "channel dead: retention.ms: was -1 and is absent",
    ),
    "a channel is for workers alone": (
        lambda one: channel(one, "parts").update(tags=channel(one, "erasures")["tags"]),
        "channel parts: no more for subscribers",
    ),
    "a message goes": (
        lambda one: channel(one, "kept")["messages"].pop("kept"),
        "channel kept, message kept: removed",
    ),
    "nothing is written any more": (
        lambda one: one.document["operations"].pop("send.kept"),
        "operation send.kept: removed, so that nothing is written there any more",
    ),
    "the key is another": (
        lambda one: kafka_key(one, "messages").update(title="record"),
        "channel messages, key: was 'conversation' and is 'record'",
    ),
    "the value is another thing": (
        lambda one: message(one, "kept").update(payload={"$ref": "./schemas/record.json"}),
        "channel kept, payload: was './schemas/kept.json' and is './schemas/record.json'",
    ),
    "the value may be anything": (
        lambda one: message(one, "kept").update(payload={}),
        "channel kept, payload: was './schemas/kept.json' and is absent",
    ),
    "the value is not JSON": (
        lambda one: message(one, "kept").update(contentType="application/avro"),
        "channel kept, contentType: was 'application/json' and is 'application/avro'",
    ),
    "a header goes": (
        lambda one: event_headers(one)["properties"].pop("ce_subject"),
        "headers/event.json: ce_subject: removed",
    ),
    "a header may be absent": (
        lambda one: event_headers(one)["required"].remove("ce_time"),
        "headers/event.json: ce_time: was always there, and may be absent now",
    ),
    "a header has another value": (
        lambda one: event_headers(one)["properties"]["ce_specversion"].update(const="2.0"),
        "headers/event.json: ce_specversion const: was '1.0' and is '2.0'",
    ),
}

ADDING: dict[str, Callable[[Contract], Change]] = {
    "nothing": lambda _: None,
    "a field": lambda one: retyped(envelope(one), "mood", type="string"),
    "a field that is absent by default": lambda one: retyped(envelope(one), "moods", type="array", default=[]),
    "a known value": lambda one: envelope(one)["properties"]["kind"]["examples"].append("poll"),
    "other words": lambda one: envelope(one)["properties"]["kind"].update(description="other words"),
    "a header": lambda one: retyped(event_headers(one), "ce_mood", type="string"),
    "a schema": lambda one: schemas(one).update({"content/act.json": {"type": "object"}}),
    "a channel": lambda one: one.document["channels"].update(outbound=channel(one, "kept")),
    "a message": lambda one: channel(one, "kept")["messages"].update(more={"$ref": "#/components/messages/messages"}),
    "a setting of a topic": lambda one: topic_settings(one, "kept").update({"max.message.bytes": 1_000_000}),
    "a reader": lambda one: one.document["operations"].update({"receive.kept.other": {"action": "receive"}}),
    "a reader less": lambda one: one.document["operations"].pop("receive.messages.media"),
}


@pytest.mark.parametrize(("change", "said"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_a_reader_is_named(change: Callable[[Contract], Change], said: str) -> None:
    changed = deepcopy(NOW)
    change(changed)
    assert said in breaks(NOW, changed)


@pytest.mark.parametrize("change", ADDING.values(), ids=ADDING)
def test_what_is_only_added_breaks_nobody(change: Callable[[Contract], Change]) -> None:
    changed = deepcopy(NOW)
    change(changed)
    assert breaks(NOW, changed) == ()


CODE: dict[str, tuple[Callable[[dict[str, Any]], Change], tuple[str, ...]]] = {
    "a field goes": (lambda fields: fields.pop("kept_at"), ("kept.json: kept_at: removed",)),
    "a field gets a default": (
        lambda fields: fields.update(keep_seq=(int, 0)),
        ("kept.json: keep_seq: was always there, and may be absent now",),
    ),
    "a field may be unset": (
        lambda fields: fields.update(keep_seq=(int | UnsetType, UNSET)),
        ("kept.json: keep_seq: was always there, and may be absent now",),
    ),
    "a number becomes text": (
        lambda fields: fields.update(keep_seq=(str, NODEFAULT)),
        ("kept.json: keep_seq type: was 'integer' and is 'string'",),
    ),
    "a new field without a default": (
        lambda fields: fields.update(mood=(str, NODEFAULT)),
        ("kept.json: mood: required, and entries written before need not have it",),
    ),
    "a new field with a default": (lambda fields: fields.update(mood=(str, "sunny")), ()),
    "a new field that may be unset": (lambda fields: fields.update(mood=(str | UnsetType, UNSET)), ()),
}


@pytest.mark.parametrize(("change", "said"), CODE.values(), ids=CODE)
def test_a_change_of_the_code_is_judged(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Change], said: tuple[str, ...]
) -> None:
    hints = get_type_hints(KeptNotice)
    fields = {one.name: (hints[one.name], one.default) for one in msgspec.structs.fields(KeptNotice)}
    change(fields)
    changed = msgspec.defstruct(
        "KeptNotice",
        [(name, hint, msgspec.field(default=default)) for name, (hint, default) in fields.items()],
        bases=(Value,),
        kw_only=True,
    )
    words = dict.fromkeys(fields, "words")
    monkeypatch.setattr(shapes, "FIELDS", {**FIELDS, changed: words})
    monkeypatch.setattr(shapes, "VALUES", {**shapes.VALUES, "kept": changed})
    assert breaks(NOW, files.generated()) == said
