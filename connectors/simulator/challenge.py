"""The challenge by which a callback URL shows that it knows the verify token.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
(2026-09): `GET` with `hub.mode`, `hub.challenge` and `hub.verify_token`; answer 200 with the challenge itself. Sent
whenever URL or token are set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from connectors.simulator.ids import Ids
    from connectors.simulator.world import Callback

_OK = 200
_TIMEOUT_SECONDS = 10.0


class Challenger:
    """Challenges callback URLs."""

    def __init__(self, session: aiohttp.ClientSession, *, ids: Ids) -> None:
        self._session = session
        self._ids = ids

    async def refused(self, callback: Callback) -> str | None:
        """Why the URL did not pass, or None when it did."""
        challenge = str(int(self._ids.token(8), 16))
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": callback.verify_token}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with self._session.get(callback.url or "", params=query, timeout=timeout) as answer:
                said = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return "the URL could not be reached"
        if answer.status != _OK:
            return f"HTTP status code {answer.status}"
        return None if said == challenge else "the challenge did not match"
