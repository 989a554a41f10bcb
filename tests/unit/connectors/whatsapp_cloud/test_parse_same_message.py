"""One message, however it comes, is one record; what counts in it tells a duplicate from a variant."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from broker.core.model import Direction, Kind
from tests.unit.connectors.whatsapp_cloud.parse_samples import all_items, compact, reported

if TYPE_CHECKING:
    from broker.core.item import Item

BUSINESS, CUSTOMER, WAMID = "27605550100", "27605550102", "wamid.SAME"
METADATA = {"display_phone_number": BUSINESS, "phone_number_id": "305500000000021"}
URL = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1"
BODIES: dict[str, dict[str, Any]] = {
    "text": {"text": {"body": "Is hail covered?"}, "context": {"from": BUSINESS, "id": "wamid.EARLIER"}},
    "image": {"image": {"id": "1001", "mime_type": "image/jpeg", "sha256": "c2hh", "caption": "Hail"}},
    "reaction": {"reaction": {"message_id": "wamid.EARLIER", "emoji": "👍"}},
    "edit": {"edit": {"original_message_id": "wamid.EARLIER", "message": {"type": "text", "text": {"body": "Hail?"}}}},
    "revoke": {"revoke": {"original_message_id": "wamid.EARLIER"}},
}
each_type = pytest.mark.parametrize("type_", BODIES)


def message(type_: str, **fields: object) -> dict[str, Any]:
    return {"id": WAMID, "timestamp": "1785225600", "type": type_, **copy.deepcopy(BODIES[type_]), **fields}


def webhook(field: str, **members: object) -> bytes:
    value = {"messaging_product": "whatsapp", "metadata": METADATA, **members}
    return compact({"entry": [{"id": "204500000000011", "changes": [{"field": field, "value": value}]}]})


def only(data: bytes, kind: Kind | None = None) -> Item:
    (item,) = [item for item in reported(all_items(data)) if kind is None or item.kind == kind]
    return item


def live(one: dict[str, Any]) -> Item:
    return only(webhook("messages", contacts=[{"profile": {"name": "Pieter"}, "wa_id": CUSTOMER}], messages=[one]))


def echoed(one: dict[str, Any]) -> Item:
    return only(webhook("smb_message_echoes", message_echoes=[one]))


def in_history(one: dict[str, Any]) -> Item:
    threads = [{"id": CUSTOMER, "messages": [{**one, "history_context": {"status": "READ"}}]}]
    return only(webhook("history", history=[{"threads": threads}]))


def held_back(one: dict[str, Any]) -> Item:
    return only(webhook("standby", standby={"messages": [one]}))


def agent_echo(one: dict[str, Any]) -> Item:
    return only(webhook("standby", standby={"message_echoes": [one]}))


def wrapped_echo(one: dict[str, Any]) -> Item:
    inner = {name: value for name, value in one.items() if name != "id"}
    return only(webhook("standby", standby={"message_echoes": [{"id": one["id"], "message": inner}]}))


def assert_same(items: list[Item]) -> None:
    assert {(item.kind, item.native_key) for item in items} == {(items[0].kind, (WAMID,))}
    assert {item.counted for item in items} == {items[0].counted}
    assert {item.thread for item in items} == {items[0].thread}
    assert {item.direction for item in items} == {items[0].direction}
    assert {item.relations for item in items} == {items[0].relations}


@each_type
def test_what_a_customer_says_is_the_same_live_in_history_and_on_standby(type_: str) -> None:
    items = [
        live(message(type_, **{"from": CUSTOMER})),
        in_history(message(type_, **{"from": CUSTOMER})),
        in_history(message(type_)),
        held_back(message(type_, **{"from": f"+{CUSTOMER}"})),
    ]
    assert items[0].direction == Direction.IN
    assert_same(items)


@each_type
def test_what_the_business_says_is_the_same_as_echo_in_history_and_from_the_agent(type_: str) -> None:
    said = message(type_, **{"from": BUSINESS, "to": CUSTOMER})
    items = [echoed(said), in_history(said), agent_echo(said), wrapped_echo(said)]
    assert items[0].direction == Direction.ECHO
    assert_same(items)


def test_names_urls_and_how_people_are_named_do_not_count() -> None:
    plain = message("image", **{"from": CUSTOMER})
    dressed = message("image", from_user_id="ZA.1", from_parent_user_id="ZA.ENT.1", timestamp=1785225600)
    dressed["image"]["url"] = URL
    one = live(plain)
    other = only(
        webhook(
            "messages",
            contacts=[{"profile": {"name": "P. van Wyk", "username": "@p"}, "user_id": "ZA.1"}],
            messages=[dressed],
        )
    )
    assert one.counted == other.counted
    assert (one.kind, one.native_key) == (other.kind, other.native_key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("text", "body"), "Is wind covered?"),
        (("text", "body"), "Is hail covered?\u0000"),
        (("context", "id"), "wamid.ANOTHER"),
        (("timestamp",), "1785225601"),
        (("group_id",), "Z3JvdXA="),
        (("something_new",), 1),
    ],
)
def test_what_is_said_counts(path: tuple[str, ...], value: object) -> None:
    changed = message("text", **{"from": CUSTOMER})
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert live(changed).counted != live(message("text", **{"from": CUSTOMER})).counted


@pytest.mark.parametrize("name", ["id", "sha256", "caption", "mime_type"])
def test_a_medium_counts_with_its_id_so_that_no_object_to_erase_is_missed(name: str) -> None:
    changed = message("image", **{"from": CUSTOMER})
    changed["image"][name] = "another"
    assert live(changed).counted != live(message("image", **{"from": CUSTOMER})).counted


def test_the_address_of_a_place_counts() -> None:
    places = [{"latitude": -33.9, "longitude": 18.4, "url": f"https://example/{one}"} for one in "ab"]
    first, second = (live({**message("text"), "type": "location", "location": place}) for place in places)
    assert first.counted != second.counted


def test_the_kind_follows_from_the_type_alone() -> None:
    for type_, kind in (("reaction", Kind.REACTION), ("edit", Kind.EDIT), ("revoke", Kind.REVOCATION)):
        for body in ({}, {type_: None}, {type_: "odd"}, {type_: {"new": 1}}):
            assert live({"id": WAMID, "type": type_, **body}).kind == kind
    assert live({"id": WAMID, "type": "unsupported", "unsupported": {"type": "edit"}}).kind == Kind.MESSAGE


def test_without_the_number_of_the_account_what_has_a_recipient_is_the_business_speaking() -> None:
    value = {"metadata": {"phone_number_id": "3"}, "message_echoes": [], "messages": [message("text", **{"from": "1"})]}
    assert only(webhook("messages", **value)).direction == Direction.IN
    value["messages"] = [message("text", **{"from": BUSINESS, "to": CUSTOMER})]
    item = only(webhook("history", **value))
    assert (item.direction, item.thread) == (Direction.ECHO, ("phone", CUSTOMER))


def status(**fields: object) -> Item:
    one = {"id": WAMID, "status": "delivered", "timestamp": "1785225600", "recipient_id": CUSTOMER, **fields}
    return only(webhook("messages", statuses=[one]), Kind.STATUS)


def test_a_status_is_named_by_message_participant_status_time_and_error() -> None:
    assert status().native_key == (WAMID, "", "delivered", "1785225600", "")
    failed = status(status="failed", errors=[{"code": 131026}, {"code": 1}], recipient_participant_id="27605550104")
    assert failed.native_key == (WAMID, "27605550104", "failed", "1785225600", "131026")
    by_user_id = status(recipient_participant_id="27605550104", recipient_participant_user_id="ZA.4")
    assert by_user_id.native_key[1] == "ZA.4"


def test_a_status_of_another_api_version_is_no_variant() -> None:
    older = status(conversation={"id": "c1"}, recipient_user_id="ZA.1")
    assert (older.native_key, older.counted) == (status().native_key, status().counted)


def test_an_event_without_an_id_is_the_same_when_its_body_comes_again_and_another_at_another_time() -> None:
    def updated(time: int) -> Item:
        change = {"field": "account_update", "value": {"event": "ACCOUNT_RECONNECTED"}}
        return only(compact({"entry": [{"id": "204500000000011", "time": time, "changes": [change]}]}))

    assert updated(1785225600).native_key == updated(1785225600).native_key
    assert updated(1785225600).native_key != updated(1785225601).native_key


def test_a_gap_without_an_id_has_no_key_so_that_every_delivery_counts() -> None:
    assert only(webhook("messages", errors=[{"code": 131035}])).native_key == ()
