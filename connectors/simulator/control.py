"""The control calls: play, misbehave, send one item, and read the ground truth. They need the control token.

Reports of many rows are NDJSON, one object a line, streamed.
"""

from __future__ import annotations

import hmac
import json
from itertools import islice
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from connectors.simulator import inbound
from connectors.simulator.errors import ConfigError
from connectors.simulator.gate import token
from connectors.simulator.scenario import Play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    from connectors.simulator.simulator import Simulator

    Handler = Callable[[Request], Awaitable[Response]]

_LINES_AT_ONCE = 500
_LONGEST_WAIT_SECONDS = 600.0


def routes(simulator: Simulator) -> list[Route]:
    """The control calls of this simulator."""
    control = _Control(simulator)
    reads: dict[str, Handler] = {
        "truth": control.truth,
        "held": control.held,
        "media": control.media,
        "deletes": control.deletes,
        "downloads": control.downloads,
        "summary": control.summary,
        "idle": control.idle,
    }
    writes: dict[str, Handler] = {
        "play": control.play,
        "misbehave": control.misbehave,
        "inbound": control.inbound,
        "subscribe": control.subscribe,
        "secret": control.secret,
    }
    listed = [Route(f"/simulator/{name}", control.guarded(call), methods=["GET"]) for name, call in reads.items()]
    return listed + [
        Route(f"/simulator/{name}", control.guarded(call), methods=["POST"]) for name, call in writes.items()
    ]


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def guarded(self, call: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            if not hmac.compare_digest(token(request).encode(), self._simulator.control_token.encode()):
                return JSONResponse({"error": "the control token is missing or wrong"}, status_code=401)
            try:
                return await call(request)
            except ConfigError as error:
                return JSONResponse({"error": str(error), "code": error.code}, status_code=400)

        return answer

    async def truth(self, request: Request) -> Response:
        return _lines(_matching(self._simulator.truth(), request))

    async def held(self, request: Request) -> Response:
        return _lines(_matching(self._simulator.held(), request))

    async def media(self, request: Request) -> Response:
        return _lines(_matching(self._simulator.media(), request))

    async def deletes(self, request: Request) -> Response:
        return _lines(_matching(self._simulator.deletes(), request))

    async def downloads(self, request: Request) -> Response:
        return _lines(_matching(self._simulator.downloads(), request))

    async def summary(self, _: Request) -> Response:
        return JSONResponse(self._simulator.summary())

    async def idle(self, request: Request) -> Response:
        """Whether nothing is under way; `wait_seconds` waits for that, so long."""
        try:
            wait = min(float(request.query_params.get("wait_seconds", "0")), _LONGEST_WAIT_SECONDS)
        except ValueError as error:
            message = "wait_seconds is not a number"
            raise ConfigError(message) from error
        try:
            await self._simulator.idle(timeout_seconds=wait)
        except TimeoutError:
            return JSONResponse({"idle": False, "pending": self._simulator.pending})
        return JSONResponse({"idle": True, "pending": 0})

    async def play(self, request: Request) -> Response:
        given = await _object(request)
        messages, seed, at = given.get("messages") or 0, given.get("seed"), given.get("at")
        if not isinstance(messages, int) or not isinstance(seed, int | None) or not isinstance(at, int | None):
            message = "messages, seed and at must be whole numbers"
            raise ConfigError(message)
        play = Play(scenario=str(given.get("scenario", "insurance")), messages=messages, seed=seed, at=at)
        run = self._simulator.start(play)
        return JSONResponse({"playing": True, "run": run}, status_code=202)

    async def misbehave(self, request: Request) -> Response:
        """Change what is named; `reset` true first sets everything to never."""
        given = await _object(request)
        reset = given.pop("reset", False) is True
        return JSONResponse(self._simulator.misbehave(given, reset=reset))

    async def inbound(self, request: Request) -> Response:
        asked = inbound.read(await request.body())
        receipt = await self._simulator.send(inbound.draft(asked, self._simulator.composer))
        answer = {
            "message_id": receipt.message_id,
            "media": receipt.media,
            "entries": receipt.entries,
            "subscribed": receipt.subscribed,
            "struck": receipt.struck,
        }
        return JSONResponse(answer, status_code=202)

    async def subscribe(self, request: Request) -> Response:
        """Set an app's callback URL, by its challenge; without `callback_url` the one it has is challenged."""
        given = await _object(request)
        url = given.get("callback_url")
        refused = await self._simulator.subscribe(str(given.get("app_id")), str(url) if url else None)
        return JSONResponse({"verified": refused is None, "refused": refused})

    async def secret(self, request: Request) -> Response:
        """Give an app another secret: what is sent from now on is signed with that."""
        given = await _object(request)
        self._simulator.set_secret(str(given.get("app_id")), str(given.get("secret", "")))
        return JSONResponse({"changed": True})


async def _object(request: Request) -> dict[str, object]:
    try:
        given = json.loads(await request.body() or b"{}")
    except ValueError as error:
        message = "the body is not JSON"
        raise ConfigError(message) from error
    if not isinstance(given, dict):
        message = "the body is not an object"
        raise ConfigError(message)
    return given


def _matching(rows: Iterator[dict[str, object]], request: Request) -> Iterator[dict[str, object]]:
    """The rows whose fields are as the query says, written as JSON: `?delivered=true&account=..`."""
    wanted = {name: value for name, value in request.query_params.items() if name != "access_token"}
    return (row for row in rows if all(_shown(row.get(name)) == value for name, value in wanted.items()))


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _lines(rows: Iterator[dict[str, object]]) -> Response:
    return StreamingResponse(_encoded(rows), media_type="application/x-ndjson")


def _encoded(rows: Iterator[dict[str, object]]) -> Iterator[bytes]:
    while lines := [json.dumps(row) for row in islice(rows, _LINES_AT_ONCE)]:
        yield ("\n".join(lines) + "\n").encode()
