"""The control calls, over real HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from connectors.simulator import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connectors.simulator import Simulator, SimulatorConfig
    from tests.unit.connectors.simulator.receiver import Receiver


@pytest.fixture
async def control(provider: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {provider.control_token}"}
    async with aiohttp.ClientSession(f"{provider.base_url}/simulator/", headers=headers) as session:
        yield session


async def lines(session: aiohttp.ClientSession, path: str, **query: str) -> list[dict[str, Any]]:
    async with session.get(path, params=query) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/x-ndjson")
        return [json.loads(line) async for line in answer.content]


async def post(session: aiohttp.ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with session.post(path, json=body) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("path", ["truth", "held", "summary", "idle", "media", "deletes", "downloads"])
async def test_without_the_control_token_nothing_is_told(
    provider: Simulator, config: SimulatorConfig, path: str
) -> None:
    for token in ("", "nonsense", config.numbers[0].access_token):
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            assert (await session.get(f"{provider.base_url}/simulator/{path}")).status == 401


async def test_a_play_is_started_watched_and_read(
    provider: Simulator, config: SimulatorConfig, receiver: Receiver, control: aiohttp.ClientSession
) -> None:
    provider.set_secret(config.apps[1].app_id, receiver.secret)
    async with serving(receiver.app) as url:
        provider.set_callback(config.apps[1].app_id, url)
        assert await post(control, "play", {"scenario": "insurance", "messages": 62, "seed": 3}) == (
            202,
            {"playing": True, "run": 1},
        )
        async with control.get("idle", params={"wait_seconds": "20"}) as answer:
            assert await answer.json() == {"idle": True, "pending": 0}
    async with control.get("summary") as answer:
        summary = await answer.json()

    truth = await lines(control, "truth")
    assert (summary["inbound"], summary["pending"]) == (62, 0)
    assert summary["sent"] == summary["delivered"] == len(truth)
    assert len(await lines(control, "truth", kind="gap", delivered="true")) == 2
    held = await lines(control, "held", object="media")
    assert len(held) == summary["held_media"]
    assert len(await lines(control, "media")) == summary["media"] > len(held)
    assert await lines(control, "deletes") == await lines(control, "downloads") == []


async def test_idle_tells_what_is_pending(config: SimulatorConfig, control: aiohttp.ClientSession) -> None:
    await post(control, "inbound", {"account": config.numbers[1].phone_number_id, "text": "nobody listens"})
    async with control.get("idle") as answer:
        assert await answer.json() == {"idle": False, "pending": 1}


async def test_misbehaviour_is_changed_and_reset(control: aiohttp.ClientSession) -> None:
    _, changed = await post(control, "misbehave", {"lost": 0.5, "slow_seconds": 1})
    _, more = await post(control, "misbehave", {"slow": 0.1})
    _, reset = await post(control, "misbehave", {"reset": True, "nul": 1})

    assert (changed["lost"], changed["slow_seconds"]) == (0.5, 1.0)
    assert (more["lost"], more["slow"]) == (0.5, 0.1)
    assert (reset["lost"], reset["slow"], reset["nul"]) == (0.0, 0.0, 1.0)


async def test_one_text_is_sent_as_given(
    provider: Simulator, receiver: Receiver, control: aiohttp.ClientSession, account: str
) -> None:
    customer = {"user_id": "ZA.77", "name": "Zanele", "phone": "270000000077"}
    status, answer = await post(
        control, "inbound", {"account": account, "text": "canary", "customer": customer, "redeliveries": 1}
    )
    await provider.idle()

    assert (status, answer["subscribed"], answer["struck"]) == (202, True, [])
    assert receiver.ids() == {answer["message_id"]: 2}
    assert receiver.items("messages")[0]["from_user_id"] == "ZA.77"


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("image", "image/jpeg"),
        ("video", "video/mp4"),
        ("audio", "audio/ogg; codecs=opus"),
        ("document", "application/pdf"),
        ("sticker", "image/webp"),
    ],
)
async def test_media_are_made_for_the_asking(
    provider: Simulator,
    receiver: Receiver,
    control: aiohttp.ClientSession,
    account: str,
    kind: str,
    mime: str,
) -> None:
    media = {"size": 1_000, "filename": "canary.pdf"}
    _, answer = await post(control, "inbound", {"account": account, "type": kind, "media": media})
    await provider.idle()

    (item,) = receiver.items("messages")
    assert (item["type"], item[kind]["id"], item[kind]["mime_type"]) == (kind, answer["media"][0], mime)
    (row,) = await lines(control, "truth")
    assert row["media"] == answer["media"][0]


async def test_any_content_an_echo_and_a_verbatim_item_can_be_sent(
    provider: Simulator, receiver: Receiver, control: aiohttp.ClientSession, account: str
) -> None:
    reaction = {"account": account, "type": "reaction", "content": {"message_id": "wamid.x", "emoji": "x"}}
    verbatim = {"account": account, "item": {"id": "wamid.raw", "type": "hologram", "hologram": {"a": 1}}}
    whole = {"account": account, "field": "account_update", "array": None, "item": {"event": "SOMETHING_NEW"}}
    for body in (reaction, {"account": account, "text": "x", "echo": True}, verbatim, whole):
        assert (await post(control, "inbound", body))[0] == 202
    await provider.idle()

    assert [item["type"] for item in receiver.items("messages")] == ["reaction", "hologram"]
    assert len(receiver.items("message_echoes")) == 1
    assert ("account_update", {"event": "SOMETHING_NEW"}) in list(receiver.values())
    kinds = [row["kind"] for row in await lines(control, "truth")]
    assert kinds == ["reaction", "message", "message", "event"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("play", {"scenario": "opera"}),
        ("play", {"messages": "many"}),
        ("play", []),
        ("misbehave", {"rudeness": 1}),
        ("inbound", {"account": "nobody"}),
        ("inbound", {"accuont": "x"}),
        ("inbound", {}),
        ("subscribe", {"app_id": "nobody"}),
        ("secret", {"app_id": "nobody", "secret": "x"}),
    ],
)
async def test_a_wrong_control_call_says_what_is_wrong(control: aiohttp.ClientSession, path: str, body: object) -> None:
    status, answer = await post(control, path, body)

    assert (status, answer["code"]) == (400, "simulator_config")
    assert answer["error"]


async def test_a_callback_is_challenged(
    control: aiohttp.ClientSession, config: SimulatorConfig, receiver: Receiver
) -> None:
    app_id = config.apps[0].app_id
    good = await post(control, "subscribe", {"app_id": app_id})
    receiver.verify_token = "changed"
    refused = await post(control, "subscribe", {"app_id": app_id})
    nowhere = await post(control, "subscribe", {"app_id": app_id, "callback_url": "http://127.0.0.1:1/"})

    assert good == (200, {"verified": True, "refused": None})
    assert refused == (200, {"verified": False, "refused": "HTTP status code 403"})
    assert nowhere == (200, {"verified": False, "refused": "the URL could not be reached"})


async def test_the_secret_is_rotated(
    provider: Simulator, config: SimulatorConfig, receiver: Receiver, control: aiohttp.ClientSession, account: str
) -> None:
    assert await post(control, "secret", {"app_id": config.apps[0].app_id, "secret": "new"}) == (
        200,
        {"changed": True},
    )
    receiver.secret = "new"
    await post(control, "inbound", {"account": account, "text": "x"})
    await provider.idle()

    assert len(receiver.accepted) == 1
