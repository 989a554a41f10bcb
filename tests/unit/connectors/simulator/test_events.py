"""The shapes are those of the provider's reference pages and of its published webhook examples."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.simulator import ALL_FIELDS, Customer
from connectors.simulator.payloads import contents, events

CUSTOMER = Customer(user_id="ZA.1", name="Thandi Mokoena", phone="270000000042")
METADATA: dict[str, object] = {"display_phone_number": "27000000001", "phone_number_id": "106"}


def test_a_call_connects_with_a_session_and_ends_with_a_duration() -> None:
    ringing = events.call("wacid.1", CUSTOMER, business="27000000001", event="connect", timestamp=100)
    ended = events.call("wacid.1", CUSTOMER, business="27000000001", event="terminate", timestamp=142)

    assert (ringing["id"], ringing["from"], ringing["event"]) == ("wacid.1", "270000000042", "connect")
    assert set(ringing["session"]) == {"sdp_type", "sdp"}  # type: ignore[call-overload]
    assert (ended["status"], ended["duration"], ended["timestamp"]) == ("COMPLETED", 42, "142")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("group_lifecycle_update", "group_create"),
        ("group_participants_update", "group_create"),
        ("group_settings_update", "group_settings_update"),
        ("group_status_update", "group_suspend"),
    ],
)
def test_a_group_event_names_group_and_request(field: events.GroupField, kind: str) -> None:
    item = events.group_event(field, "g1", request_id="R", timestamp=5, participants=(CUSTOMER,))

    assert (item["group_id"], item["request_id"], item["timestamp"], item["type"]) == ("g1", "R", "5", kind)


def test_a_chunk_of_history_lists_threads() -> None:
    chunk = events.history_chunk({"27": [{"id": "wamid.1"}]}, phase=1, chunk_order=2, progress=55)

    assert chunk == {
        "metadata": {"phase": 1, "chunk_order": 2, "progress": 55},
        "threads": [{"id": "27", "messages": [{"id": "wamid.1"}]}],
    }
    assert events.history_declined()["errors"][0]["code"] == 2593109  # type: ignore[index]


def test_a_preference_has_an_integer_for_its_time() -> None:
    assert events.user_preference(CUSTOMER, value="stop", timestamp=5)["timestamp"] == 5


def test_a_user_id_update_tells_both_ids() -> None:
    assert events.user_id_update(CUSTOMER, previous="ZA.0", timestamp=5)["user_id"] == {
        "previous": "ZA.0",
        "current": "ZA.1",
    }


def test_an_address_book_entry_tells_its_action() -> None:
    assert events.state_sync(CUSTOMER, action="remove", timestamp=5) == {
        "type": "contact",
        "contact": {"full_name": "Thandi Mokoena", "first_name": "Thandi", "phone_number": "270000000042"},
        "action": "remove",
        "metadata": {"timestamp": "5"},
    }


def test_standby_holds_messages_one_level_deeper() -> None:
    value: Any = events.standby(metadata=METADATA, contact=CUSTOMER.contact(), message={"id": "wamid.1"})
    answered: Any = events.standby_echo(metadata=METADATA, message_id="wamid.2", to="27", content=contents.text("x"))

    assert value["metadata"] == METADATA
    assert value["standby"]["messages"] == [{"id": "wamid.1"}]
    assert answered["standby"]["message_echoes"] == [
        {"id": "wamid.2", "message": {"to": "27", "type": "text", "text": {"body": "x"}}}
    ]


def test_a_handover_names_the_number_as_its_recipient() -> None:
    value: Any = events.handover(CUSTOMER, phone_number_id="106", display_phone_number="27000000001", timestamp=5)

    assert "metadata" not in value
    assert value["recipient"]["phone_number_id"] == "106"
    assert value["sender"]["phone_number"] == "270000000042"
    assert set(value["control_passed"]) == {
        "previous_owner_app_role",
        "previous_owner_role",
        "new_owner_role",
        "metadata",
    }


NOT_ABOUT_THE_ACCOUNT = {
    "calls",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "messages",
    "messaging_handovers",
    "smb_app_state_sync",
    "smb_message_echoes",
    "standby",
    "user_id_update",
    "user_preferences",
}


@pytest.mark.parametrize("field", sorted(set(ALL_FIELDS) - NOT_ABOUT_THE_ACCOUNT))
def test_every_other_field_has_a_sample_without_metadata(field: str) -> None:
    value = events.account_event(field, display_phone_number="27000000001", phone_number_id="106")

    assert value
    assert "metadata" not in value
