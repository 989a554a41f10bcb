"""Messages: live, echoed from the WhatsApp Business app, held back by Meta's own agent, or from history.

The kind follows from the message's type alone, and the native key is its wamid, so that one message has one record id
however it comes. Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference,
pages messages, smb_message_echoes, standby, history (2026-09-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.core.item import ItemRelation
from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.drafts import Draft, Named, Person, given, unknown_shape
from connectors.whatsapp_cloud.parsing.media import MEDIA_KINDS, media_parts, media_within, without_urls
from connectors.whatsapp_cloud.parsing.message_types import UNSUPPORTED, kind_and_type
from connectors.whatsapp_cloud.parsing.people import (
    PARENT_BSUID,
    identities,
    number_or_id,
    person,
    phone,
    user_id,
)
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
    from broker.core.item import ItemPart
    from connectors.whatsapp_cloud.parsing.scene import Scene

_UNCOUNTED: Final = frozenset((
    "from",
    "from_user_id",
    "from_parent_user_id",
    "to",
    "to_user_id",
    "to_parent_user_id",
    "history_context",
))  # fmt: skip
"""Who is named, and how, differs between deliveries of one message; history adds a wrapper of its own."""

_TIES: Final = (
    ("context", "replies_to", "id"),
    ("reaction", "reacts_to", "message_id"),
    ("edit", "edits", "original_message_id"),
    ("revoke", "revokes", "original_message_id"),
)

_WITHOUT_MEDIA: Final = frozenset(
    ("text", "location", "contacts", "button", "order", "reaction", "reaction_removed", "revoke")
)


def message(raw: bytes, scene: Scene, *, echoed: bool = False, partner: tuple[Named, ...] = ()) -> tuple[Draft, ...]:
    """The draft of a message. `partner` is whom history's thread is with."""
    value = read(raw)
    if value is UNREADABLE:
        return (unknown_shape(raw),)
    if not isinstance(value, dict):
        return (_not_an_object(raw, echoed=echoed),)
    fields = _unwrapped(value)
    kind, type_ = kind_and_type(fields)
    from_business = echoed or _is_from_business(fields, scene.business)
    wamid, group = text_of(fields.get("id")), text_of(fields.get("group_id"))
    relations = _relations(fields)
    draft = Draft(
        kind=kind,
        type=type_,
        direction=Direction.ECHO if from_business else Direction.IN,
        raw=raw,
        counted=_counted(fields, raw),
        native_key=(wamid,) if wamid else (),
        group=group,
        people=_people(fields, kind, partner, from_business=from_business),
        relations=relations,
        occurred_at=moment_of(fields.get("timestamp")),
        parts=_parts(fields, type_),
        provider_ids=given(wamid, group, *(one.native_key[0] for one in relations)),
    )
    return (draft,)


def echo(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """The draft of what the business said without the API: from its app, or by Meta's agent."""
    return message(raw, scene, echoed=True)


def _not_an_object(raw: bytes, *, echoed: bool) -> Draft:
    direction = Direction.ECHO if echoed else Direction.IN
    return Draft(kind=Kind.MESSAGE, type=UNSUPPORTED, direction=direction, raw=raw, counted=raw)


def _unwrapped(value: Fields) -> Fields:
    """An echo on `standby` may come as `{id, message: {to, type, ..}}`."""
    inner = value.get("message")
    if not isinstance(inner, dict) or "type" in value:
        return value
    return {**inner, **{name: one for name, one in value.items() if name != "message"}}


def _is_from_business(fields: Fields, business: str | None) -> bool:
    if "from" in fields and business is not None:
        return phone(fields["from"]) == business
    # Only what the business says has a recipient.
    return "from_user_id" not in fields and ("to" in fields or "to_user_id" in fields)


def _people(fields: Fields, kind: Kind, partner: tuple[Named, ...], *, from_business: bool) -> tuple[Person, ...]:
    if kind == Kind.SYSTEM:
        return _changed_person(fields)
    if from_business:
        role, shown = "recipient", identities(fields, "to", "to_user_id", "to_parent_user_id")
    else:
        role, shown = "sender", identities(fields, "from", "from_user_id", "from_parent_user_id")
    if partner and (not shown or not set(shown).isdisjoint(partner)):
        shown += partner
    return person(role, shown)


def _changed_person(fields: Fields) -> tuple[Person, ...]:
    """Old identities first: the thread is the one that was observed until now."""
    body = fields_of(fields.get("system"))
    shown = identities(fields, "from", "from_user_id", "from_parent_user_id")
    shown += user_id(body.get("previous_user_id")) + number_or_id(body.get("customer"))
    shown += number_or_id(body.get("wa_id")) + number_or_id(body.get("new_wa_id"))
    shown += user_id(body.get("user_id")) + user_id(body.get("parent_user_id"), PARENT_BSUID)
    change = text_of(body.get("type"))
    if change == "user_changed_user_id":
        return person("sender", shown, "changed_user_id")
    numbers = change in {"user_changed_number", "customer_changed_number"}
    return person("sender", shown, "changed_number" if numbers else "same_person")


def _relations(fields: Fields) -> tuple[ItemRelation, ...]:
    found: list[ItemRelation] = []
    for name, kind, id_name in _TIES:
        if name in fields:
            found += _tie(kind, fields[name], id_name)
    if "edit" in fields:
        found += _tie("replies_to", fields_of(fields_of(fields["edit"]).get("message")).get("context"), "id")
    return tuple(found)


def _tie(kind: str, body: object, id_name: str) -> tuple[ItemRelation, ...]:
    wamid = text_of(fields_of(body).get(id_name))
    return () if wamid is None else (ItemRelation(kind=kind, target_kind=Kind.MESSAGE, native_key=(wamid,)),)


def _parts(fields: Fields, type_: str) -> tuple[ItemPart, ...]:
    if type_ in _WITHOUT_MEDIA:
        return ()
    if type_ in MEDIA_KINDS:
        return media_parts(fields_of(fields.get(type_)), type_)
    return media_within(fields)


def _counted(fields: Fields, raw: bytes) -> bytes:
    """What tells a duplicate from a variant.

    A medium's id counts: another id is another provider object to erase, though the bytes be the same.
    """
    counted: Fields = {name: value for name, value in fields.items() if name not in _UNCOUNTED}
    if isinstance(counted.get("timestamp"), int):
        counted["timestamp"] = text_of(counted["timestamp"])
    context = counted.get("context")
    if isinstance(context, dict) and "from" in context:
        counted["context"] = {name: value for name, value in context.items() if name != "from"}
    return canonical(without_urls(counted) if b'"url"' in raw else counted)
