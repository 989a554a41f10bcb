"""Media URLs: valid for five minutes, of no use without a token, and not to be guessed.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
(2026-09-11).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.simulator.misbehaviour import Draws
    from connectors.simulator.world import World

PATH = "/whatsapp_business/attachments/"


def media_url(world: World, media_id: str, *, draws: Draws) -> str:
    """A URL for these bytes. Where `expired_media_urls` strikes, its time is over already; the next may be good."""
    expired = draws.strikes_again("expired_media_urls", media_id)
    until = int(world.clock()) + (-1 if expired else world.config.media.url_seconds)
    query = {"mid": media_id, "ext": str(until), "hash": _proof(world, media_id, until)}
    return f"{world.base_url}{PATH}?{urlencode(query)}"


def named_in(world: World, query: Mapping[str, str]) -> str | None:
    """The media id that a URL's query asks for, or None when it was tampered with or its time is over."""
    media_id, until = query.get("mid", ""), query.get("ext", "")
    if not until.isdecimal() or world.clock() > int(until):
        return None
    proof = _proof(world, media_id, int(until))
    return media_id if hmac.compare_digest(proof.encode(), query.get("hash", "").encode()) else None


def _proof(world: World, media_id: str, until: int) -> str:
    key = f"media url {world.config.seed}".encode()
    return hmac.new(key, f"{media_id} {until}".encode(), "sha256").hexdigest()[:32]
