"""The webhook edge, over real HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest
import structlog
import uvicorn
from starlette.applications import Starlette

from broker.core import codec
from broker.core.errors import LogChangedError, LogUnavailableError
from broker.core.identity import TenantKey
from broker.core.model import UnclaimedBody
from broker.core.parcels import no_blobs
from broker.core.ports import NewEntry
from broker.core.registry import Account, App, Registry, Tenant
from broker.core.topics import unclaimed_topic
from connectors.whatsapp_cloud import webhook
from connectors.whatsapp_cloud.webhook import EdgeLimits, routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.model import Record
    from broker.core.ports import EventLog, OpenBlobs

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LIMIT = 2_000
LIMITS = EdgeLimits(
    body_bytes=LIMIT, in_flight_bytes=2 * LIMIT, read_seconds=0.5, append_seconds=0.2, retry_after_seconds=7
)
VERIFY = "canary-verify-token"
OLD, NEW, STRANGE = b"canary-old-secret", b"canary-new-secret", b"canary-strange"


def app(name: str, tenant: str, *secrets: bytes, provider: str = "whatsapp_cloud", verify: str = VERIFY) -> App:
    return App(name=name, provider=provider, tenant=tenant, app_id=f"id-{name}", secrets=secrets, verify_token=verify)


def account(name: str, tenant: str, app_name: str) -> Account:
    return Account(
        name=name, tenant=tenant, app=app_name, provider="whatsapp_cloud", id=f"pn-{name}", group="waba", token="t"
    )


REGISTRY = Registry(
    tenants={
        name: Tenant(name=name, zone="UTC", key=TenantKey(name.encode().ljust(32, b"."))) for name in ("acme", "zen")
    },
    apps={
        "acme": app("acme", "acme", OLD, NEW),
        "zen": app("zen", "zen", b"zen-secret"),
        "sms": app("sms", "acme", OLD, provider="sms"),
        "bare": app("bare", "acme", verify=""),
    },
    accounts={"claims": account("claims", "acme", "acme"), "zen": account("zen", "zen", "zen")},
)


@dataclass(slots=True)
class Log:
    """Keeps what is appended, as long as nothing is wrong with it."""

    entries: list[NewEntry] = field(default_factory=list)
    appends: int = 0
    trouble: Exception | None = None
    seconds: float = 0.0
    entry_bytes: int = 1_000_000

    async def append(self, entries: Sequence[NewEntry]) -> None:
        self.appends += 1
        await asyncio.sleep(self.seconds)
        if self.trouble is not None:
            raise self.trouble
        self.entries += entries

    async def ping(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    @property
    def records(self) -> list[Record]:
        return [codec.decode_record(one.value) for one in self.entries if one.topic != unclaimed_topic().name]

    @property
    def unclaimed(self) -> list[UnclaimedBody]:
        bodies = [one for one in self.entries if one.topic == unclaimed_topic().name]
        return [codec.decode(one.value, UnclaimedBody) for one in bodies]


@dataclass(slots=True)
class Counts:
    seen: Counter[str] = field(default_factory=Counter)
    counted: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        self.counted.set()
        self.seen[" ".join([name.removeprefix("custody.webhook."), *labels.values()])] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class Edge:
    """An edge that is being served, and everything around it."""

    url: str
    client: aiohttp.ClientSession
    log: Log
    counts: Counts
    registry: Registry
    draining: bool = False
    seconds: float = 0.0

    async def post(
        self, body: bytes | AsyncIterator[bytes], *, to: str = "acme", **headers: str
    ) -> aiohttp.ClientResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.post(f"{self.url}/{to}", data=body, headers=given) as response:
            await response.read()
            return response

    async def deliver(self, body: bytes, *, to: str = "acme", secret: bytes = NEW) -> int:
        return (await self.post(body, to=to, x_hub_signature_256=sign(body, secret))).status

    async def verify(self, *, to: str = "acme", **query: str) -> tuple[int, str]:
        params = {f"hub.{name}": value for name, value in query.items()}
        async with self.client.get(f"{self.url}/{to}", params=params) as response:
            return response.status, await response.text()

    @property
    def outcomes(self) -> dict[str, int]:
        prefix = "bodies whatsapp_cloud "
        return {name.removeprefix(prefix): n for name, n in self.counts.seen.items() if name.startswith(prefix)}


@asynccontextmanager
async def serving(
    limits: EdgeLimits = LIMITS, log: Log | None = None, blobs: OpenBlobs = no_blobs
) -> AsyncIterator[Edge]:
    edge = Edge(url="", client=aiohttp.ClientSession(), log=log or Log(), counts=Counts(), registry=REGISTRY)
    counter = itertools.count()
    app = Starlette(
        routes=routes(
            registry=lambda: edge.registry,
            log=cast("EventLog", edge.log),
            clock=lambda: AT,
            entropy=lambda size: hashlib.shake_256(str(next(counter)).encode()).digest(size),
            metrics=edge.counts,
            blobs=blobs,
            limits=limits,
            draining=lambda: edge.draining,
            monotonic=lambda: edge.seconds,
        )
    )
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listening = config.bind_socket()
    await server.startup(sockets=[listening])
    edge.url = f"http://127.0.0.1:{listening.getsockname()[1]}/webhooks/whatsapp_cloud"
    try:
        yield edge
    finally:
        await edge.client.close()
        await server.shutdown(sockets=[listening])


def sign(body: bytes, secret: bytes = NEW) -> str:
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


def messages(*texts: str, account_id: str = "pn-claims") -> dict[str, object]:
    return {
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": account_id},
            "contacts": [{"wa_id": "27821234567", "user_id": "ZA.1", "profile": {"name": "canary"}}],
            "messages": [
                {
                    "from": "27821234567",
                    "from_user_id": "ZA.1",
                    "id": f"wamid.{text}",
                    "timestamp": "1749416383",
                    "type": "text",
                    "text": {"body": text},
                }
                for text in texts
            ],
        },
    }


def body_of(*changes: dict[str, object]) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": changes}]}).encode()


HELLO = body_of(messages("hello"))


async def nothing_happened(edge: Edge, status: int, outcome: str) -> None:
    assert edge.outcomes == {outcome: 1}
    assert edge.log.appends == 0
    assert status != 200


# --- the challenge -----------------------------------------------------------------------------------------------


async def test_the_challenge_is_echoed_to_whoever_knows_the_verify_token() -> None:
    async with serving() as edge:
        answer = await edge.verify(mode="subscribe", challenge="1158201444", verify_token=VERIFY)
    assert answer == (200, "1158201444")


async def test_other_methods_are_told_which_there_are() -> None:
    async with serving() as edge, edge.client.put(f"{edge.url}/acme", data=HELLO) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, POST")
    assert edge.log.appends == 0


@pytest.mark.parametrize(
    ("to", "query"),
    [
        ("acme", {"mode": "subscribe", "challenge": "1", "verify_token": "wrong"}),
        ("acme", {"mode": "subscribe", "challenge": "1", "verify_token": VERIFY + "x"}),
        ("acme", {"mode": "subscribe", "challenge": "1", "verify_token": "café"}),
        ("acme", {"mode": "subscribe", "challenge": "1"}),
        ("acme", {"mode": "unsubscribe", "challenge": "1", "verify_token": VERIFY}),
        ("acme", {"mode": "subscribe", "verify_token": VERIFY}),
        ("nobody", {"mode": "subscribe", "challenge": "1", "verify_token": VERIFY}),
        ("sms", {"mode": "subscribe", "challenge": "1", "verify_token": VERIFY}),
        ("bare", {"mode": "subscribe", "challenge": "1", "verify_token": ""}),
    ],
)
async def test_any_other_challenge_is_forbidden(to: str, query: dict[str, str]) -> None:
    async with serving() as edge:
        assert await edge.verify(to=to, **query) == (403, "")


# --- who may speak -----------------------------------------------------------------------------------------------


async def test_a_signed_body_is_answered_200_and_lies_in_the_log() -> None:
    async with serving() as edge:
        assert await edge.deliver(HELLO) == 200
        message = next(one for one in edge.log.records if one.envelope.kind == "message")
    assert (message.envelope.tenant, message.envelope.account, message.arrival.received_at) == ("acme", "pn-claims", AT)
    assert edge.outcomes == {"accepted": 1}
    assert edge.counts.seen["items whatsapp_cloud acme message"] == 1


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_both_secrets_are_live_while_one_is_rotated(secret: bytes) -> None:
    async with serving() as edge:
        assert await edge.deliver(HELLO, secret=secret) == 200


async def test_a_change_of_the_registry_takes_effect_at_once() -> None:
    async with serving() as edge:
        retired = replace(REGISTRY.apps["acme"], secrets=(NEW,))
        edge.registry = replace(REGISTRY, apps={**REGISTRY.apps, "acme": retired})
        assert await edge.deliver(HELLO, secret=OLD) == 401
        assert await edge.deliver(HELLO, secret=NEW) == 200


@pytest.mark.parametrize(
    "signature",
    [sign(HELLO, STRANGE), sign(HELLO + b" "), sign(HELLO).removeprefix("sha256="), "sha256=", "", "sha1=ab", "☃"],
)
async def test_a_wrong_signature_is_401_and_nothing_is_parsed(signature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    async with serving() as edge:
        response = await edge.post(HELLO, x_hub_signature_256=signature)
        await nothing_happened(edge, response.status, "unsigned")
    assert response.status == 401


def not_to_be_called(_: bytes) -> None:
    raise AssertionError


async def test_a_missing_signature_is_401_and_nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    async with serving() as edge:
        response = await edge.post(HELLO)
        await nothing_happened(edge, response.status, "unsigned")
    assert response.status == 401


@pytest.mark.parametrize("to", ["nobody", "sms"])
async def test_an_unknown_app_is_404_and_nothing_is_parsed(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    async with serving() as edge:
        status = await edge.deliver(HELLO, to=to, secret=OLD)
        await nothing_happened(edge, status, "unknown_app")
    assert status == 404


async def test_an_app_without_a_secret_accepts_nothing() -> None:
    async with serving() as edge:
        assert await edge.deliver(HELLO, to="bare", secret=b"") == 401


# --- who is told of refusals -------------------------------------------------------------------------------------


async def test_a_wrong_app_secret_is_told_once_a_minute_with_the_remedy() -> None:
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            for edge.seconds in (0.0, 1.0, 59.0, 60.0):
                assert await edge.deliver(HELLO, secret=STRANGE) == 401
    assert [(one["action"], one["log_level"], one["app"], one["refused_count"]) for one in lines] == [
        ("webhook.unsigned", "warning", "acme", 1),
        ("webhook.unsigned", "warning", "acme", 3),
    ]
    assert "secret_files" in lines[0]["why"]


async def test_a_missing_signature_is_told_as_well() -> None:
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            assert (await edge.post(HELLO)).status == 401
    assert [(one["action"], one["app"]) for one in lines] == [("webhook.unsigned", "acme")]


async def test_unknown_apps_are_told_once_a_minute_and_never_by_the_name_in_the_request() -> None:
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            for to in ("canary-one", "canary-two", "canary-three"):
                assert await edge.deliver(HELLO, to=to) == 404
    assert [(one["action"], one["log_level"], one["app"], one["refused_count"]) for one in lines] == [
        ("webhook.unknown_app", "warning", None, 1)
    ]
    assert "registered" in lines[0]["why"]
    assert "canary" not in repr(lines)


@pytest.mark.parametrize(
    ("to", "told", "remedy"),
    [
        ("acme", ("webhook.unverified", "acme"), "verify_token_file"),
        ("canary", ("webhook.unknown_app", None), "registered"),
    ],
)
async def test_a_callback_that_can_not_be_set_says_why(to: str, told: tuple[str, str | None], remedy: str) -> None:
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                await edge.verify(to=to, mode="subscribe", challenge="1", verify_token="canary")
    assert [(one["action"], one["app"]) for one in lines] == [told]
    assert remedy in lines[0]["why"]
    assert "canary" not in repr(lines)


async def test_what_is_taken_is_not_warned_of() -> None:
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(HELLO) == 200
            await edge.verify(mode="subscribe", challenge="1", verify_token=VERIFY)
    assert lines == []


# --- how much ----------------------------------------------------------------------------------------------------


def sized(count: int) -> bytes:
    return HELLO + b" " * (count - len(HELLO))


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 300):
        yield body[start : start + 300]


async def test_a_body_exactly_at_the_limit_is_taken() -> None:
    async with serving() as edge:
        assert await edge.deliver(sized(LIMIT)) == 200


async def test_a_body_over_the_limit_is_413_and_nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    async with serving() as edge:
        status = await edge.deliver(sized(LIMIT + 1))
        await nothing_happened(edge, status, "too_large")
    assert status == 413


async def test_chunks_without_a_length_are_taken_up_to_the_limit() -> None:
    async with serving() as edge:
        body = sized(LIMIT)
        assert (await edge.post(pieces(body), x_hub_signature_256=sign(body))).status == 200


async def test_chunks_without_a_length_are_cut_off_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    monkeypatch.setattr(webhook, "is_signed", not_to_be_called)
    async with serving() as edge:
        body = sized(LIMIT + 1)
        response = await edge.post(pieces(body), x_hub_signature_256=sign(body))
        await nothing_happened(edge, response.status, "too_large")
    assert response.status == 413


async def test_a_length_that_no_body_has_is_413() -> None:
    async with serving() as edge, raw(edge, f"Content-Length: {'9' * 15}") as (status, _):
        await nothing_happened(edge, status, "too_large")
    assert status == 413


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async with serving() as edge, raw(edge, "Content-Length: 100", b"half") as (status, _):
        await nothing_happened(edge, status, "slow_body")
    assert status == 408


async def test_a_sender_that_hangs_up_leaves_nothing_behind() -> None:
    async with serving() as edge:
        async with raw(edge, "Content-Length: 100", b"half", wait=False):
            await asyncio.sleep(0.05)
        await edge.counts.counted.wait()
        await nothing_happened(edge, 0, "disconnected")
        assert await edge.deliver(HELLO) == 200


@asynccontextmanager
async def raw(edge: Edge, header: str, body: bytes = b"", *, wait: bool = True) -> AsyncIterator[tuple[int, bytes]]:
    """A request written by hand; the status it was answered with."""
    port = int(edge.url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = ("POST /webhooks/whatsapp_cloud/acme HTTP/1.1", "Host: x", f"X-Hub-Signature-256: {sign(b'')}", header)
    writer.write("\r\n".join((*head, "", "")).encode() + body)
    line = await reader.readline() if wait else b"HTTP/1.1 0 "
    try:
        yield int(line.split()[1]), line
    finally:
        writer.close()
        await writer.wait_closed()


async def test_too_many_bytes_in_flight_are_503_until_others_are_done() -> None:
    log = Log(seconds=0.1)
    async with serving(log=log) as edge:
        body = sized(1_500)
        statuses = await asyncio.gather(*(edge.deliver(body) for _ in range(4)))
        assert Counter(statuses) == {200: 2, 503: 2}
        assert edge.outcomes == {"accepted": 2, "busy": 2}
        assert await edge.deliver(body) == 200


async def test_too_many_bodies_in_flight_are_503_until_others_are_done() -> None:
    log = Log(seconds=0.1)
    async with serving(log=log, limits=replace(LIMITS, in_flight_bodies=2)) as edge:
        answers = await asyncio.gather(*(edge.post(HELLO, x_hub_signature_256=sign(HELLO)) for _ in range(5)))
        assert Counter((one.status, one.headers.get("Retry-After")) for one in answers) == {
            (200, None): 2,
            (503, "7"): 3,
        }
        assert edge.outcomes == {"accepted": 2, "busy": 3}
        assert log.appends == 2
        assert await edge.deliver(HELLO) == 200


@dataclass(slots=True)
class HeldLog(Log):
    """Keeps callers waiting until it is told to go on."""

    called: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, entries: Sequence[NewEntry]) -> None:
        self.called.set()
        await self.go_on.wait()
        self.entries += entries


async def test_a_full_edge_turns_down_before_it_reads() -> None:
    log = HeldLog()
    async with serving(log=log, limits=replace(LIMITS, in_flight_bodies=1, append_seconds=60)) as edge:
        first = asyncio.create_task(edge.deliver(HELLO))
        await log.called.wait()
        async with raw(edge, "Content-Length: 9") as (status, _):
            assert status == 503
        log.go_on.set()
        assert await first == 200


async def test_bodies_that_nobody_signed_take_nobody_s_turn() -> None:
    async with serving(limits=replace(LIMITS, in_flight_bodies=1)) as edge, raw(edge, "Content-Length: 9", wait=False):
        assert await edge.deliver(HELLO) == 200


def test_a_bound_on_all_bodies_leaves_room_for_one() -> None:
    with pytest.raises(ValueError, match="in_flight_bytes"):
        EdgeLimits(body_bytes=10, in_flight_bytes=9)


# --- only once the log has it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [LogUnavailableError("down"), LogChangedError("another"), RuntimeError("canary"), TimeoutError()]
)
async def test_while_the_log_is_down_the_provider_is_asked_to_come_again(trouble: Exception) -> None:
    log = Log(trouble=trouble)
    async with serving(log=log) as edge:
        with structlog.testing.capture_logs() as lines:
            response = await edge.post(HELLO, x_hub_signature_256=sign(HELLO))
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        assert log.entries == []
        assert "canary" not in repr(lines)
        assert set(edge.counts.seen) < {"bodies whatsapp_cloud log_down", "bodies whatsapp_cloud log_slow"}
        log.trouble = None
        assert await edge.deliver(HELLO) == 200
    kinds = [one.envelope.kind for one in log.records]
    assert sorted(kinds) == ["identity", "message"]


async def test_a_body_is_appended_in_one_piece() -> None:
    async with serving() as edge:
        await edge.deliver(body_of(messages("one", "two"), messages("three", account_id="pn-nobody")))
        assert edge.log.appends == 1
        assert len(edge.log.unclaimed) == 1


async def test_a_log_that_takes_too_long_is_503_and_lets_go() -> None:
    log = Log(seconds=30.0)
    async with serving(log=log) as edge:
        response = await edge.post(HELLO, x_hub_signature_256=sign(HELLO))
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        assert edge.outcomes == {"log_slow": 1}
        assert log.entries == []


async def test_200_comes_after_the_logs_acknowledgement_and_not_before() -> None:
    log = Log(seconds=0.1)
    async with serving(log=log) as edge:
        waiting = asyncio.create_task(edge.deliver(HELLO))
        await asyncio.sleep(0.05)
        assert log.appends == 1
        assert not waiting.done()
        assert await waiting == 200


async def test_a_draining_edge_takes_nothing_new() -> None:
    async with serving() as edge:
        edge.draining = True
        response = await edge.post(HELLO, x_hub_signature_256=sign(HELLO))
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        await nothing_happened(edge, response.status, "draining")


async def test_identities_are_repeated_until_the_log_has_acknowledged_them() -> None:
    log = Log(trouble=LogUnavailableError("down"))
    async with serving(log=log) as edge:
        assert await edge.deliver(HELLO) == 503
        log.trouble = None
        assert await edge.deliver(HELLO) == 200
        assert await edge.deliver(HELLO) == 200
    assert Counter(one.envelope.kind for one in log.records) == {"identity": 1, "message": 2}


# --- a validly signed body is never refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b"null",
        b'{"object":"page","entry":[]}',
        b'{"a":' * 300,
        b'{"e":"\\ud800"}',
    ],
)
async def test_a_signed_body_of_no_known_shape_is_kept_raw_for_the_apps_tenant(body: bytes) -> None:
    async with serving() as edge:
        assert await edge.deliver(body) == 200
        (record,) = edge.log.records
    assert (record.envelope.tenant, record.envelope.account) == ("acme", "app.acme")


async def test_a_content_encoding_is_not_undone() -> None:
    packed = b"\x1f\x8b\x08\x00canary"
    async with serving() as edge:
        response = await edge.post(packed, x_hub_signature_256=sign(packed), content_encoding="gzip")
        assert response.status == 200
        (record,) = edge.log.records
        assert codec.item_content(record.content).item_base64 == packed


async def test_an_unknown_account_is_kept_raw_under_unclaimed() -> None:
    body = body_of(messages("hello", account_id="pn-nobody"))
    async with serving() as edge:
        assert await edge.deliver(body) == 200
        (kept,) = edge.log.unclaimed
    assert (kept.app, kept.account) == ("acme", "pn-nobody")
    assert isinstance(kept.body, bytes)
    assert json.loads(kept.body)["entry"][0]["changes"][0]["value"]["messages"][0]["text"] == {"body": "hello"}
    assert edge.counts.seen["unclaimed whatsapp_cloud unknown_account"] == 1


async def test_another_apps_account_is_kept_raw_counted_and_cried_out() -> None:
    body = body_of(messages("hello", account_id="pn-zen"), messages("mine"))
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(body) == 200
        assert [one.envelope.tenant for one in edge.log.records if one.envelope.kind == "message"] == ["acme"]
        assert [one.account for one in edge.log.unclaimed] == ["pn-zen"]
    assert edge.counts.seen["unclaimed whatsapp_cloud foreign_account"] == 1
    assert [(one["action"], one["log_level"], one["app"]) for one in lines] == [
        ("webhook.foreign_account", "error", "acme")
    ]


async def test_a_fault_of_the_parser_costs_nothing_but_the_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(_: bytes) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(webhook, "parse", parse)
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(HELLO) == 200
        assert [one.value.count(b"canary") for one in edge.log.entries] == [0]
        assert edge.log.entries[0].topic == unclaimed_topic().name
    assert edge.counts.seen["unclaimed whatsapp_cloud unreadable"] == 1
    assert lines[0]["errors"] == ["KeyError"]
    assert "canary" not in repr(lines)


async def test_keys_headers_labels_and_logs_hold_no_content() -> None:
    body = body_of(messages("canary"), messages("canary", account_id="27820001111"))
    async with serving() as edge:
        with structlog.testing.capture_logs() as lines:
            await edge.deliver(body)
            await edge.deliver(body, secret=STRANGE)
            await edge.verify(mode="subscribe", challenge="canary", verify_token=VERIFY)
        shown = repr((edge.counts.seen, lines, edge.log.entries, edge.log.records))
    assert not [word for word in ("canary", "27821234567", "27820001111", "ZA.1", "wamid") if word in shown]
