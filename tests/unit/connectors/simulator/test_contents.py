"""The shapes are those of the provider's reference pages and of its published webhook examples."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from connectors.simulator.payloads import contents
from connectors.simulator.payloads.contents import Content, MediaRef

DIGEST = sha256(b"photo").digest()
REF = MediaRef(media_id="1003383421387256", mime="image/jpeg", sha256=DIGEST, url="https://x.example/?mid=1")
MEDIA = {
    "mime_type": "image/jpeg",
    "sha256": b64encode(DIGEST).decode(),
    "id": "1003383421387256",
    "url": "https://x.example/?mid=1",
}
UNKNOWN = {
    "code": 131051,
    "title": "Message type unknown",
    "message": "Message type unknown",
    "error_data": {"details": "Message type is currently not supported."},
}

SHAPES: list[tuple[Content, dict[str, Any]]] = [
    (contents.text("hello"), {"type": "text", "text": {"body": "hello"}}),
    (contents.image(REF, caption="Taj"), {"type": "image", "image": {"caption": "Taj"} | MEDIA}),
    (contents.video(REF), {"type": "video", "video": MEDIA}),
    (
        contents.document(REF, filename="a.pdf", caption="c"),
        {"type": "document", "document": {"caption": "c", "filename": "a.pdf"} | MEDIA},
    ),
    (contents.audio(REF), {"type": "audio", "audio": MEDIA | {"voice": True}}),
    (contents.sticker(REF, animated=True), {"type": "sticker", "sticker": MEDIA | {"animated": True}}),
    (
        contents.location(37.4, -122.1, name="Philz", address="101 Forest Ave", url="https://philz.example/"),
        {
            "type": "location",
            "location": {
                "latitude": 37.4,
                "longitude": -122.1,
                "name": "Philz",
                "address": "101 Forest Ave",
                "url": "https://philz.example/",
            },
        },
    ),
    (
        contents.button_reply("cancel-button", "Cancel"),
        {
            "type": "interactive",
            "interactive": {"type": "button_reply", "button_reply": {"id": "cancel-button", "title": "Cancel"}},
        },
    ),
    (
        contents.list_reply("express", "Express", description="Next day"),
        {
            "type": "interactive",
            "interactive": {
                "type": "list_reply",
                "list_reply": {"id": "express", "title": "Express", "description": "Next day"},
            },
        },
    ),
    (contents.interactive_empty(), {"type": "interactive"}),
    (
        contents.button("Stop", "Stop promotions"),
        {"type": "button", "button": {"payload": "Stop", "text": "Stop promotions"}},
    ),
    (contents.reaction("wamid.x", "👍"), {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}),
    (contents.reaction("wamid.x", ""), {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}}),
    (contents.reaction("wamid.x", None), {"type": "reaction", "reaction": {"message_id": "wamid.x"}}),
    (
        contents.order("194836987003835", (("di9ozbzfi4", 2, 30),)),
        {
            "type": "order",
            "order": {
                "catalog_id": "194836987003835",
                "text": "",
                "product_items": [
                    {"product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": 30, "currency": "ZAR"}
                ],
            },
        },
    ),
    (
        contents.edit("wamid.x", contents.text("changed")),
        {
            "type": "edit",
            "edit": {
                "original_message_id": "wamid.x",
                "message": {"context": {"id": "wamid.x"}, "type": "text", "text": {"body": "changed"}},
            },
        },
    ),
    (contents.revoke("wamid.x"), {"type": "revoke", "revoke": {"original_message_id": "wamid.x"}}),
    (
        contents.unsupported("poll_creation"),
        {"type": "unsupported", "errors": [UNKNOWN], "unsupported": {"type": "poll_creation"}},
    ),
    (contents.unsupported(None), {"type": "unsupported", "errors": [UNKNOWN]}),
    (
        contents.changed_number(name="Sheena", old="16505551234", new="12195555358", user_id="US.2"),
        {
            "type": "system",
            "system": {
                "body": "User Sheena changed from 16505551234 to 12195555358",
                "wa_id": "12195555358",
                "user_id": "US.2",
                "type": "user_changed_number",
            },
        },
    ),
    (
        contents.changed_user_id(name="Sheena", user_id="US.2", previous_user_id="US.1"),
        {
            "type": "system",
            "system": {
                "body": "User Sheena changed their user id",
                "user_id": "US.2",
                "previous_user_id": "US.1",
                "type": "user_changed_user_id",
            },
        },
    ),
    (
        contents.identity_changed(created_timestamp=5, key_hash="h"),
        {
            "type": "system",
            "system": {
                "body": "The customer's identity may have changed",
                "type": "customer_identity_changed",
            },
            "identity": {"acknowledged": True, "created_timestamp": "5", "hash": "h"},
        },
    ),
]


@pytest.mark.parametrize(("content", "shape"), SHAPES, ids=[content.type for content, _ in SHAPES])
def test_a_content_has_its_documented_shape(content: Content, shape: dict[str, Any]) -> None:
    assert content.fields() == shape


def test_a_flow_answers_in_a_string_of_json() -> None:
    reply: Any = contents.flow_reply({"claim": "1"}).body

    assert reply["type"] == "nfm_reply"
    assert json.loads(reply["nfm_reply"]["response_json"]) == {"claim": "1"}
    assert (reply["nfm_reply"]["body"], reply["nfm_reply"]["name"]) == ("Sent", "flow")


def test_a_contact_card_has_its_names_phones_and_origin() -> None:
    cards: Any = contents.contacts("Lucía", "Gómez", "27000000199", company="Google").body
    (card,) = cards

    assert card["name"] == {"first_name": "Lucía", "last_name": "Gómez", "formatted_name": "Lucía Gómez"}
    assert card["phones"] == [{"phone": "+27000000199", "wa_id": "27000000199", "type": "WORK"}]
    assert (card["org"], card["origin"]) == ({"company": "Google"}, "other")


def test_code_131060_is_a_first_contact_with_a_shared_number() -> None:
    errors: Any = contents.unsupported(None, code=131060).fields()["errors"]
    (error,) = errors

    assert (error["code"], error["title"]) == (131060, "This message is currently unavailable")


def test_only_what_names_media_counts_as_media() -> None:
    assert contents.image(REF).media == (REF.media_id,)
    assert contents.edit("wamid.x", contents.image(REF)).media == (REF.media_id,)
    assert contents.text("x").media == ()


def test_a_referral_tells_which_advertisement() -> None:
    referral = contents.referral(ad_id="9", headline="Cover")

    assert {
        "source_url",
        "source_id",
        "source_type",
        "headline",
        "body",
        "media_type",
        "image_url",
        "ctwa_clid",
    } <= set(referral)
