"""A provider of a few lines over real HTTP on loopback: each path answers what a test put there, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.test_utils import TestServer

from broker.core.model import EraseCommand, FetchTask, MediaObject
from broker.core.registry import Account, App, Posture
from connectors.whatsapp_cloud.client import CloudSettings
from connectors.whatsapp_cloud.connector import WhatsAppCloud

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TOKEN = "canary-token-EAAJ"
MEDIA_ID = "1166846181421424"
GRAPH = "/v25.0"
APP = App(
    name="meta-app",
    provider="whatsapp_cloud",
    tenant="acme",
    app_id="670843887433847",
    secrets=(b"canary-secret", b"canary-new-secret"),
    verify_token="canary-verify",
)
ACCOUNT = Account(
    name="claims",
    tenant="acme",
    app="meta-app",
    provider="whatsapp_cloud",
    id="106540352242922",
    group="102290129340398",
    token=TOKEN,
    posture=Posture(),
)
CANARIES = ("canary", MEDIA_ID, TOKEN, "hash=")
"""What may stand in no error and no repr."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Provider:
    """What it was asked, and what it answers; the last answer of a path is given again and again."""

    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    base: str = ""

    @property
    def host(self) -> str:
        return self.base.removeprefix("http://")

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = list(answers)

    def urls_of(self, method: str) -> list[str]:
        return [path for verb, path, _ in self.asked if verb == method]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Authorization", "")))
        self.queries.append(dict(request.query))
        waiting = self.answers.get((request.method, request.path))
        if not waiting:
            return web.Response(status=418)
        return await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)


def json(status: int = 200, headers: dict[str, str] | None = None, /, **body: object) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def graph_error(status: int, code: int, headers: dict[str, str] | None = None) -> Answer:
    error = {"message": f"canary {TOKEN}", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
    return json(status, headers, error=error)


def data(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


def torn(body: bytes, announced: int) -> Answer:
    """Fewer bytes than announced, and then the connection is gone."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(announced)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection instead of answering."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    double = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    async with TestServer(app) as server:
        double.base = str(server.make_url("")).rstrip("/")
        yield double


@asynccontextmanager
async def connector(
    double: Provider, *, now: Callable[[], datetime] = lambda: NOW, **settings: float
) -> AsyncIterator[WhatsAppCloud]:
    """A connector to it, which may fetch media from it too."""
    cloud = WhatsAppCloud(
        clock=now,
        app_of={APP.name: APP}.get,
        settings=CloudSettings(
            graph_url=double.base + GRAPH,
            extra_media_hosts=(double.host,),
            **settings,
        ),
    )
    try:
        yield cloud
    finally:
        await cloud.close()


def task(media: MediaObject | None = None, *, received_at: datetime = NOW) -> FetchTask:
    return FetchTask(
        tenant="acme",
        account=ACCOUNT.id,
        provider="whatsapp_cloud",
        conversation="cnv_1",
        record_id="rec_1",
        fingerprint=b"f" * 32,
        target_id="tgt_1",
        media=media or MediaObject(part=1, object_id=MEDIA_ID),
        mime="image/jpeg",
        fetch_by=NOW,
        received_at=received_at,
    )


def command(object_id: str = MEDIA_ID, *, object_kind: str = "media") -> EraseCommand:
    return EraseCommand(
        tenant="acme",
        account=ACCOUNT.id,
        provider="whatsapp_cloud",
        target_id="tgt_1",
        object_kind=object_kind,
        object_id=object_id,
        attempt=1,
        commanded_at=NOW,
    )
