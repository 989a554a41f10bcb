"""Sending over the Graph API, and the statuses that follow, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connectors.simulator.ids import user_id_of

if TYPE_CHECKING:
    import aiohttp

    from connectors.simulator import Simulator
    from tests.unit.connectors.simulator.receiver import Receiver

TEXT = {"messaging_product": "whatsapp", "to": "270000000042", "type": "text", "text": {"body": "hello"}}


async def send(graph: aiohttp.ClientSession, account: str, body: dict[str, Any]) -> dict[str, Any]:
    async with graph.post(f"{account}/messages", json=body) as answer:
        sent: dict[str, Any] = await answer.json()
        assert answer.status == 200, sent
        return sent


async def test_a_text_is_accepted_then_sent_delivered_and_read(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    sent = await send(graph, account, TEXT | {"biz_opaque_callback_data": "tag-1"})
    await provider.idle()

    message_id = sent["messages"][0]["id"]
    assert sent["contacts"] == [
        {"input": "270000000042", "wa_id": "270000000042", "user_id": user_id_of("270000000042")}
    ]
    statuses = receiver.items("statuses")
    assert {item["status"] for item in statuses} == {"sent", "delivered", "read"}
    assert {(item["id"], item["biz_opaque_callback_data"]) for item in statuses} == {(message_id, "tag-1")}
    (held,) = provider.held()
    assert (held["id"], held["direction"], held["delivered"]) == (message_id, "out", False)


async def test_a_voice_note_is_played(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = provider.composer(account).media("audio/ogg; codecs=opus")
    audio = {"type": "audio", "audio": {"id": ref.media_id, "voice": True}}
    await send(graph, account, TEXT | audio)
    await provider.idle()

    assert {item["status"] for item in receiver.items("statuses")} == {"sent", "delivered", "read", "played"}


async def test_a_bsuid_is_named_without_a_phone(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    body = {"messaging_product": "whatsapp", "recipient": "ZA.9", "text": {"body": "x"}}
    sent = await send(graph, account, body)
    await provider.idle()

    assert sent["contacts"] == [{"input": "ZA.9", "user_id": "ZA.9"}]
    assert all("recipient_id" not in item for item in receiver.items("statuses"))


async def test_in_a_group_each_participant_has_statuses(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    sent = await send(graph, account, TEXT | {"recipient_type": "group", "to": "Z3JvdXA"})
    await provider.idle()

    assert sent["messages"][0]["group_id"] == "Z3JvdXA"
    statuses = receiver.items("statuses")
    assert len(statuses) == 6
    assert len({item["recipient_participant_user_id"] for item in statuses}) == 2
    assert {item["recipient_id"] for item in statuses} == {"Z3JvdXA"}


async def test_an_undeliverable_message_fails_with_131036(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    provider.misbehave({"undeliverable": 1.0})
    await send(graph, account, TEXT)
    await provider.idle()

    by_status = {item["status"]: item for item in receiver.items("statuses")}
    assert set(by_status) == {"sent", "failed"}
    assert by_status["failed"]["errors"][0]["code"] == 131036
    keys = [row["key"] for row in provider.truth() if row["kind"] == "status"]
    assert "131036" in {str(key[-1]) for key in keys}  # type: ignore[index]


async def test_a_status_may_come_before_the_answer(
    provider: Simulator, receiver: Receiver, graph: aiohttp.ClientSession, account: str
) -> None:
    provider.misbehave({"statuses_before_messages": 1.0})
    sent = await send(graph, account, TEXT)

    assert receiver.items("statuses")[0]["id"] == sent["messages"][0]["id"]


async def test_a_read_receipt_is_no_message(provider: Simulator, graph: aiohttp.ClientSession, account: str) -> None:
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}

    assert await send(graph, account, body) == {"success": True}
    assert list(provider.truth()) == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}"])
async def test_a_body_that_is_no_message_is_refused(graph: aiohttp.ClientSession, account: str, raw: bytes) -> None:
    async with graph.post(f"{account}/messages", data=raw) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, 100)


async def test_media_that_are_not_there_cannot_be_sent(graph: aiohttp.ClientSession, account: str) -> None:
    body = TEXT | {"type": "image", "image": {"id": "12345"}}
    async with graph.post(f"{account}/messages", json=body) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, 131009)
