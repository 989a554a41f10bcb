"""Calls to the Graph API: what its errors mean, and what a deletion comes to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from broker.core.errors import (
    CustodyError,
    ObjectGoneError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
    SettingsError,
)
from connectors.whatsapp_cloud.client import (
    CloudSettings,
    GraphAnswer,
    GraphClient,
    UnaddressedError,
    UnsentError,
    fault,
)
from tests.unit.connectors.whatsapp_cloud.provider import (
    ACCOUNT,
    CANARIES,
    GRAPH,
    MEDIA_ID,
    TOKEN,
    command,
    connector,
    data,
    graph_error,
    hang_up,
    json,
    provider,
)

if TYPE_CHECKING:
    from aiohttp import web

    from broker.core.ports import EraseAnswer
    from tests.unit.connectors.whatsapp_cloud.provider import Answer

MEDIA = f"{GRAPH}/{MEDIA_ID}"


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (401, 190, ProviderRefusedError),
        (400, 190, ProviderRefusedError),
        (404, 190, ProviderRefusedError),
        (403, 10, ProviderRefusedError),
        (403, 200, ProviderRefusedError),
        (400, 299, ProviderRefusedError),
        (400, 100, ObjectGoneError),
        (404, 100, ObjectGoneError),
        (404, 803, ObjectGoneError),
        (429, 100, ProviderThrottledError),
        (403, 4, ProviderThrottledError),
        (400, 80007, ProviderThrottledError),
        (400, 130429, ProviderThrottledError),
        (400, 131056, ProviderThrottledError),
        (500, 100, ProviderUnavailableError),
        (503, 2, ProviderUnavailableError),
        (400, 131000, ProviderUnavailableError),
        (400, 131016, ProviderUnavailableError),
        (400, 999, ProviderUnavailableError),
        (302, 0, ProviderUnavailableError),
    ],
)
def test_status_and_code_decide_what_an_error_means(status: int, code: int, meaning: type[CustodyError]) -> None:
    error = fault(GraphAnswer(status=status, body={"error": {"code": code, "message": "canary"}}), "part 1 of rec_1")
    assert type(error) is meaning
    assert "part 1 of rec_1" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("body", [{}, {"error": "canary"}, {"message": "no route"}])
def test_a_404_that_is_not_the_graph_apis_own_never_means_gone(body: dict[str, object]) -> None:
    assert type(fault(GraphAnswer(status=404, body=body), "target tgt_1")) is ProviderUnavailableError


def test_the_wish_to_be_left_alone_is_passed_on() -> None:
    error = fault(GraphAnswer(status=429, body={}, retry_after_seconds=17.0), "target tgt_1")
    assert isinstance(error, ProviderThrottledError)
    assert error.retry_after_seconds == 17


@pytest.mark.parametrize(
    "graph_url",
    [
        "http://graph.facebook.com/v25.0",
        "ftp://127.0.0.1",
        "graph.facebook.com",
        "https://u@h/",
        "https://h/?t=1",
        "//[",
    ],
)
def test_the_graph_url_is_https_or_plain_on_loopback_alone(graph_url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        GraphClient(CloudSettings(graph_url=graph_url))
    assert caught.value.findings[0].startswith("graph_url: ")


async def erase(answer: Answer) -> EraseAnswer:
    async with provider() as double, connector(double) as cloud:
        double.on("DELETE", MEDIA, answer)
        result = await cloud.erase(ACCOUNT, command())
        assert double.asked == [("DELETE", MEDIA, f"Bearer {TOKEN}")]
        assert double.queries == [{"phone_number_id": ACCOUNT.id}]
        return result


@pytest.mark.parametrize(
    ("answer", "outcome", "evidence"),
    [
        (json(success=True), "erased", "http_200_success"),
        (json(success=False), "retry", "http_200_no_success"),
        (json(success="true"), "unanswered", "http_200_unreadable"),
        (data(b"<html>welcome to this hotel</html>"), "unanswered", "http_200_unreadable"),
        (data(b"[" * 100_000), "unanswered", "http_200_unreadable"),
        (data(b'"' + b"x" * 1_100_000 + b'"'), "unanswered", "http_200_unreadable"),
        (graph_error(400, 100), "absent", "http_400_code_100"),
        (graph_error(404, 100), "absent", "http_404_code_100"),
        (data(b"", 404), "retry", "http_404"),
        (graph_error(401, 190), "blocked", "http_401_code_190"),
        (graph_error(403, 10), "blocked", "http_403_code_10"),
        (data(b"", 403), "blocked", "http_403"),
        (graph_error(429, 130429), "retry", "http_429_code_130429"),
        (graph_error(400, 999), "retry", "http_400_code_999"),
        (graph_error(400, 131000), "unanswered", "http_400_code_131000"),
        (graph_error(503, 2), "unanswered", "http_503_code_2"),
        (graph_error(500, 100), "unanswered", "http_500_code_100"),
        (data(b"", 302, {"Location": "https://example.org/"}), "unanswered", "http_302"),
        (hang_up, "unanswered", "no_answer"),
    ],
)
async def test_a_delete_is_sent_once_and_its_answer_is_put_in_fixed_words(
    answer: Answer, outcome: str, evidence: str
) -> None:
    result = await erase(answer)
    assert (result.outcome, result.evidence) == (outcome, evidence)


async def test_a_deletion_waits_as_long_as_the_provider_wishes() -> None:
    assert (await erase(graph_error(429, 4, {"Retry-After": "120"}))).retry_after_seconds == 120
    assert (
        await erase(graph_error(503, 2, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    ).retry_after_seconds is None


async def test_a_delete_that_times_out_may_have_been_carried_out() -> None:
    async def sleep(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    async with provider() as double, connector(double, call_seconds=0.1) as cloud:
        double.on("DELETE", MEDIA, sleep)
        result = await cloud.erase(ACCOUNT, command())
    assert (result.outcome, result.evidence) == ("unanswered", "no_answer")


async def test_a_delete_that_never_left_is_simply_tried_again() -> None:
    async with provider() as double:
        pass
    async with connector(double) as cloud:
        result = await cloud.erase(ACCOUNT, command())
    assert (result.outcome, result.evidence) == ("retry", "unreachable")


@pytest.mark.parametrize("object_id", ["", ".", "..", "../106540352242922", "1/2", "1?x=y", "1%2e", "1#", "é", "1\n"])
async def test_an_id_that_could_reach_something_else_is_never_sent(object_id: str) -> None:
    async with provider() as double, connector(double) as cloud:
        result = await cloud.erase(ACCOUNT, command(object_id))
        assert double.asked == []
    assert (result.outcome, result.evidence) == ("blocked", "malformed_id")


async def test_only_media_are_erased() -> None:
    async with provider() as double, connector(double) as cloud:
        result = await cloud.erase(ACCOUNT, command(object_kind="group"))
        assert double.asked == []
    assert (result.outcome, result.evidence) == ("blocked", "unsupported_object_kind")


async def test_no_error_of_the_client_shows_token_id_or_the_providers_words() -> None:
    async with provider() as double:
        client = GraphClient(CloudSettings(graph_url=double.base + GRAPH))
        double.on("GET", MEDIA, graph_error(400, 100), graph_error(500, 1), hang_up)
        answers = [await client.call("GET", MEDIA_ID, token=TOKEN, what="part 1 of rec_1") for _ in range(2)]
        shown = [repr(one) + str(fault(one, "part 1 of rec_1")) for one in answers]
        errors = [
            await failure(client, MEDIA_ID, TOKEN, ProviderUnavailableError),
            await failure(client, f"../{MEDIA_ID}", TOKEN, UnaddressedError),
            await failure(client, MEDIA_ID, f"{TOKEN}\r\nX: y", ProviderRefusedError),
            await failure(client, MEDIA_ID, "", ProviderRefusedError),
        ]
        await client.close()
        await client.close()
    gone = GraphClient(CloudSettings(graph_url=double.base + GRAPH))
    errors.append(await failure(gone, MEDIA_ID, TOKEN, UnsentError))
    await gone.close()
    whole = "".join(shown + [str(one) + repr(one) for one in errors])
    assert not [word for word in CANARIES if word in whole]
    assert all(one.__suppress_context__ or one.__context__ is None for one in errors)


async def failure(client: GraphClient, object_id: str, token: str, kind: type[CustodyError]) -> CustodyError:
    with pytest.raises(kind) as caught:
        await client.call("GET", object_id, token=token, what="part 1 of rec_1")
    return caught.value
