"""The simulator's HTTP face: the Graph API under any version, media downloads, and the control calls."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.simulator import links
from connectors.simulator.gate import trace
from connectors.simulator.graph_errors import GraphError, unknown_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from connectors.simulator.parts import Parts

_VERSION = re.compile(r"^/v\d{1,3}\.\d{1,2}(?=/)")


def build(parts: Parts, *, control: Sequence[Route]) -> ASGIApp:
    """The whole app."""
    objects = _Objects(parts)
    accounts, media, messages = parts.accounts, parts.media, parts.messages
    one = "/{object_id}"
    graph = [
        Route("/oauth/access_token", accounts.app_token, methods=["GET"]),
        Route("/debug_token", accounts.debug_token, methods=["GET"]),
        Route(links.PATH.rstrip("/"), media.download, methods=["GET"]),
        Route(f"{one}/media", media.upload, methods=["POST"]),
        Route(f"{one}/messages", messages.send, methods=["POST"]),
        Route(f"{one}/settings", accounts.settings, methods=["GET"]),
        Route(f"{one}/settings", accounts.change_settings, methods=["POST"]),
        Route(f"{one}/register", accounts.register, methods=["POST"]),
        Route(f"{one}/deregister", accounts.deregister, methods=["POST"]),
        Route(f"{one}/contact_book", accounts.forget_contact, methods=["DELETE"]),
        Route(f"{one}/phone_numbers", accounts.numbers, methods=["GET"]),
        Route(f"{one}/subscribed_apps", accounts.subscribed_apps, methods=["GET"]),
        Route(f"{one}/subscribed_apps", accounts.override_waba, methods=["POST"]),
        Route(f"{one}/subscriptions", accounts.subscriptions, methods=["GET"]),
        Route(f"{one}/subscriptions", accounts.subscribe, methods=["POST"]),
        Route(one, objects.get, methods=["GET"]),
        Route(one, objects.post, methods=["POST"]),
        Route(one, objects.delete, methods=["DELETE"]),
        Route("/{path:path}", objects.unknown, methods=["GET", "POST", "DELETE", "PUT", "PATCH"]),
    ]
    starlette = Starlette(routes=[*control, *graph])
    starlette.add_exception_handler(GraphError, _graph_error)
    return _AnyVersion(starlette)


class _Objects:
    """What is asked of an object by its bare id: a media object, a number or a WABA."""

    def __init__(self, parts: Parts) -> None:
        self._gate = parts.gate
        self._media = parts.media
        self._accounts = parts.accounts

    async def get(self, request: Request) -> Response:
        numbers = await self._gate.open(request)
        object_id = str(request.path_params["object_id"])
        if object_id in numbers:
            return await self._accounts.number(request, object_id)
        mine = {self._gate.world.number(account).config.waba_id for account in numbers}
        if object_id in mine:
            name = self._gate.world.wabas[object_id].name
            return JSONResponse({"id": object_id, "name": name})
        return await self._media.show(request, numbers)

    async def post(self, request: Request) -> Response:
        number = await self._gate.number(request)
        return await self._accounts.override_number(request, number.id)

    async def delete(self, request: Request) -> Response:
        return await self._media.delete(request, await self._gate.open(request))

    async def unknown(self, request: Request) -> Response:
        raise unknown_object(request.method.lower(), request.url.path)


class _AnyVersion:
    """Takes a version prefix and a trailing slash off the path: every version of the API is answered alike."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = _VERSION.sub("", scope["path"])
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


def _graph_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, GraphError):
        raise error
    return JSONResponse(error.envelope(trace(request, error)), status_code=error.status)
