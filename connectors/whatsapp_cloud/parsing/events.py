"""Events: calls, preferences, the app's address book, handovers, templates, the account itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.drafts import Draft, Named, Person, given, unknown_shape, value_key
from connectors.whatsapp_cloud.parsing.fields import (
    CALL_OTHER,
    CALL_TYPES,
    DIRECTIONS,
    EVENT_TYPES,
    MESSAGING_FIELDS,
    NATURAL_KEYS,
    UNKNOWN_FIELD,
    UNKNOWN_ITEM,
)
from connectors.whatsapp_cloud.parsing.people import identities, member, number_or_id, person, phone
from connectors.whatsapp_cloud.parsing.values import (
    UNREADABLE,
    Fields,
    canonical,
    fields_of,
    moment_of,
    read,
    text_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from connectors.whatsapp_cloud.parsing.scene import Scene


def call(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """A call that rings or ends. Its id and what happened name it."""
    fields = read(raw)
    if not isinstance(fields, dict):
        return (unknown_shape(raw),)
    call_id, happened = text_of(fields.get("id")), text_of(fields.get("event"))
    direction, people = _caller(fields, scene.business)
    counted = canonical(fields)
    draft = Draft(
        kind=Kind.EVENT,
        type=CALL_TYPES.get(happened or "", CALL_OTHER),
        direction=direction,
        raw=raw,
        counted=counted,
        native_key=(call_id, happened) if call_id and happened else event_key("calls", counted, scene),
        group=text_of(fields.get("group_id")),
        people=people,
        occurred_at=moment_of(fields.get("timestamp")),
        provider_ids=given(call_id),
    )
    return (draft,)


def element_event(name: str, raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """An element of an array that has no builder of its own: a preference, a contact of the app, something new."""
    field = scene.origin.field
    fallback = UNKNOWN_ITEM if field in MESSAGING_FIELDS else UNKNOWN_FIELD
    return (_event(EVENT_TYPES.get(field, fallback), name, raw, scene),)


def whole_event(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """A change without arrays is one event: a template's status, an account's restriction, a handover."""
    field = scene.origin.field
    if field in MESSAGING_FIELDS:
        draft = unknown_shape(raw)
    else:
        draft = _event(EVENT_TYPES.get(field, UNKNOWN_FIELD), field, raw, scene)
        draft.native_key = _natural_key(field, raw, scene) or draft.native_key
    draft.is_whole_value = True
    return (draft,)


def event_key(name: str, counted: bytes, scene: Scene) -> tuple[str, ...]:
    """The native key of an event that the provider gave no id."""
    return value_key(name, counted, (scene.origin.waba, scene.origin.time, scene.origin.field))


def _event(type_: str, name: str, raw: bytes, scene: Scene) -> Draft:
    value = read(raw)
    if value is UNREADABLE:
        return unknown_shape(raw)
    fields, counted = fields_of(value), canonical(value)
    direction = DIRECTIONS.get(scene.origin.field, Direction.INTERNAL)
    return Draft(
        kind=Kind.EVENT,
        type=type_,
        direction=direction,
        raw=raw,
        counted=counted,
        native_key=event_key(name, counted, scene),
        people=_subject(fields, "sender" if direction == Direction.IN else "participant"),
        occurred_at=_moment(fields) or moment_of(scene.origin.time),
        provider_ids=given(text_of(fields.get("id")), text_of(fields.get("message_template_id"))),
    )


def _moment(fields: Fields) -> datetime | None:
    return moment_of(fields.get("timestamp") or fields_of(fields.get("metadata")).get("timestamp"))


def _natural_key(field: str, raw: bytes, scene: Scene) -> tuple[str, ...]:
    fields = fields_of(read(raw))
    ids = [text_of(fields.get(name)) for name in NATURAL_KEYS.get(field, ())]
    known = [one for one in (*ids, scene.origin.time) if one]
    return (field, *known) if ids and len(known) == len(ids) + 1 else ()


def _subject(fields: Fields, role: str) -> tuple[Person, ...]:
    """Whom an event is about, where it names somebody."""
    changed = isinstance(fields.get("user_id"), dict)
    shown: tuple[Named, ...] = member(fields)
    for inner in (fields_of(fields.get("contact")), fields_of(fields.get("sender"))):
        shown += number_or_id(inner.get("phone_number")) + member(inner)
    return person(role, shown, "changed_user_id" if changed else "same_person")


def _caller(fields: Fields, business: str | None) -> tuple[Direction, tuple[Person, ...]]:
    caller = identities(fields, "from", "from_user_id", "from_parent_user_id")
    called = identities(fields, "to", "to_user_id", "to_parent_user_id")
    outward = fields.get("direction") == "BUSINESS_INITIATED"
    if fields.get("direction") is None and business is not None:
        outward = phone(fields.get("from")) == business
    if outward:
        return Direction.OUT, person("recipient", called)
    return Direction.IN, person("sender", caller)
