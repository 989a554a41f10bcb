"""Fetching media: the two steps, where the token may go, which bytes count."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from broker.core.errors import (
    CustodyError,
    ForbiddenHostError,
    ObjectGoneError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
    SettingsError,
    TooLargeError,
)
from broker.core.model import MediaObject
from connectors.whatsapp_cloud.capabilities import CAPABILITIES
from connectors.whatsapp_cloud.client import CloudSettings, UnaddressedError
from connectors.whatsapp_cloud.connector import WhatsAppCloud
from connectors.whatsapp_cloud.media import MediaHosts
from tests.unit.connectors.whatsapp_cloud.provider import (
    ACCOUNT,
    APP,
    CANARIES,
    GRAPH,
    MEDIA_ID,
    NOW,
    TOKEN,
    connector,
    data,
    graph_error,
    hang_up,
    json,
    provider,
    task,
    torn,
)

if TYPE_CHECKING:
    from broker.core.model import FetchTask
    from broker.core.ports import Capabilities, OpenPart
    from tests.unit.connectors.whatsapp_cloud.provider import Answer, Provider

MEDIA = f"{GRAPH}/{MEDIA_ID}"
BYTES = b"a broken windscreen" * 1000
DIGEST = hashlib.sha256(BYTES).digest()
OTHER = hashlib.sha256(b"other").digest()


def describe(double: Provider, path: str = "/bytes", **changes: object) -> Answer:
    fields = {"url": f"{double.base}{path}?mid=1&hash=canary%2Fx", "mime_type": "image/png", "id": MEDIA_ID}
    return json(**(fields | {"file_size": str(len(BYTES)), "sha256": DIGEST.hex()} | changes))


async def read(cloud: WhatsAppCloud, wanted: FetchTask) -> tuple[OpenPart, bytes]:
    async with cloud.open_part(ACCOUNT, wanted) as part:
        return part, b"".join([chunk async for chunk in part.chunks])


def with_url(url: str, sha256: str | None = DIGEST.hex()) -> MediaObject:
    if sha256 is None:
        return MediaObject(part=1, object_id=MEDIA_ID, url=url)
    return MediaObject(part=1, object_id=MEDIA_ID, url=url, sha256=sha256)


async def test_a_part_is_described_and_then_downloaded_with_the_token() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        part, body = await read(cloud, task())
        assert double.asked == [("GET", MEDIA, f"Bearer {TOKEN}"), ("GET", "/bytes", f"Bearer {TOKEN}")]
        assert double.queries[0] == {"phone_number_id": ACCOUNT.id}
    assert (body, part.mime, part.size, part.sha256) == (BYTES, "image/png", len(BYTES), (DIGEST,))


async def test_the_webhooks_own_url_saves_a_call_while_it_is_fresh() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", "/bytes", data(BYTES))
        url = with_url(f"{double.base}/bytes", base64.b64encode(DIGEST).decode())
        part, body = await read(cloud, task(url, received_at=NOW - timedelta(minutes=4)))
        assert double.urls_of("GET") == ["/bytes"]
    assert (body, part.mime, part.size, part.sha256) == (BYTES, "image/jpeg", len(BYTES), (DIGEST,))


@pytest.mark.parametrize("told", [None, "", "junk", DIGEST.hex()[:-2]])
async def test_without_a_readable_digest_the_webhooks_url_waits_for_one(told: str | None) -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        part, body = await read(cloud, task(with_url(f"{double.base}/bytes", told)))
        assert double.urls_of("GET") == [MEDIA, "/bytes"]
    assert (body, part.sha256) == (BYTES, (DIGEST,))


@pytest.mark.parametrize("told", [None, "junk"])
async def test_bytes_that_nobody_announced_a_digest_of_are_read_twice_and_must_be_the_same(told: str | None) -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double, sha256="<HASH>"))
        double.on("GET", "/bytes", data(BYTES), data(b"damaged" * 1000))
        part, body = await read(cloud, task(with_url(f"{double.base}/bytes", told)))
        assert double.urls_of("GET") == [MEDIA, "/bytes"] * 2
    assert (body, part.sha256) == (b"damaged" * 1000, (DIGEST,))


async def test_a_first_reading_that_is_torn_is_no_digest() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double, sha256="<HASH>"))
        double.on("GET", "/bytes", torn(BYTES[:100], len(BYTES)), data(BYTES[:100]))
        with pytest.raises(ProviderUnavailableError):
            await read(cloud, task())
        assert double.urls_of("GET") == [MEDIA, "/bytes"]


async def test_the_webhooks_url_is_not_tried_when_its_time_is_nearly_over() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        stale = with_url(f"{double.base}/stale")
        await read(cloud, task(stale, received_at=NOW - timedelta(minutes=4, seconds=30)))
        assert double.urls_of("GET") == [MEDIA, "/bytes"]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 410])
async def test_a_webhook_url_that_does_not_serve_is_replaced(status: int) -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", "/told", data(b"", status, {"Location": "https://example.org/"}))
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        _, body = await read(cloud, task(with_url(f"{double.base}/told")))
        assert double.urls_of("GET") == ["/told", MEDIA, "/bytes"]
    assert body == BYTES


async def test_a_webhook_url_that_leads_elsewhere_is_never_asked() -> None:
    async with provider() as double, connector(double) as cloud, provider() as stranger:
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        await read(cloud, task(with_url(f"{stranger.base}/bytes")))
        assert stranger.asked == []


async def test_an_expired_url_is_renewed() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double, "/expired"), describe(double))
        double.on("GET", "/expired", data(b"", 404))
        double.on("GET", "/bytes", data(BYTES))
        _, body = await read(cloud, task())
    assert body == BYTES


async def fails(
    kind: type[CustodyError], wanted: FetchTask | None = None, **answers: Answer
) -> tuple[CustodyError, int]:
    """The error of a fetch with these answers of `/media` and `/bytes`, and how many requests it took."""
    async with provider() as double, connector(double, read_seconds=0.2) as cloud:
        double.on("GET", MEDIA, answers.get("media", describe(double)))
        double.on("GET", "/bytes", answers.get("bytes", data(BYTES)))
        with pytest.raises(CustodyError) as caught:
            await read(cloud, wanted or task())
        error = caught.value
        assert type(error) is kind
        assert not [word for word in CANARIES if word in str(error) + repr(error)]
        assert error.__suppress_context__ or error.__context__ is None
        return error, len(double.asked)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (graph_error(400, 100), ObjectGoneError),
        (graph_error(404, 100), ObjectGoneError),
        (graph_error(401, 190), ProviderRefusedError),
        (graph_error(429, 80007), ProviderThrottledError),
        (graph_error(503, 2), ProviderUnavailableError),
        (graph_error(500, 100), ProviderUnavailableError),
        (json(mime_type="image/png"), ProviderUnavailableError),
        (json(url=""), ProviderUnavailableError),
        (data(b"not json"), ProviderUnavailableError),
        (hang_up, ProviderUnavailableError),
    ],
)
async def test_a_description_that_fails_says_how(answer: Answer, kind: type[CustodyError]) -> None:
    await fails(kind, media=answer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (data(b"", 401), ProviderRefusedError),
        (data(b"", 403), ProviderRefusedError),
        (data(b"", 404), ProviderRefusedError),
        (data(b"", 429, {"Retry-After": "9"}), ProviderThrottledError),
        (data(b"", 500), ProviderUnavailableError),
        (data(b"", 418), ProviderUnavailableError),
        (data(BYTES, 200, {"Content-Encoding": "br"}), ProviderUnavailableError),
        (hang_up, ProviderUnavailableError),
        (torn(BYTES[:100], len(BYTES)), ProviderUnavailableError),
    ],
)
async def test_a_download_that_fails_says_how(answer: Answer, kind: type[CustodyError]) -> None:
    await fails(kind, bytes=answer)


async def test_a_throttled_media_host_says_for_how_long() -> None:
    error, _ = await fails(ProviderThrottledError, bytes=data(b"", 429, {"Retry-After": "9"}))
    assert isinstance(error, ProviderThrottledError)
    assert error.retry_after_seconds == 9


async def test_a_throttled_webhook_url_is_not_answered_with_more_calls() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", "/told", data(b"", 429))
        with pytest.raises(ProviderThrottledError):
            await read(cloud, task(with_url(f"{double.base}/told")))
        assert double.urls_of("GET") == ["/told"]


async def test_url_after_url_that_answers_404_is_given_up_for_now() -> None:
    _, requests = await fails(ProviderRefusedError, bytes=data(b"", 404))
    assert requests == 4


async def test_a_stalled_download_passes() -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(30)
        return response

    await fails(ProviderUnavailableError, bytes=stall)


async def test_fewer_bytes_than_described_are_not_taken_for_the_whole() -> None:
    async def unannounced(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(BYTES[:100])
        await response.write_eof()
        return response

    await fails(ProviderUnavailableError, bytes=unannounced)


async def test_an_id_that_could_reach_something_else_is_never_asked_for() -> None:
    _, requests = await fails(UnaddressedError, task(MediaObject(part=1, object_id="../me")))
    assert requests == 0


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "https://lookaside.fbsbx.com/", "//127.0.0.1/", "/bytes"])
async def test_no_redirect_is_followed_with_the_token(target: str) -> None:
    _, requests = await fails(ForbiddenHostError, bytes=data(b"", 302, {"Location": target}))
    assert requests == 2


async def test_a_described_url_outside_the_allowed_hosts_gets_no_token() -> None:
    async with provider() as stranger:
        _, requests = await fails(ForbiddenHostError, media=json(url=f"{stranger.base}/bytes"))
        assert (requests, stranger.asked) == (1, [])


LIMIT = CAPABILITIES.max_part_bytes


@pytest.mark.parametrize("size", [LIMIT + 1, str(LIMIT + 1)])
async def test_a_part_described_as_too_large_is_not_downloaded(size: int | str) -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double, file_size=size))
        with pytest.raises(TooLargeError):
            await read(cloud, task())
        assert double.urls_of("GET") == [MEDIA]


async def test_a_part_announced_as_too_large_is_not_read() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", "/bytes", torn(b"x", LIMIT + 1))
        with pytest.raises(TooLargeError):
            await read(cloud, task(with_url(f"{double.base}/bytes")))


async def test_a_part_that_turns_out_too_large_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(BYTES)

    monkeypatch.setattr("connectors.whatsapp_cloud.connector.capabilities", small_parts)
    async with provider() as double, connector(double) as cloud:
        double.on("GET", "/bytes", endless)
        with pytest.raises(TooLargeError):
            await read(cloud, task(with_url(f"{double.base}/bytes")))


def small_parts(hosts: tuple[str, ...]) -> Capabilities:
    return replace(CAPABILITIES, media_hosts=hosts, max_part_bytes=50_000)


@pytest.mark.parametrize(
    ("told", "asked", "expected"),
    [
        (base64.b64encode(DIGEST).decode(), DIGEST.hex(), (DIGEST,)),
        (DIGEST.hex(), base64.b64encode(DIGEST).decode(), (DIGEST,)),
        (base64.b64encode(OTHER).decode(), DIGEST.hex(), (OTHER, DIGEST)),
        ("junk", "<HASH>", (DIGEST,)),
        (None, None, (DIGEST,)),
        (None, 7, (DIGEST,)),
    ],
)
async def test_every_digest_that_was_announced_must_hold(
    told: str | None, asked: object, expected: tuple[bytes, ...]
) -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double, sha256=asked))
        double.on("GET", "/bytes", data(BYTES))
        part, _ = await read(cloud, task(with_url("https://example.org/", told)))
    assert part.sha256 == expected


async def test_a_failure_of_the_reader_is_not_taken_for_the_providers() -> None:
    async with provider() as double, connector(double) as cloud:
        double.on("GET", MEDIA, describe(double))
        double.on("GET", "/bytes", data(BYTES))
        with pytest.raises(TimeoutError):
            async with cloud.open_part(ACCOUNT, task()):
                raise TimeoutError


PUBLIC = MediaHosts(("lookaside.fbsbx.com",), plain=False)
LOCAL = MediaHosts(("lookaside.fbsbx.com", "127.0.0.1:8081", "[::1]:8082", "cdn.example.org:8443"), plain=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext=2&hash=a%2Fb",
        "https://LOOKASIDE.fbsbx.com/x",
        "https://lookaside.fbsbx.com:443/x",
    ],
)
def test_the_providers_host_is_accepted_and_its_url_left_as_it_is(url: str) -> None:
    accepted = PUBLIC.accepted(url)
    assert accepted is not None
    assert url.endswith(accepted.raw_path_qs)


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://lookaside.fbsbx.com:80/x",
        "https://lookaside.fbsbx.com./x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://evil-lookaside.fbsbx.com/x",
        "https://evillookaside.fbsbx.com/x",
        "https://fbsbx.com/x",
        "https://a.lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com@evil.example/x",
        "https://user@lookaside.fbsbx.com/x",
        "https://user:pass@lookaside.fbsbx.com/x",
        "https://evil.example/#@lookaside.fbsbx.com/",
        "https://evil.example/?lookaside.fbsbx.com/",
        "https://evil.example\\@lookaside.fbsbx.com/",
        "https://evil.example\\.lookaside.fbsbx.com/",
        "https://lookaside.fbsbx.com\t/x",
        "https://lookaside.fbsbx.com /x",
        "https://lookaside.fbsbx.com/x HTTP/1.1\r\nHost: evil.example",
        "https://lookaside%2efbsbx.com/x",
        "https://lookaside。fbsbx.com/x",
        "https://lοokaside.fbsbx.com/x",  # noqa: RUF001 - a Greek omicron
        "https://127.0.0.1/x",
        "https://[::ffff:157.240.1.1]/x",
        "https:///x",
        "https:lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:99999/x",
        "//lookaside.fbsbx.com/x",
        "lookaside.fbsbx.com/x",
        "file://lookaside.fbsbx.com/etc/passwd",
        "ftp://lookaside.fbsbx.com/x",
        "",
        "https://lookaside.fbsbx.com/" + "x" * 5000,
    ],
)
@pytest.mark.parametrize("hosts", [PUBLIC, LOCAL])
def test_nothing_that_only_looks_like_an_allowed_host_is_accepted(url: str, hosts: MediaHosts) -> None:
    assert hosts.accepted(url) is None


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("http://127.0.0.1:8081/x", True),
        ("https://127.0.0.1:8081/x", True),
        ("http://[::1]:8082/x", True),
        ("https://cdn.example.org:8443/x", True),
        ("http://cdn.example.org:8443/x", False),
        ("https://cdn.example.org/x", False),
        ("http://127.0.0.1:8083/x", False),
        ("http://127.0.0.1/x", False),
        ("http://127.0.0.2:8081/x", False),
        ("http://localhost:8081/x", False),
        ("http://0x7f000001:8081/x", False),
    ],
)
def test_a_simulators_host_is_allowed_with_its_port_and_plain_only_on_loopback(url: str, *, accepted: bool) -> None:
    assert (LOCAL.accepted(url) is not None) is accepted


def test_plain_http_is_allowed_nowhere_beside_a_real_provider() -> None:
    assert MediaHosts(("127.0.0.1:8081",), plain=False).accepted("http://127.0.0.1:8081/x") is None


@pytest.mark.parametrize("entry", ["", "https://h", "h/path", "u@h", "h:", "h:1:2", "*.fbsbx.com", "h?x", "h h"])
def test_an_extra_media_host_is_a_host_or_a_host_with_its_port(entry: str) -> None:
    with pytest.raises(SettingsError) as caught:
        WhatsAppCloud(clock=lambda: NOW, app_of={APP.name: APP}.get, settings=CloudSettings(extra_media_hosts=(entry,)))
    assert caught.value.findings[0].startswith("extra_media_hosts: ")


async def test_the_hosts_that_may_get_a_token_stand_among_the_capabilities() -> None:
    async with provider() as double, connector(double) as cloud:
        assert cloud.capabilities.media_hosts == ("lookaside.fbsbx.com", double.host)
        assert cloud.name == "whatsapp_cloud"
