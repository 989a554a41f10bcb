"""Something that receives webhooks: it keeps what it gets, and answers as it is told."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.simulator.signing import SIGNATURE_HEADER, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request


@dataclass
class Receiver:
    """`answers` are used up in order, then everything gets 200. `app` serves it."""

    secret: str
    verify_token: str
    answers: deque[Response] = field(default_factory=deque)
    bodies: list[bytes] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[Route("/", self._challenge, methods=["GET"]), Route("/", self._post, methods=["POST"])]
        )

    async def _challenge(self, request: Request) -> Response:
        query = request.query_params
        if query.get("hub.mode") == "subscribe" and query.get("hub.verify_token") == self.verify_token:
            return PlainTextResponse(query["hub.challenge"])
        return Response(status_code=403)

    async def _post(self, request: Request) -> Response:
        raw = await request.body()
        if request.headers.get(SIGNATURE_HEADER) != signature(self.secret, raw):
            return Response(status_code=401)
        self.bodies.append(raw)
        answer = self.answers.popleft() if self.answers else Response(status_code=200)
        if answer.status_code == 200:
            self.accepted.append(raw)
        return answer

    def values(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Field and value of every accepted change, in the order they came."""
        for raw in self.accepted:
            for entry in json.loads(raw)["entry"]:
                for change in entry["changes"]:
                    yield change["field"], change["value"]

    def items(self, array: str) -> list[dict[str, Any]]:
        """Every accepted item of this list."""
        return [item for _, value in self.values() for item in value.get(array, ())]

    def ids(self, array: str = "messages") -> Counter[str]:
        """How often each id was accepted."""
        return Counter(item["id"] for item in self.items(array))
