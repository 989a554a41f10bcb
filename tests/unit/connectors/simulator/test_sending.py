from __future__ import annotations

from typing import Any

import pytest

from connectors.simulator.graph_errors import GraphError
from connectors.simulator.sending import Outbound, Receiving, read

BASE = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+27 (000) 000-0042"}
INTERACTIVE = ("button", "list", "product", "product_list", "catalog_message", "flow", "cta_url", "contact_request")

ACCEPTED: list[dict[str, Any]] = [
    {"text": {"body": "no type means text"}},
    {"type": "text", "text": {"body": "hello", "preview_url": True}},
    *({"type": kind, kind: {"id": "123"}} for kind in ("image", "audio", "video", "document", "sticker")),
    *({"type": kind, kind: {"link": "https://x.example/f"}} for kind in ("image", "audio", "video", "document")),
    {"type": "audio", "audio": {"id": "123", "voice": True}},
    {"type": "document", "document": {"id": "123", "filename": "a.pdf", "caption": "c"}},
    {"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]},
    {"type": "location", "location": {"latitude": 0, "longitude": 0, "name": "Null Island"}},
    {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
    *({"type": "interactive", "interactive": {"type": kind, "action": {"name": kind}}} for kind in INTERACTIVE),
    {"type": "template", "template": {"name": "claim_received", "language": {"code": "en"}}},
    {"type": "text", "text": {"body": "reply"}, "context": {"message_id": "wamid.y"}},
]


@pytest.mark.parametrize("message", ACCEPTED)
def test_every_documented_message_is_accepted(message: dict[str, Any]) -> None:
    assert isinstance(read(BASE | message), Outbound)


def test_a_phone_number_is_reduced_to_its_digits() -> None:
    asked = read(BASE | {"text": {"body": "x"}, "biz_opaque_callback_data": "tag"})

    assert isinstance(asked, Outbound)
    assert (asked.kind, asked.recipient, asked.given, asked.tag) == (
        "phone",
        "270000000042",
        "+27 (000) 000-0042",
        "tag",
    )


def test_a_phone_number_wins_over_a_bsuid() -> None:
    asked = read(BASE | {"recipient": "ZA.1", "text": {"body": "x"}})

    assert isinstance(asked, Outbound)
    assert asked.kind == "phone"


def test_a_bsuid_and_a_group_are_recipients_too() -> None:
    to_bsuid = read({"messaging_product": "whatsapp", "recipient": "ZA.1", "text": {"body": "x"}})
    to_group = read(BASE | {"recipient_type": "group", "to": "Y2FwaV9ncm91cDo", "text": {"body": "x"}})

    assert isinstance(to_bsuid, Outbound)
    assert isinstance(to_group, Outbound)
    assert (to_bsuid.kind, to_group.kind) == ("bsuid", "group")


def test_a_read_receipt_with_typing_is_no_message() -> None:
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}

    assert read(body | {"typing_indicator": {"type": "text"}}) == Receiving(message_id="wamid.x")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"messaging_product": "sms", "text": {"body": "x"}}, 100),
        ({"to": "", "text": {"body": "x"}}, 131008),
        ({"to": "nobody", "text": {"body": "x"}}, 131009),
        ({"type": "hologram", "hologram": {}}, 131009),
        ({"type": "text"}, 131008),
        ({"type": "text", "text": {}}, 131008),
        ({"type": "image", "image": {}}, 131008),
        ({"type": "contacts", "contacts": []}, 131008),
        ({"type": "reaction", "reaction": {"emoji": "x"}}, 131008),
        ({"status": "read"}, 131008),
        ({"text": {"body": "x"}, "biz_opaque_callback_data": "x" * 513}, 131009),
    ],
)
def test_what_is_wrong_is_told_by_its_code(message: dict[str, Any], code: int) -> None:
    with pytest.raises(GraphError) as refused:
        read(BASE | message)
    assert refused.value.code == code


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_what_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(GraphError):
        read(body)
