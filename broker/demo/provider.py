"""The simulated provider over HTTP: its story is started, its progress watched, its word asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from types import TracebackType

    from broker.judge import Row


@dataclass(slots=True, kw_only=True)
class ProviderControl:
    """The simulator's control calls."""

    url: str
    token: str = field(repr=False)
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.token}"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None, connect=10))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def play(self, messages: int, *, at: datetime | None = None) -> None:
        """Starts the story: `messages` inbound messages, or one telling for 0; now, or as if it were `at`."""
        begins = {} if at is None else {"at": int(at.timestamp())}
        await self._call("POST", "play", {"scenario": "insurance", "messages": messages, **begins})

    async def summary(self) -> dict[str, Any]:
        """The run in numbers, by the provider's own count."""
        return await self._call("GET", "summary")

    async def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return bool((await self._call("GET", "idle"))["idle"])

    def truth(self) -> AsyncIterator[Row]:
        """Everything it sent."""
        return self._rows("truth")

    def held(self) -> AsyncIterator[Row]:
        """What it still holds."""
        return self._rows("held")

    def media(self) -> AsyncIterator[Row]:
        """Every media object there was."""
        return self._rows("media")

    def deletes(self) -> AsyncIterator[Row]:
        """Every delete it saw."""
        return self._rows("deletes")

    async def _call(self, method: str, name: str, body: object = None) -> dict[str, Any]:
        async with self._open.request(method, f"{self.url}/simulator/{name}", json=body) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def _rows(self, name: str) -> AsyncIterator[Row]:
        async with self._open.get(f"{self.url}/simulator/{name}") as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use it inside `async with`")
        return self._session
