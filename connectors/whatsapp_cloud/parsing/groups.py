"""Groups: made, changed, suspended; who joined, left, asked to join.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/groups, webhooks (2026-02-11); the
participants' numbers are whole numbers in Meta's own examples.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.drafts import Draft, Named, Person, given, unknown_shape
from connectors.whatsapp_cloud.parsing.events import event_key
from connectors.whatsapp_cloud.parsing.fields import GROUP_OTHER, GROUP_TYPES
from connectors.whatsapp_cloud.parsing.media import media_within, without_urls
from connectors.whatsapp_cloud.parsing.people import member, number_or_id, person
from connectors.whatsapp_cloud.parsing.values import Fields, canonical, fields_of, moment_of, read, text_of

if TYPE_CHECKING:
    from connectors.whatsapp_cloud.parsing.scene import Scene

_PARTICIPANTS: Final = ("added_participants", "removed_participants", "failed_participants", "participants")


def group(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """What happened to a group."""
    fields = read(raw)
    if not isinstance(fields, dict):
        return (unknown_shape(raw),)
    type_, group_id = text_of(fields.get("type")), text_of(fields.get("group_id"))
    request = text_of(fields.get("request_id")) or text_of(fields.get("join_request_id"))
    counted = canonical(without_urls(fields))
    if request or group_id:
        key = _native_key(fields, counted, scene.origin.field, request)
    else:
        key = event_key("groups", counted, scene)
    draft = Draft(
        kind=Kind.EVENT,
        type=type_ if type_ in GROUP_TYPES else GROUP_OTHER,
        direction=Direction.INTERNAL,
        raw=raw,
        counted=counted,
        native_key=key,
        group=group_id,
        people=_participants(fields),
        occurred_at=moment_of(fields.get("timestamp")),
        parts=media_within(fields),
        provider_ids=given(group_id, request),
    )
    return (draft,)


def _native_key(fields: Fields, counted: bytes, field: str, request: str | None) -> tuple[str, ...]:
    """Who joins by a link made no request: there, what it says tells one joining from the next in the same second."""
    names = [text_of(fields.get(name)) or "" for name in ("type", "group_id", "timestamp")]
    return (field, *names, request or hashlib.sha256(counted).hexdigest())


def _participants(fields: Fields) -> tuple[Person, ...]:
    """Those listed, and the one whom the event itself names."""
    listed = [one for name in _PARTICIPANTS if isinstance(rows := fields.get(name), list) for one in rows]
    people = [found for one in (fields, *listed) for found in person("participant", _participant(fields_of(one)))]
    return tuple(dict.fromkeys(people))


def _participant(fields: Fields) -> tuple[Named, ...]:
    shown = member(fields)
    return shown or number_or_id(fields.get("input"))
