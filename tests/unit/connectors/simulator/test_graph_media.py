"""Media over the Graph API, over real HTTP."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import aiohttp
import pytest

from connectors.simulator import Misbehaviour, Simulator

if TYPE_CHECKING:
    from connectors.simulator import SimulatorConfig
    from connectors.simulator.config import Posture
    from connectors.simulator.payloads.contents import MediaRef


def photo(provider: Simulator, account: str, size: int | None = None) -> MediaRef:
    return provider.composer(account).media("image/jpeg", size=size)


async def code_of(call: aiohttp.client._RequestContextManager) -> tuple[int, int]:
    async with call as answer:
        return answer.status, (await answer.json())["error"]["code"]


async def status_of(call: aiohttp.client._RequestContextManager) -> int:
    async with call as answer:
        await answer.read()
        return answer.status


async def test_a_media_object_is_shown_fetched_and_deleted(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = photo(provider, account, size=3_000)

    async with graph.get(ref.media_id) as answer:
        shown = await answer.json()
    async with graph.get(shown["url"]) as answer:
        data = await answer.read()
        mime = answer.headers["Content-Type"]
    async with graph.delete(ref.media_id, params={"phone_number_id": account}) as answer:
        deleted = await answer.json()

    assert set(shown) == {"messaging_product", "url", "mime_type", "sha256", "file_size", "id"}
    assert (shown["file_size"], shown["id"], shown["mime_type"]) == ("3000", ref.media_id, "image/jpeg")
    assert (sha256(data).hexdigest(), len(data), mime) == (shown["sha256"], 3_000, "image/jpeg")
    assert sha256(data).digest() == ref.sha256
    assert deleted == {"success": True}
    assert [(row["media"], row["outcome"]) for row in provider.deletes()] == [(ref.media_id, "erased")]
    assert [row["status"] for row in provider.downloads()] == [200]
    assert list(provider.held()) == []


@pytest.mark.parametrize("status", [400, 404])
async def test_after_deletion_it_is_gone_either_way(
    config: SimulatorConfig, account: str, status: Literal[400, 404]
) -> None:
    config = replace(config, media=replace(config.media, gone_status=status))
    token = {"Authorization": f"Bearer {config.numbers[0].access_token}"}
    async with Simulator(config) as provider, aiohttp.ClientSession(headers=token) as session:
        ref = photo(provider, account)
        url = f"{provider.base_url}/v23.0/{ref.media_id}"
        await status_of(session.delete(url))

        assert await code_of(session.get(url)) == (status, 100)
        assert await code_of(session.delete(url)) == (status, 100)
        assert [row["outcome"] for row in provider.deletes()] == ["erased", "absent"]
        assert ref.url is not None
        assert await status_of(session.get(ref.url)) == 404


async def test_the_digest_may_come_in_base64(config: SimulatorConfig, account: str) -> None:
    config = replace(config, media=replace(config.media, digest_encoding="base64"))
    token = {"Authorization": f"Bearer {config.numbers[0].access_token}"}
    async with Simulator(config) as provider, aiohttp.ClientSession(headers=token) as session:
        ref = photo(provider, account)
        async with session.get(f"{provider.base_url}/{ref.media_id}") as answer:
            assert (await answer.json())["sha256"] == b64encode(ref.sha256).decode()


async def test_a_wrong_token_is_401_with_code_190(provider: Simulator, account: str) -> None:
    ref = photo(provider, account)
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
            call = session.get(f"{provider.base_url}/v25.0/{ref.media_id}", headers=headers)
            assert await code_of(call) == (401, 190)
        assert ref.url is not None
        assert await status_of(session.get(ref.url)) == 404


async def test_a_token_sees_its_own_numbers_media_only(
    provider: Simulator, config: SimulatorConfig, graph: aiohttp.ClientSession, account: str
) -> None:
    other = photo(provider, config.numbers[1].phone_number_id)

    assert await code_of(graph.get(other.media_id)) == (400, 100)
    assert await code_of(graph.delete(other.media_id)) == (400, 100)
    assert other.url is not None
    assert await status_of(graph.get(other.url)) == 404
    mine = photo(provider, account)
    wrong = {"phone_number_id": config.numbers[1].phone_number_id}
    assert await code_of(graph.delete(mine.media_id, params=wrong)) == (400, 100)
    assert len([row for row in provider.held() if row["object"] == "media"]) == 2


async def test_urls_end_after_five_minutes_and_cannot_be_forged(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = photo(provider, account)
    assert ref.url is not None
    assert await status_of(graph.get(ref.url)) == 200
    assert await status_of(graph.get(ref.url.replace("hash=", "hash=0"))) == 404

    provider.world.clock = lambda: time.time() + 301
    assert await status_of(graph.get(ref.url)) == 404


@pytest.mark.parametrize(
    ("posture", "lifetime"), [("default", 7 * 86_400), ("local", 7 * 86_400), ("no_storage", 3_600)]
)
async def test_inbound_media_live_as_long_as_the_posture_says(
    config: SimulatorConfig, account: str, posture: Posture, lifetime: int
) -> None:
    number = replace(config.numbers[0], posture=posture)
    async with Simulator(replace(config, numbers=(number, config.numbers[1]))) as provider:
        photo(provider, account)
        (held,) = provider.held()
        made_at = next(provider.media())["made_at"]

    assert isinstance(held["until"], float)
    assert held["until"] == pytest.approx(lifetime + float(str(made_at)))


async def test_media_of_long_ago_are_about_to_expire(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    compose = provider.composer(account)
    ref = compose.media("image/jpeg", at=compose.expiring_at)
    (held,) = provider.held()

    assert 0 < float(str(held["until"])) - time.time() <= 45
    assert await status_of(graph.get(ref.media_id)) == 200


async def test_an_upload_is_kept_and_served(provider: Simulator, graph: aiohttp.ClientSession, account: str) -> None:
    data = bytes(range(256)) * 2_000
    form = aiohttp.FormData({"messaging_product": "whatsapp", "type": "application/pdf"})
    form.add_field("file", data, filename="a.pdf", content_type="application/pdf")

    async with graph.post(f"{account}/media", data=form) as answer:
        media_id = (await answer.json())["id"]
    async with graph.get(media_id) as answer:
        shown = await answer.json()
    async with graph.get(shown["url"]) as answer:
        assert await answer.read() == data
    assert shown["sha256"] == sha256(data).hexdigest()
    (held,) = provider.held()
    assert (held["source"], held["size"]) == ("upload", len(data))
    assert float(str(held["until"])) - time.time() == pytest.approx(30 * 86_400, abs=60)
    assert await status_of(graph.delete(media_id)) == 200
    assert await status_of(graph.get(shown["url"])) == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "image/jpeg"}, 131008),
        ({"messaging_product": "whatsapp", "type": "application-x/strange"}, 131053),
        ({"messaging_product": "whatsapp", "type": "image/jpeg", "ttl_minutes": "5"}, 100),
    ],
)
async def test_an_upload_that_does_not_fit_is_refused(
    graph: aiohttp.ClientSession, account: str, fields: dict[str, str], code: int
) -> None:
    form = aiohttp.FormData(fields)
    form.add_field("file", b"\xff\xd8", filename="a.jpg", content_type="image/jpeg")

    assert await code_of(graph.post(f"{account}/media", data=form)) == (400, code)


async def test_a_time_to_live_counts_without_storage(config: SimulatorConfig, account: str) -> None:
    number = replace(config.numbers[0], posture="no_storage")
    token = {"Authorization": f"Bearer {number.access_token}"}
    config = replace(config, numbers=(number, config.numbers[1]))
    async with Simulator(config) as provider, aiohttp.ClientSession(headers=token) as session:
        form = aiohttp.FormData({"messaging_product": "whatsapp", "ttl_minutes": "120"})
        form.add_field("file", b"\xff\xd8", filename="a.jpg", content_type="image/jpeg")
        assert await status_of(session.post(f"{provider.base_url}/v25.0/{account}/media", data=form)) == 200
        (held,) = provider.held()

    assert float(str(held["until"])) - time.time() == pytest.approx(7_200, abs=60)


async def test_a_document_of_100_mb_streams(provider: Simulator, graph: aiohttp.ClientSession, account: str) -> None:
    ref = provider.composer(account).media("application/pdf", size=100_000_000)
    assert ref.url is not None
    total, size = sha256(), 0
    async with graph.get(ref.url) as answer:
        async for chunk in answer.content.iter_chunked(1 << 20):
            total.update(chunk)
            size += len(chunk)

    assert (size, total.digest()) == (100_000_000, ref.sha256)


STRIKES: list[tuple[str, set[tuple[int, int]]]] = [
    ("unauthorized", {(401, 190)}),
    ("throttled", {(429, 130429), (429, 80007), (429, 4)}),
    ("server_errors", {(500, 131000), (503, 2)}),
    ("media_gone", {(400, 100)}),
]


@pytest.mark.parametrize(("name", "expected"), STRIKES)
async def test_what_strikes_a_call_answers_as_documented(
    provider: Simulator, graph: aiohttp.ClientSession, account: str, name: str, expected: set[tuple[int, int]]
) -> None:
    provider.misbehave({name: 1.0})
    refs = [photo(provider, account) for _ in range(20)]

    assert {await code_of(graph.get(ref.media_id)) for ref in refs} == expected


async def test_a_retry_may_pass_what_struck_before(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = photo(provider, account)
    provider.misbehave({"throttled": 0.5})

    assert {await status_of(graph.get(ref.media_id)) for _ in range(40)} == {200, 429}


async def test_an_expired_url_is_renewed(provider: Simulator, graph: aiohttp.ClientSession, account: str) -> None:
    provider.misbehave({"expired_media_urls": 1.0})
    ref = photo(provider, account)
    assert ref.url is not None
    assert await status_of(graph.get(ref.url)) == 404

    provider.misbehave({}, reset=True)
    async with graph.get(ref.media_id) as answer:
        url = (await answer.json())["url"]
    assert await status_of(graph.get(url)) == 200


async def test_a_wrong_digest_never_matches_and_a_damaged_download_once(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    async def fetched(ref: MediaRef) -> bytes:
        async with graph.get(str(ref.url)) as answer:
            return sha256(await answer.read()).digest()

    provider.misbehave({"wrong_digest": 1.0})
    wrong = photo(provider, account)
    provider.misbehave({"damaged_download": 1.0}, reset=True)
    damaged = photo(provider, account)
    first = await fetched(damaged)
    provider.misbehave({}, reset=True)

    assert await fetched(wrong) != wrong.sha256
    assert first != damaged.sha256
    assert await fetched(damaged) == damaged.sha256
    assert [row["digest_wrong"] for row in provider.media()] == [True, False]


async def test_a_deletion_may_happen_though_its_answer_is_lost(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = photo(provider, account)
    provider.misbehave({"lost_answers": 1.0})

    assert await status_of(graph.delete(ref.media_id)) == 503
    assert await code_of(graph.delete(ref.media_id)) == (400, 100)
    assert list(provider.held()) == []


async def test_a_slow_answer_takes_as_long_as_set(
    provider: Simulator, graph: aiohttp.ClientSession, account: str
) -> None:
    ref = photo(provider, account)
    provider.misbehave({"slow": 1.0, "slow_seconds": 0.2})
    began = time.monotonic()

    assert await status_of(graph.get(ref.media_id)) == 200
    assert time.monotonic() - began >= 0.2


async def test_misbehaviour_comes_from_the_settings(config: SimulatorConfig, account: str) -> None:
    config = replace(config, misbehaviour=Misbehaviour(media_gone=1.0))
    async with Simulator(config) as provider:
        photo(provider, account)
        assert list(provider.held()) == []
        assert provider.summary()["struck"] == {"media_gone": 1}
