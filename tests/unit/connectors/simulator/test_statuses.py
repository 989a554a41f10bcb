from __future__ import annotations

from dataclasses import replace

from connectors.simulator import Customer
from connectors.simulator.payloads.statuses import PAYLOAD_NOT_FOUND, Sent, native_key, status

CUSTOMER = Customer(user_id="ZA.1", phone="270000000042", username="@x", parent_user_id="ZA.ENT.9")
SENT = Sent(message_id="wamid.x", to=CUSTOMER, tag="tag-1")
PRICING = {"billable": False, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}


def test_sent_names_the_recipient_the_price_and_the_tag() -> None:
    assert status(SENT, "sent", timestamp=5) == {
        "id": "wamid.x",
        "status": "sent",
        "timestamp": "5",
        "recipient_id": "270000000042",
        "recipient_user_id": "ZA.1",
        "recipient_parent_user_id": "ZA.ENT.9",
        "biz_opaque_callback_data": "tag-1",
        "pricing": PRICING,
    }


def test_only_sent_and_delivered_carry_a_price() -> None:
    priced = [name for name in ("sent", "delivered", "read", "played") if "pricing" in status(SENT, name, timestamp=5)]

    assert priced == ["sent", "delivered"]


def test_a_recipient_without_phone_is_named_by_bsuid_only() -> None:
    item = status(replace(SENT, to=Customer(user_id="ZA.2")), "read", timestamp=5)

    assert "recipient_id" not in item
    assert item["recipient_user_id"] == "ZA.2"


def test_failed_to_a_phone_number_names_no_bsuid_and_tells_why() -> None:
    item = status(SENT, "failed", timestamp=5, failure=PAYLOAD_NOT_FOUND)

    assert "recipient_user_id" not in item
    assert item["errors"] == [
        {
            "code": 131036,
            "title": "Message failed to be delivered on at least one of the user's device",
            "message": "Message failed to be delivered on at least one of the user's device",
            "error_data": {"details": "Message payload not found"},
            "href": "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes",
        }
    ]


def test_in_a_group_the_status_is_a_participants() -> None:
    item = status(replace(SENT, group_id="group-1"), "delivered", timestamp=5)

    assert (item["recipient_id"], item["recipient_type"]) == ("group-1", "group")
    assert (item["recipient_participant_id"], item["recipient_participant_user_id"]) == ("270000000042", "ZA.1")


def test_a_free_entry_point_brings_a_conversation() -> None:
    item = status(replace(SENT, conversation_id="c1"), "sent", timestamp=5)

    assert item["conversation"] == {"id": "c1", "origin": {"type": "referral_conversion"}}


def test_a_native_key_holds_id_participant_status_time_and_code() -> None:
    plain = status(SENT, "sent", timestamp=5)
    failed = status(SENT, "failed", timestamp=6, failure=PAYLOAD_NOT_FOUND)
    in_group = status(replace(SENT, group_id="g"), "read", timestamp=7)

    assert native_key(plain) == ("wamid.x", "", "sent", "5", "")
    assert native_key(failed) == ("wamid.x", "", "failed", "6", "131036")
    assert native_key(in_group) == ("wamid.x", "ZA.1", "read", "7", "")
