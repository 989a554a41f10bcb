"""Numbers, accounts and apps over the Graph API, over real HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from connectors.simulator import Simulator, serving
from connectors.simulator.ids import Customer
from connectors.simulator.payloads import contents
from tests.unit.connectors.simulator.receiver import Receiver

if TYPE_CHECKING:
    from connectors.simulator import SimulatorConfig

PIN = {"messaging_product": "whatsapp", "pin": "123456"}
NO_STORAGE = {"storage_configuration": {"status": "NO_STORAGE_ENABLED", "retention_minutes": 60}}


async def post(graph: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    async with graph.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def get(graph: aiohttp.ClientSession, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
    async with graph.get(path, params=params) as answer:
        return await answer.json()


@pytest.mark.parametrize("prefix", ["", "/v19.0", "/v25.0", "/v100.0"])
async def test_every_version_answers(provider: Simulator, config: SimulatorConfig, account: str, prefix: str) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{provider.base_url}{prefix}/{account}/"
        async with session.get(url, params={"access_token": config.numbers[0].access_token}) as answer:
            shown = await answer.json()

    assert (shown["id"], shown["display_phone_number"]) == (account, config.numbers[0].display_phone_number)
    assert {"verified_name", "quality_rating", "throughput"} <= set(shown)


async def test_a_number_shows_the_fields_asked_for(graph: aiohttp.ClientSession, account: str) -> None:
    shown = await get(graph, account, fields="throughput,quality_rating,nonsense")

    assert shown == {"id": account, "throughput": {"level": "STANDARD"}, "quality_rating": "GREEN"}


async def test_storage_is_set_on_a_deregistered_number_only(graph: aiohttp.ClientSession, account: str) -> None:
    assert (await get(graph, f"{account}/settings"))["storage_configuration"] == {"status": "default"}
    status, refused = await post(graph, f"{account}/settings", NO_STORAGE)
    assert (status, refused["error"]["code"]) == (400, 100)

    assert await post(graph, f"{account}/deregister", {}) == (200, {"success": True})
    assert await post(graph, f"{account}/settings", NO_STORAGE) == (200, {"success": True})
    assert await post(graph, f"{account}/register", PIN) == (200, {"success": True})
    assert (await get(graph, f"{account}/settings"))["storage_configuration"] == {
        "status": "NO_STORAGE_ENABLED",
        "retention_minutes": 60,
    }

    await post(graph, f"{account}/deregister", {})
    await post(graph, f"{account}/register", PIN)
    assert (await get(graph, f"{account}/settings"))["storage_configuration"] == {"status": "default"}


async def test_local_storage_names_its_region(graph: aiohttp.ClientSession, account: str) -> None:
    wanted = {"status": "IN_COUNTRY_STORAGE_ENABLED", "data_localization_region": "ZA"}
    await post(graph, f"{account}/deregister", {})
    assert (await post(graph, f"{account}/settings", {"storage_configuration": wanted}))[0] == 200
    await post(graph, f"{account}/register", PIN)

    assert (await get(graph, f"{account}/settings"))["storage_configuration"] == wanted


@pytest.mark.parametrize(
    "storage",
    [
        {"status": "NO_STORAGE_ENABLED", "retention_minutes": 30},
        {"status": "IN_COUNTRY_STORAGE_ENABLED", "data_localization_region": "XX"},
        {"status": "MAYBE"},
    ],
)
async def test_storage_that_is_not_offered_is_refused(
    graph: aiohttp.ClientSession, account: str, storage: dict[str, Any]
) -> None:
    await post(graph, f"{account}/deregister", {})
    assert (await post(graph, f"{account}/settings", {"storage_configuration": storage}))[0] == 400


async def test_registering_is_limited(graph: aiohttp.ClientSession, account: str) -> None:
    answers = [await post(graph, f"{account}/register", PIN) for _ in range(11)]

    assert [status for status, _ in answers] == [200] * 10 + [400]
    assert answers[-1][1]["error"]["code"] == 133016


async def test_a_deregistered_number_does_not_send(graph: aiohttp.ClientSession, account: str) -> None:
    await post(graph, f"{account}/deregister", {})
    message = {"messaging_product": "whatsapp", "to": "27", "text": {"body": "x"}}

    status, answer = await post(graph, f"{account}/messages", message)

    assert (status, answer["error"]["code"]) == (400, 131045)


async def test_the_contact_book_is_kept_only_where_switched_on(config: SimulatorConfig, account: str) -> None:
    number = replace(config.numbers[0], contact_book=True)
    config = replace(config, numbers=(number, config.numbers[1]))
    token = {"Authorization": f"Bearer {number.access_token}"}
    path = f"{account}/contact_book?messaging_product=whatsapp&bsuid=ZA.1"
    async with Simulator(config) as provider:
        for number_id in (account, config.numbers[1].phone_number_id):
            compose = provider.composer(number_id)
            await provider.send(compose.message(Customer(user_id="ZA.1", phone="27"), contents.text("x")))
        held = [row for row in provider.held() if row["object"] == "contact"]
        async with aiohttp.ClientSession(f"{provider.base_url}/v25.0/", headers=token) as graph:
            answers = [await (await graph.delete(path)).json() for _ in range(2)]

    assert [(row["account"], row["id"]) for row in held] == [(account, "ZA.1")]
    assert [answer["deleted"] for answer in answers] == [True, False]


async def test_a_waba_lists_its_numbers_and_apps(
    graph: aiohttp.ClientSession, config: SimulatorConfig, account: str
) -> None:
    waba_id = config.wabas[0].waba_id
    numbers = await get(graph, f"{waba_id}/phone_numbers")
    apps = await get(graph, f"{waba_id}/subscribed_apps")
    other = await get(graph, f"{config.wabas[1].waba_id}/subscribed_apps")

    assert [one["id"] for one in numbers["data"]] == [account]
    assert [one["whatsapp_business_api_data"]["id"] for one in apps["data"]] == [config.apps[0].app_id]
    assert other["error"]["code"] == 100
    assert (await get(graph, waba_id))["id"] == waba_id


async def test_an_app_shows_and_changes_its_subscriptions(
    provider: Simulator, config: SimulatorConfig, receiver: Receiver
) -> None:
    app = config.apps[0]
    async with serving(receiver.app) as url, aiohttp.ClientSession(f"{provider.base_url}/v25.0/") as session:
        token = await get(session, "oauth/access_token", client_id=app.app_id, client_secret=app.secret)
        access = {"access_token": token["access_token"]}
        asked = {"object": "whatsapp_business_account", "callback_url": url, "fields": "messages,calls"}
        refused = await session.post(f"{app.app_id}/subscriptions", params=access | asked | {"verify_token": "wrong"})
        taken = await session.post(
            f"{app.app_id}/subscriptions", params=access | asked | {"verify_token": app.verify_token}
        )
        shown = (await get(session, f"{app.app_id}/subscriptions", **access))["data"][0]

    assert token == {"access_token": f"{app.app_id}|{app.secret}", "token_type": "bearer"}
    assert (refused.status, (await refused.json())["error"]["code"]) == (400, 2200)
    assert taken.status == 200
    assert (shown["callback_url"], [field["name"] for field in shown["fields"]]) == (url, ["messages", "calls"])


async def test_subscriptions_need_the_apps_own_token(graph: aiohttp.ClientSession, config: SimulatorConfig) -> None:
    async with graph.get(f"{config.apps[0].app_id}/subscriptions") as answer:
        assert answer.status == 401


async def test_a_number_may_have_a_callback_of_its_own(
    provider: Simulator, graph: aiohttp.ClientSession, config: SimulatorConfig, account: str
) -> None:
    own = Receiver(secret=config.apps[0].secret, verify_token="own")
    async with serving(own.app) as url:
        override = {"override_callback_uri": url, "verify_token": "own"}
        assert (await post(graph, account, {"webhook_configuration": override}))[0] == 200
        draft = provider.composer(account).message(Customer(user_id="ZA.1"), contents.text("x"))
        await provider.send(draft)
        await provider.idle()
        assert own.ids() == {draft.message_id: 1}
        assert (await post(graph, account, {"webhook_configuration": {"override_callback_uri": ""}}))[0] == 200
        assert provider.world.callback(config.apps[0].app_id, account).url != url


async def test_a_token_can_be_looked_at(graph: aiohttp.ClientSession, config: SimulatorConfig) -> None:
    good = await get(graph, "debug_token", input_token=config.numbers[0].access_token)
    bad = await get(graph, "debug_token", input_token="nonsense")

    assert (good["data"]["is_valid"], good["data"]["app_id"]) == (True, config.apps[0].app_id)
    assert bad["data"]["is_valid"] is False


@pytest.mark.parametrize("path", ["nobody", "nobody/media/deep", "nobody/settings"])
async def test_what_is_not_there_answers_in_the_envelope(graph: aiohttp.ClientSession, path: str) -> None:
    async with graph.get(path) as answer:
        error = (await answer.json())["error"]

    assert answer.status == 400
    assert {"message", "type", "code", "fbtrace_id"} <= set(error)
    assert error["code"] == 100
