"""Which kind and type a message has. The type stands in clear, so it comes from here and never from the provider."""

from __future__ import annotations

from typing import Final

from broker.core.model import Kind
from connectors.whatsapp_cloud.parsing.values import Fields, fields_of

UNSUPPORTED: Final = "unsupported"
"""What the provider could not hand over, what is not known here, and what lacks the body its type asks for."""

_NO_BODY: Final = object
_BODIES: Final[dict[str, type]] = {
    "text": dict,
    "image": dict,
    "video": dict,
    "audio": dict,
    "document": dict,
    "sticker": dict,
    "location": dict,
    "contacts": list,
    "button": dict,
    "order": dict,
    "template": dict,
    "media_placeholder": _NO_BODY,  # history: the medium comes in a webhook of its own, or not at all
    "request_welcome": _NO_BODY,  # somebody opened the chat and has said nothing yet
}
_KINDS: Final = {
    "reaction": Kind.REACTION,
    "edit": Kind.EDIT,
    "revoke": Kind.REVOCATION,
    "system": Kind.SYSTEM,
}
_INTERACTIVE: Final = frozenset((
    # what a customer sends
    "button_reply",
    "list_reply",
    "nfm_reply",
    "call_permission_reply",
    # what a business sends, seen in echoes and in history
    "address_message",
    "button",
    "call_permission_request",
    "carousel",
    "catalog_message",
    "contact_request",
    "cta_url",
    "flow",
    "list",
    "location_request_message",
    "product",
    "product_list",
    "voice_call",
))  # fmt: skip
_SYSTEM: Final = frozenset((
    "customer_changed_number",
    "customer_identity_changed",
    "user_changed_number",
    "user_changed_user_id",
))  # fmt: skip


def kind_and_type(fields: Fields) -> tuple[Kind, str]:
    """The kind, which depends on the message's `type` alone, and the type it has here."""
    name = fields.get("type")
    if not isinstance(name, str):
        return Kind.MESSAGE, UNSUPPORTED
    body = fields.get(name)
    if name in _BODIES:
        return Kind.MESSAGE, name if isinstance(body, _BODIES[name]) else UNSUPPORTED
    if name == "interactive":
        return Kind.MESSAGE, _interactive_type(body)
    return (_KINDS[name], _special_type(name, fields_of(body))) if name in _KINDS else (Kind.MESSAGE, UNSUPPORTED)


def _interactive_type(body: object) -> str:
    """`interactive` alone has come without a body, with an error beside it."""
    name = fields_of(body).get("type")
    if isinstance(name, str):
        return f"interactive.{name}" if name in _INTERACTIVE else "interactive.other"
    return "interactive"


def _special_type(name: str, body: Fields) -> str:
    if name == "reaction":
        return "reaction" if body.get("emoji") or not body else "reaction_removed"
    if name == "system":
        change = body.get("type")
        return change if isinstance(change, str) and change in _SYSTEM else "system"
    return name
