"""History, as a business that keeps using its app shares it: chunks of threads of messages, in any order.

Media come in webhooks of their own, as plain `messages` of the same field.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/history (2026-09).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.drafts import Draft, Named, unknown_shape
from connectors.whatsapp_cloud.parsing.errors import value_error
from connectors.whatsapp_cloud.parsing.events import element_event, event_key
from connectors.whatsapp_cloud.parsing.guard import each
from connectors.whatsapp_cloud.parsing.messages import message
from connectors.whatsapp_cloud.parsing.people import member, number_or_id
from connectors.whatsapp_cloud.parsing.scene import SHARED_BYTES
from connectors.whatsapp_cloud.parsing.slices import elements, members
from connectors.whatsapp_cloud.parsing.values import UNREADABLE, canonical, fields_of, joined, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.whatsapp_cloud.parsing.scene import Member, Scene


def chunk(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """A chunk: an event for its progress, and its messages. What has no place in that is kept as it is."""
    pairs = members(raw)
    if pairs is None:
        return (unknown_shape(raw),)
    drafts: list[Draft] = []
    for name, inner in pairs:
        rows = elements(inner)
        if name == "metadata":
            drafts.append(_event("history_progress", inner, scene))
        elif name == "threads" and rows is not None:
            drafts += each(_thread, rows, scene)
        elif name == "errors" and rows is not None:
            drafts += each(value_error, rows, scene)
        elif inner != b"null":
            drafts += element_event(name, inner, scene)
    return tuple(drafts) or (_event("history_progress", raw, scene),)


def _thread(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    pairs = members(raw)
    if pairs is None:
        return (unknown_shape(raw),)
    around, partner = _surroundings(pairs)
    drafts: list[Draft] = []
    for name, inner in pairs:
        rows = elements(inner)
        if name == "messages" and rows is not None:
            drafts += each(partial(message, partner=partner), rows, scene)
    for draft in drafts if len(around) <= SHARED_BYTES else drafts[:1]:
        draft.around = around
    return tuple(drafts) or (_event("history_thread", raw, scene),)


def _surroundings(pairs: Sequence[Member]) -> tuple[bytes, tuple[Named, ...]]:
    """What a thread says beside its messages, and whom it is with."""
    others = [(name, raw) for name, raw in pairs if name != "messages" or elements(raw) is None]
    fields = {name: read(raw) for name, raw in others}
    partner = number_or_id(fields.get("id")) + member(fields_of(fields.get("context")))
    return b'"thread":{' + joined(others) + b"}", tuple(dict.fromkeys(partner))


def _event(type_: str, raw: bytes, scene: Scene) -> Draft:
    value = read(raw)
    if value is UNREADABLE:
        return unknown_shape(raw)
    counted = canonical(value)
    return Draft(
        kind=Kind.EVENT,
        type=type_,
        direction=Direction.INTERNAL,
        raw=raw,
        counted=counted,
        native_key=event_key(type_, counted, scene),
    )
