from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from connectors.simulator.payloads.envelope import Parcel, body, encode

PARCEL = Parcel(
    number=1,
    app_id="app",
    waba_id="waba-1",
    account="number-1",
    display_phone_number="27000000001",
    field="messages",
    array="messages",
    raw=b'{"id":"a"}',
    contacts=(b'{"user_id":"ZA.1"}',),
    time=5,
)


def test_a_body_has_the_documented_envelope() -> None:
    assert json.loads(body([PARCEL])) == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "waba-1",
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"display_phone_number": "27000000001", "phone_number_id": "number-1"},
                            "contacts": [{"user_id": "ZA.1"}],
                            "messages": [{"id": "a"}],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }


def test_neighbours_of_one_number_share_a_value_and_a_contact() -> None:
    other = replace(PARCEL, raw=b'{"id":"b"}')

    value = json.loads(body([PARCEL, other]))["entry"][0]["changes"][0]["value"]

    assert [item["id"] for item in value["messages"]] == ["a", "b"]
    assert len(value["contacts"]) == 1


def test_a_value_holds_one_number_and_one_list_only() -> None:
    parcels = [
        PARCEL,
        replace(PARCEL, array="statuses", raw=b'{"id":"s"}', contacts=()),
        replace(PARCEL, account="number-2"),
        replace(PARCEL, field="smb_message_echoes", array="message_echoes"),
    ]

    changes = json.loads(body(parcels))["entry"][0]["changes"]

    assert [(c["field"], c["value"]["metadata"]["phone_number_id"]) for c in changes] == [
        ("messages", "number-1"),
        ("messages", "number-1"),
        ("messages", "number-2"),
        ("smb_message_echoes", "number-1"),
    ]
    assert "messages" not in changes[1]["value"]


def test_a_whole_value_stands_by_itself_with_the_time() -> None:
    event = replace(PARCEL, field="account_update", array=None, raw=b'{"event":"X"}', contacts=())

    entry = json.loads(body([event]))["entry"][0]

    assert entry == {"id": "waba-1", "time": 5, "changes": [{"value": {"event": "X"}, "field": "account_update"}]}


def test_each_waba_has_an_entry() -> None:
    entries = json.loads(body([PARCEL, replace(PARCEL, waba_id="waba-2")]))["entry"]

    assert [entry["id"] for entry in entries] == ["waba-1", "waba-2"]


@given(
    parcels=st.lists(
        st.builds(
            replace,
            st.just(PARCEL),
            waba_id=st.sampled_from(["waba-1", "waba-2"]),
            account=st.sampled_from(["number-1", "number-2"]),
            array=st.sampled_from(["messages", "statuses", None]),
            raw=st.integers().map(lambda number: json.dumps({"id": number}).encode()),
        ),
        min_size=1,
    )
)
def test_every_item_arrives_once_and_in_order(parcels: list[Parcel]) -> None:
    sent = [json.loads(parcel.raw)["id"] for parcel in parcels]

    got: list[int] = []
    for entry in json.loads(body(parcels))["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            items = value.get("messages") or value.get("statuses") or [value]
            got.extend(item["id"] for item in items)

    assert got == sent


def test_an_unpaired_surrogate_and_a_nul_are_escaped() -> None:
    assert encode({"body": "a\ud83d\x00"}) == b'{"body":"a\\ud83d\\u0000"}'
