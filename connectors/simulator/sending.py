"""What `POST /{phone-number-id}/messages` accepts: a pure reading of the request.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages (2026-09) and
the request examples of facebook/openapi, business-messaging-api_v23.0.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.simulator.graph_errors import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEDIA_TYPES = frozenset({"image", "audio", "video", "document", "sticker"})
_REQUIRED: dict[str, tuple[str, ...]] = {
    "text": ("body",),
    "location": ("latitude", "longitude"),
    "reaction": ("message_id",),
    "interactive": ("type", "action"),
    "template": ("name", "language"),
}
_TYPES = (*_MEDIA_TYPES, *_REQUIRED, "contacts")
_TAG_CHARACTERS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """The business has read a message, and may be typing an answer."""

    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """A message to send. `recipient` is a phone number, a BSUID or a group id, as `kind` says: phone, bsuid, group."""

    kind: str
    recipient: str
    given: str
    type: str
    media_id: str | None = None
    voice: bool = False
    tag: str | None = None
    reply_to: str | None = None


def read(body: object) -> Outbound | Receiving:
    """What a request asks for. Raises GraphError, naming the parameter."""
    if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
        raise invalid_parameter("The parameter messaging_product is required, and must be 'whatsapp'.")
    if body.get("status") == "read":
        return Receiving(message_id=_text(body, "message_id"))
    message_type = str(body.get("type") or "text")
    if message_type not in _TYPES:
        raise invalid_parameter(f"type must be one of {', '.join(sorted(_TYPES))}", code=131009)
    kind, given = _recipient(body)
    media_id, voice = _content(body, message_type)
    tag = body.get("biz_opaque_callback_data")
    if isinstance(tag, str) and len(tag) > _TAG_CHARACTERS:
        raise invalid_parameter("biz_opaque_callback_data is longer than 512 characters", code=131009)
    context = body.get("context")
    reply_to = context.get("message_id") if isinstance(context, dict) else None
    return Outbound(
        kind=kind,
        recipient=given if kind != "phone" else "".join(filter(str.isdecimal, given)),
        given=given,
        type=message_type,
        media_id=media_id,
        voice=voice,
        tag=str(tag) if tag is not None else None,
        reply_to=str(reply_to) if reply_to is not None else None,
    )


def _recipient(body: Mapping[str, object]) -> tuple[str, str]:
    """Whom it goes to: `to` wins over `recipient`."""
    if body.get("to"):
        group = body.get("recipient_type") == "group"
        to = str(body["to"])
        if not group and not any(map(str.isdecimal, to)):
            raise invalid_parameter("to is not a phone number", code=131009)
        return ("group" if group else "phone"), to
    if body.get("recipient"):
        return "bsuid", str(body["recipient"])
    raise invalid_parameter("The parameter to is required.", code=131008)


def _content(body: Mapping[str, object], message_type: str) -> tuple[str | None, bool]:
    """The media id a message sends, if any, and whether it is a voice note."""
    said = body.get(message_type)
    if message_type == "contacts":
        if not isinstance(said, list) or not said:
            raise invalid_parameter("contacts must be a list of contacts", code=131008)
        return None, False
    if not isinstance(said, dict):
        raise invalid_parameter(f"The parameter {message_type} is required.", code=131008)
    for name in _REQUIRED.get(message_type, ()):
        if said.get(name) in (None, "") and not isinstance(said.get(name), int):
            raise invalid_parameter(f"The parameter {message_type}['{name}'] is required.", code=131008)
    if message_type not in _MEDIA_TYPES:
        return None, False
    if not said.get("id") and not said.get("link"):
        raise invalid_parameter(f"{message_type} needs an id or a link", code=131008)
    media_id = said.get("id")
    return (str(media_id) if media_id else None), said.get("voice") is True


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid_parameter(f"The parameter {name} is required.", code=131008)
    return value
