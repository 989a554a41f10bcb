"""Webhooks as they arrive, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import Response

from connectors.simulator import AppConfig, DeliveryConfig, Misbehaviour, Play, Simulator, serving
from connectors.simulator.ids import Customer
from connectors.simulator.payloads import contents, events

if TYPE_CHECKING:
    from connectors.simulator import SimulatorConfig
    from tests.unit.connectors.simulator.receiver import Receiver

WRITER = Customer(user_id="ZA.1", phone="270000000042", name="Thandi")


async def send_texts(provider: Simulator, account: str, count: int) -> list[str]:
    compose = provider.composer(account)
    drafts = [compose.message(WRITER, contents.text(f"text {number}")) for number in range(count)]
    for draft in drafts:
        await provider.send(draft)
    return [draft.message_id for draft in drafts]


async def test_a_message_arrives_signed_and_is_true(provider: Simulator, receiver: Receiver, account: str) -> None:
    (message_id,) = await send_texts(provider, account, 1)
    await provider.idle()

    (item,) = receiver.items("messages")
    assert item["id"] == message_id
    assert item["text"] == {"body": "text 0"}
    assert (item["from"], item["from_user_id"]) == (WRITER.phone, WRITER.user_id)
    (row,) = provider.truth()
    assert (row["key"], row["account"], row["delivered"], row["attempts"]) == ([message_id], account, True, 1)


async def test_what_waits_is_batched(provider: Simulator, receiver: Receiver, account: str) -> None:
    sent = await send_texts(provider, account, 100)
    await provider.idle()

    assert sorted(receiver.ids()) == sorted(sent)
    assert len(receiver.bodies) < 100
    assert all(len(json.loads(raw)["entry"][0]["changes"][0]["value"]["messages"]) <= 10 for raw in receiver.bodies)


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 500, 503])
async def test_whatever_is_not_200_is_tried_again(
    provider: Simulator, receiver: Receiver, account: str, status: int
) -> None:
    receiver.answers.extend([Response(status_code=status)] * 3)

    await send_texts(provider, account, 1)
    await provider.idle()

    assert len(receiver.bodies) == 4
    assert len(set(receiver.bodies)) == 1
    (row,) = provider.truth()
    assert (row["attempts"], row["deliveries"]) == (4, 1)
    assert provider.summary()["retries"] == 3


async def test_a_longer_retry_after_is_waited_for(config: SimulatorConfig, receiver: Receiver, account: str) -> None:
    receiver.answers.append(Response(status_code=503, headers={"Retry-After": "20"}))
    loop = asyncio.get_running_loop()

    async with serving(receiver.app) as url, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, url)
        began = loop.time()
        await send_texts(provider, account, 1)
        await provider.idle()

    assert loop.time() - began >= 20 * config.time_scale


async def test_a_callback_that_comes_up_later_gets_everything(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    async with Simulator(config) as provider:
        sent = await send_texts(provider, account, 5)
        async with serving(receiver.app) as url:
            provider.set_callback(config.apps[0].app_id, url)
            await provider.idle()

    assert sorted(receiver.ids()) == sorted(sent)


async def test_after_its_budget_a_message_is_given_up(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    config = replace(config, delivery=replace(config.delivery, retry_budget_seconds=1.0))
    receiver.answers.extend([Response(status_code=500)] * 100)

    async with serving(receiver.app) as url, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, url)
        await send_texts(provider, account, 1)
        await provider.idle()
        (row,) = provider.truth()

    assert (row["delivered"], row["dropped"]) == (False, True)


async def test_without_storage_a_message_given_up_leaves_an_error_without_ids(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    number = replace(config.numbers[0], posture="no_storage")
    delivery = replace(config.delivery, no_storage_retry_budget_seconds=1.0)
    config = replace(config, numbers=(number, config.numbers[1]), delivery=delivery)

    async with Simulator(config) as provider:
        await send_texts(provider, account, 1)
        rows: list[dict[str, object]] = []
        while len(rows) < 2:
            await asyncio.sleep(0.01)
            rows = list(provider.truth())
        async with serving(receiver.app) as url:
            provider.set_callback(config.apps[0].app_id, url)
            await provider.idle()

    assert receiver.items("messages") == []
    assert receiver.items("errors")[0]["code"] == 131035
    assert (rows[1]["kind"], rows[1]["key"]) == ("gap", [])


async def test_a_redelivery_comes_after_its_200_with_the_same_content(
    provider: Simulator, receiver: Receiver, account: str
) -> None:
    draft = provider.composer(account).message(WRITER, contents.text("twice"), redeliveries=2)
    await provider.send(draft)
    await provider.idle()

    assert receiver.ids() == {draft.message_id: 3}
    (row,) = provider.truth()
    assert row["deliveries"] == 3
    assert provider.summary()["items_redelivered"] == 2


async def test_duplicates_come_whole_or_one_by_one(provider: Simulator, receiver: Receiver, account: str) -> None:
    provider.misbehave({"duplicates": 1.0})
    sent = await send_texts(provider, account, 40)
    await provider.idle()

    counted = receiver.ids()
    assert set(counted) == set(sent)
    assert sum(counted.values()) > len(sent)
    assert max(counted.values()) == 2


async def test_out_of_order_items_are_passed_by_later_ones(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    config = replace(
        config,
        delivery=replace(config.delivery, in_flight=1, outstanding=1),
        misbehaviour=Misbehaviour(out_of_order=0.3),
    )
    async with serving(receiver.app) as url, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, url)
        sent = await send_texts(provider, account, 60)
        await provider.idle()

    arrived = [item["id"] for item in receiver.items("messages")]
    assert sorted(arrived) == sorted(sent)
    assert arrived != sent


async def test_in_order_is_how_one_request_at_a_time_delivers(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    config = replace(config, delivery=replace(config.delivery, in_flight=1, outstanding=1))
    async with serving(receiver.app) as url, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, url)
        sent = await send_texts(provider, account, 60)
        await provider.idle()

    assert [item["id"] for item in receiver.items("messages")] == sent


@pytest.mark.parametrize(("name", "array"), [("lost", "errors"), ("unsupported", "messages"), ("variant", "messages")])
async def test_what_strikes_a_message_is_true_too(
    provider: Simulator, receiver: Receiver, account: str, name: str, array: str
) -> None:
    provider.misbehave({name: 1.0})
    (message_id,) = await send_texts(provider, account, 1)
    await provider.idle()

    rows = list(provider.truth())
    got = receiver.items(array)
    if name == "lost":
        assert (got[0]["code"], rows[0]["kind"], rows[0]["note"]) == (131035, "gap", message_id)
        assert "id" not in got[0]
        assert receiver.items("messages") == []
    elif name == "unsupported":
        assert (got[0]["id"], got[0]["type"], got[0]["errors"][0]["code"]) == (message_id, "unsupported", 131051)
    else:
        assert [item["id"] for item in got] == [message_id, message_id]
        assert got[0]["text"] != got[1]["text"]
        assert [row["variant"] for row in rows] == [False, True]
        assert rows[0]["digest"] != rows[1]["digest"]


@pytest.mark.parametrize(("name", "escaped"), [("lone_surrogate", b"\\ud83d"), ("nul", b"\\u0000")])
async def test_texts_that_hurt_arrive_escaped(
    provider: Simulator, receiver: Receiver, account: str, name: str, escaped: bytes
) -> None:
    provider.misbehave({name: 1.0})
    await send_texts(provider, account, 1)
    await provider.idle()

    assert escaped in receiver.accepted[0]


async def test_an_unsubscribed_field_is_silence(config: SimulatorConfig, receiver: Receiver, account: str) -> None:
    app = replace(config.apps[0], fields=("smb_message_echoes",))
    config = replace(config, apps=(app, config.apps[1]))
    async with serving(receiver.app) as url, Simulator(config) as provider:
        provider.set_callback(app.app_id, url)
        receipt = await provider.send(provider.composer(account).message(WRITER, contents.text("x")))
        await provider.idle()
        (row,) = provider.truth()

    assert not receipt.subscribed
    assert receiver.bodies == []
    assert (row["subscribed"], row["delivered"]) == (False, False)


async def test_every_subscribed_app_gets_it_signed_by_its_own_secret(
    config: SimulatorConfig, receiver: Receiver, account: str
) -> None:
    second = AppConfig(app_id="77", secret="another", verify_token="v")
    waba = replace(config.wabas[0], app_ids=(config.apps[0].app_id, "77"))
    config = replace(config, apps=(*config.apps, second), wabas=(waba, config.wabas[1]))
    other = type(receiver)(secret="another", verify_token="v")
    async with serving(receiver.app) as one, serving(other.app) as two, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, one)
        provider.set_callback("77", two)
        sent = await send_texts(provider, account, 3)
        await provider.idle()
        deliveries = {row["deliveries"] for row in provider.truth()}

    assert sorted(receiver.ids()) == sorted(other.ids()) == sorted(sent)
    assert deliveries == {2}


async def test_a_new_secret_signs_from_now_on(
    provider: Simulator, receiver: Receiver, config: SimulatorConfig, account: str
) -> None:
    provider.set_secret(config.apps[0].app_id, "rotated")
    receiver.secret = "rotated"
    await send_texts(provider, account, 1)
    await provider.idle()

    assert provider.summary()["answers"] == {"200": 1}


async def test_nothing_piles_up_while_nobody_answers(config: SimulatorConfig, account: str) -> None:
    delivery = DeliveryConfig(queue_limit=5, outstanding=2, batch_limit=1)
    async with Simulator(replace(config, delivery=delivery)) as provider:
        sending = asyncio.create_task(send_texts(provider, account, 100))
        while provider.pending < 8:  # noqa: ASYNC110 - there is no event for this
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert provider.pending == 8  # two bodies under way, five queued, one being handed over
        sending.cancel()


async def test_every_field_and_shape_is_delivered(provider: Simulator, receiver: Receiver, account: str) -> None:
    compose = provider.composer(account)
    now = compose.now()
    past = {**compose.message_item(WRITER, contents.text("old")), "history_context": {"status": "READ"}}
    held = compose.message_item(WRITER, contents.text("to the machine"))
    metadata: dict[str, object] = {
        "display_phone_number": compose.number.display_phone_number,
        "phone_number_id": account,
    }
    ring = events.call("wacid.1", WRITER, business="27", event="connect", timestamp=now)
    group = events.group_event("group_settings_update", "g", request_id="R", timestamp=now)
    chunk = events.history_chunk({"270000000042": [past]}, phase=0, chunk_order=1, progress=100)
    for draft in (
        compose.event("calls", ring, array="calls", key=("wacid.1", "connect"), contacts=(WRITER,)),
        compose.event("group_settings_update", group, array="groups"),
        compose.history(chunk, (past,)),
        compose.whole("standby", events.standby(metadata=metadata, contact=WRITER.contact(), message=held), (held,)),
        compose.event(
            "messaging_handovers",
            events.handover(WRITER, phone_number_id=account, display_phone_number="27", timestamp=now),
        ),
        compose.event(
            "user_preferences",
            events.user_preference(WRITER, value="stop", timestamp=now),
            array="user_preferences",
            contacts=(WRITER,),
        ),
        compose.account_event("account_update"),
        compose.account_event("message_template_status_update"),
        compose.echo(WRITER, contents.text("from the app")),
    ):
        await provider.send(draft)
    await provider.idle()

    assert [field for field, _ in receiver.values()] == [
        "calls",
        "group_settings_update",
        "history",
        "standby",
        "messaging_handovers",
        "user_preferences",
        "account_update",
        "message_template_status_update",
        "smb_message_echoes",
    ]
    rows = {row["field"]: row for row in provider.truth()}
    assert rows["history"]["key"] == [past["id"]]
    assert rows["standby"]["key"] == [held["id"]]
    assert (rows["calls"]["kind"], rows["calls"]["key"]) == ("event", ["wacid.1", "connect"])
    assert rows["smb_message_echoes"]["direction"] == "echo"


async def test_an_event_is_sent_with_the_time_that_the_truth_has_of_it(
    provider: Simulator, receiver: Receiver, account: str
) -> None:
    # Otherwise two events of two seconds may be one and the same body, and then one record.
    draft = provider.composer(account).account_event("account_update")
    (entry,) = draft.entries
    await provider.send(replace(draft, entries=(replace(entry, timestamp=entry.timestamp - 1),)))
    await provider.idle()

    (row,) = provider.truth()
    assert json.loads(receiver.bodies[0])["entry"][0]["time"] == row["timestamp"]


async def test_a_play_is_delivered_whole_to_both_companies(config: SimulatorConfig, receiver: Receiver) -> None:
    other = type(receiver)(secret=config.apps[1].secret, verify_token="")
    async with serving(receiver.app) as one, serving(other.app) as two, Simulator(config) as provider:
        provider.set_callback(config.apps[0].app_id, one)
        provider.set_callback(config.apps[1].app_id, two)
        assert await provider.play(Play(messages=200)) == 200
        await provider.idle()
        rows = list(provider.truth())
        summary = provider.summary()

    assert all(row["delivered"] for row in rows)
    wamids = {str(row["key"][0]) for row in rows if row["kind"] == "message"}  # type: ignore[index]
    arrived = {*receiver.ids(), *receiver.ids("message_echoes"), *other.ids(), *other.ids("message_echoes")}
    assert wamids <= arrived
    assert (summary["inbound"], summary["pending"], summary["delivered"]) == (200, 0, len(rows))
    assert summary["items_redelivered"] == 21  # three in each of seven tellings, the last cut short


async def test_two_runs_with_one_seed_send_the_same(config: SimulatorConfig, receiver: Receiver) -> None:
    async def sent() -> set[tuple[str, str]]:
        async with serving(receiver.app) as url, Simulator(config) as provider:
            for app in config.apps:
                provider.set_callback(app.app_id, url)
                provider.set_secret(app.app_id, receiver.secret)
            provider.world.clock = lambda: 1_800_000_000.0  # what the clock says is in the ids of some events
            await provider.play(Play(messages=40))
            await provider.idle()
            keyed = [(str(row["type"]), row["key"]) for row in provider.truth() if row["kind"] != "status"]
            return {(kind, str(key)) for kind, key in keyed}

    assert await sent() == await sent()


async def test_through_every_misbehaviour_and_refusal_everything_arrives(
    config: SimulatorConfig, receiver: Receiver
) -> None:
    often = ("duplicates", "out_of_order", "statuses_before_messages", "lost", "unsupported", "variant", "nul")
    receiver.answers.extend(Response(status_code=503 if number % 3 else 200) for number in range(60))
    async with serving(receiver.app) as url, Simulator(config) as provider:
        for app in config.apps:
            provider.set_secret(app.app_id, receiver.secret)
            provider.set_callback(app.app_id, url)
        provider.misbehave(dict.fromkeys(often, 0.2))
        await provider.play(Play(messages=150))
        await provider.idle()
        rows, summary = list(provider.truth()), provider.summary()

    assert all(row["delivered"] for row in rows)
    assert summary["retries"] == 40
    struck: Any = summary["struck"]
    assert set(struck) == set(often)
    arrived = receiver.ids() + receiver.ids("message_echoes")
    counted: Counter[str] = Counter()
    for row in rows:
        if row["kind"] not in {"status", "event", "gap"}:
            key: Any = row["key"]
            counted[key[0]] += int(str(row["deliveries"]))
    assert arrived == counted
    assert len(receiver.items("errors")) == sum(int(str(row["deliveries"])) for row in rows if row["kind"] == "gap")


async def test_what_fails_in_the_background_is_told_to_whoever_waits(provider: Simulator) -> None:
    provider.start(Play())
    provider.world.apps.clear()

    with pytest.raises(KeyError):
        await provider.idle()
