"""Who is calling the Graph API, and what may go wrong before the call is heard."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from connectors.simulator.graph_errors import (
    GraphError,
    invalid_parameter,
    invalid_token,
    not_registered,
    throttled,
    unavailable,
    unknown_object,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from connectors.simulator.ledger import Ledger
    from connectors.simulator.misbehaviour import Draws
    from connectors.simulator.world import Number, World

_THROTTLES = (130429, 80007, 4)
_TROUBLES = (500, 503)


class Gate:
    """Lets calls in. What strikes depends on the object called and how often it was, so that a retry may pass."""

    def __init__(self, *, world: World, ledger: Ledger, draws: Draws) -> None:
        self.world = world
        self.ledger = ledger
        self.draws = draws
        self.tallies: Counter[str] = Counter()

    async def open(self, request: Request) -> frozenset[str]:
        """The numbers the caller may speak for. Raises GraphError when misbehaviour strikes or the token is wrong."""
        await self.trouble(request)
        if self.draws.strikes_again("unauthorized", _place(request)):
            raise invalid_token()
        numbers = self.world.numbers_of_token(token(request))
        if not numbers:
            raise invalid_token()
        return numbers

    async def trouble(self, request: Request) -> None:
        """Be slow, broken or throttled where that strikes. Raises GraphError."""
        place = _place(request)
        self.tallies["calls"] += 1
        if self.draws.strikes_again("slow", place):
            await asyncio.sleep(self.draws.misbehaviour.slow_seconds)
        if self.draws.strikes_again("server_errors", place):
            raise unavailable(status=_TROUBLES[self.draws.choose(len(_TROUBLES), "trouble", place)])
        if self.draws.strikes_again("throttled", place):
            raise throttled(_THROTTLES[self.draws.choose(len(_THROTTLES), "throttle", place)])

    async def number(self, request: Request, *, registered: bool = False) -> Number:
        """The number in the path, which the token must speak for. Raises GraphError."""
        numbers = await self.open(request)
        account = str(request.path_params["object_id"])
        if account not in numbers:
            raise unknown_object(request.method.lower(), account)
        number = self.world.number(account)
        if registered and not number.registered:
            raise not_registered()
        return number


def token(request: Request) -> str:
    """The access token of a request: among the parameters, else in the header; clients in use send both at once."""
    if "access_token" in request.query_params:
        return request.query_params["access_token"]
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


async def parameters(request: Request) -> dict[str, object]:
    """The parameters of a POST: its query, and over that its body as JSON or a form. Raises GraphError."""
    given: dict[str, object] = dict(request.query_params)
    raw = await request.body()
    if not raw:
        return given
    if "application/x-www-form-urlencoded" in request.headers.get("content-type", ""):
        return given | dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid_parameter("the body is not JSON") from error
    if not isinstance(body, dict):
        raise invalid_parameter("the body is not an object")
    return given | body


def trace(request: Request, error: GraphError) -> str:
    """A text that a trace id can be made of."""
    return f"{request.method} {request.url.path} {error.code}"


def _place(request: Request) -> str:
    return f"{request.method} {request.url.path} {request.query_params.get('mid', '')}"
