"""What a message says: one function for each documented type, giving the object that stands under the type's name.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages (one page
for each type, 2026-06 to 2026-09) and the webhook examples of facebook/openapi, business-messaging-api_v23.0.yaml.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRef:
    """A media object as a webhook names it. `sha256` is the digest itself, 32 bytes; `url` works for 5 minutes."""

    media_id: str
    mime: str
    sha256: bytes
    url: str | None = None

    def fields(self) -> dict[str, object]:
        """The fields that every media type has; the digest goes out in base64."""
        fields: dict[str, object] = {
            "mime_type": self.mime,
            "sha256": b64encode(self.sha256).decode(),
            "id": self.media_id,
        }
        return fields | ({"url": self.url} if self.url is not None else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A type, the object under its name (None: the type stands alone), the media it names, and fields beside it."""

    type: str
    body: object = None
    media: tuple[str, ...] = ()
    beside: dict[str, object] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """The fields that this content adds to a message."""
        own = {} if self.body is None else {self.type: self.body}
        return {"type": self.type} | own | self.beside


def _without_none(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def text(body: str) -> Content:
    """A text; up to 4,096 characters."""
    return Content(type="text", body={"body": body})


def image(ref: MediaRef, *, caption: str | None = None) -> Content:
    """A photo."""
    return Content(type="image", body=_without_none(caption=caption) | ref.fields(), media=(ref.media_id,))


def video(ref: MediaRef, *, caption: str | None = None) -> Content:
    """A film."""
    return Content(type="video", body=_without_none(caption=caption) | ref.fields(), media=(ref.media_id,))


def document(ref: MediaRef, *, filename: str, caption: str | None = None) -> Content:
    """A document under the name its sender gave it."""
    named = _without_none(caption=caption, filename=filename)
    return Content(type="document", body=named | ref.fields(), media=(ref.media_id,))


def audio(ref: MediaRef, *, voice: bool = True) -> Content:
    """A voice note, or with `voice` False an audio file. There is no type `voice`."""
    return Content(type="audio", body=ref.fields() | {"voice": voice}, media=(ref.media_id,))


def sticker(ref: MediaRef, *, animated: bool = False) -> Content:
    """A sticker."""
    return Content(type="sticker", body=ref.fields() | {"animated": animated}, media=(ref.media_id,))


def location(
    latitude: float, longitude: float, *, name: str | None = None, address: str | None = None, url: str | None = None
) -> Content:
    """A place, in degrees."""
    named = _without_none(name=name, address=address, url=url)
    return Content(type="location", body={"latitude": latitude, "longitude": longitude} | named)


def contacts(first_name: str, last_name: str, phone: str, *, company: str | None = None) -> Content:
    """A contact card that the customer passes on."""
    name = {"first_name": first_name, "last_name": last_name, "formatted_name": f"{first_name} {last_name}"}
    card: dict[str, object] = {"name": name, "phones": [{"phone": f"+{phone}", "wa_id": phone, "type": "WORK"}]}
    card |= {"org": {"company": company}} if company is not None else {}
    vcard = f"BEGIN:VCARD\nVERSION:3.0\nFN:{first_name} {last_name}\nTEL:+{phone}\nEND:VCARD"
    return Content(type="contacts", body=[card | {"origin": "other", "vcard": vcard}])


def button_reply(reply_id: str, title: str) -> Content:
    """The customer pressed a reply button."""
    reply = {"id": reply_id, "title": title}
    return Content(type="interactive", body={"type": "button_reply", "button_reply": reply})


def list_reply(reply_id: str, title: str, *, description: str | None = None) -> Content:
    """The customer chose from a list."""
    reply = {"id": reply_id, "title": title} | _without_none(description=description)
    return Content(type="interactive", body={"type": "list_reply", "list_reply": reply})


def flow_reply(answers: dict[str, object]) -> Content:
    """The customer filled in a form (a Flow); its answers come as a JSON string, `flow_token` among them or not."""
    reply = {"response_json": json.dumps(answers), "body": "Sent", "name": "flow"}
    return Content(type="interactive", body={"type": "nfm_reply", "nfm_reply": reply})


def interactive_empty() -> Content:
    """An interactive message without its object, as open-source test data has it."""
    return Content(type="interactive")


def button(payload: str, label: str) -> Content:
    """The customer pressed a template's quick-reply button."""
    return Content(type="button", body={"payload": payload, "text": label})


def reaction(message_id: str, emoji: str | None) -> Content:
    """An emoji on a message. Taking it away comes as an empty emoji, or with None as no emoji at all; both are seen."""
    return Content(type="reaction", body={"message_id": message_id} | _without_none(emoji=emoji))


def order(catalog_id: str, products: tuple[tuple[str, int, int], ...], *, note: str = "") -> Content:
    """Products (retailer id, quantity, price in the currency's units) ordered from a catalogue."""
    items = [
        {"product_retailer_id": product, "quantity": quantity, "item_price": price, "currency": "ZAR"}
        for product, quantity, price in products
    ]
    return Content(type="order", body={"catalog_id": catalog_id, "text": note, "product_items": items})


def edit(original_message_id: str, changed: Content) -> Content:
    """The customer changed a message within 15 minutes; numbers shared with the WhatsApp Business app only."""
    message = {"context": {"id": original_message_id}} | changed.fields()
    body = {"original_message_id": original_message_id, "message": message}
    return Content(type="edit", body=body, media=changed.media)


def revoke(original_message_id: str) -> Content:
    """The customer deleted a message for everyone; numbers shared with the WhatsApp Business app only."""
    return Content(type="revoke", body={"original_message_id": original_message_id})


def unsupported(kind: str | None = "poll_creation", *, code: int = 131051) -> Content:
    """A message whose content the provider does not pass on. Code 131060: first contact with a shared number."""
    title = {131051: "Message type unknown", 131060: "This message is currently unavailable"}.get(code, "Unsupported")
    details = {131051: "Message type is currently not supported."}.get(code, title)
    error = {"code": code, "title": title, "message": title, "error_data": {"details": details}}
    return Content(
        type="unsupported",
        beside={"errors": [error]} | ({"unsupported": {"type": kind}} if kind is not None else {}),
    )


def changed_number(*, name: str, old: str, new: str, user_id: str, parent_user_id: str | None = None) -> Content:
    """A customer took a new phone number, and with it a new BSUID."""
    body = {"body": f"User {name} changed from {old} to {new}", "wa_id": new, "user_id": user_id}
    named = _without_none(parent_user_id=parent_user_id) | {"type": "user_changed_number"}
    return Content(type="system", body=body | named)


def changed_user_id(*, name: str, user_id: str, previous_user_id: str) -> Content:
    """A customer's BSUID changed."""
    body = {"body": f"User {name} changed their user id", "user_id": user_id, "previous_user_id": previous_user_id}
    return Content(type="system", body=body | {"type": "user_changed_user_id"})


def identity_changed(*, created_timestamp: int, key_hash: str) -> Content:
    """A customer's identity key changed; only with the identity check switched on."""
    identity = {"acknowledged": True, "created_timestamp": str(created_timestamp), "hash": key_hash}
    return Content(
        type="system",
        body={"body": "The customer's identity may have changed", "type": "customer_identity_changed"},
        beside={"identity": identity},
    )


def referral(*, ad_id: str, headline: str) -> dict[str, object]:
    """The field `referral` of a message that an advertisement led to."""
    return {
        "source_url": f"https://fb.me/{ad_id}",
        "source_id": ad_id,
        "source_type": "ad",
        "headline": headline,
        "body": "Windscreen cover from R 49 a month",
        "media_type": "image",
        "image_url": f"https://scontent.example/{ad_id}.jpg",
        "ctwa_clid": f"clid-{ad_id}",
        "welcome_message": {"text": "How can we help?"},
    }
