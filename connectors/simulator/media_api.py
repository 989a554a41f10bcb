"""Media over the Graph API: their URL and digest, their bytes, their deletion, and uploads.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
(2026-09-11). The answer after deletion and the digest's encoding are not documented; settings choose.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse

from connectors.simulator import files, links, multipart
from connectors.simulator.gate import Gate, token
from connectors.simulator.graph_errors import gone, invalid_parameter, unavailable, unknown_object
from connectors.simulator.ledger import Media

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from connectors.simulator.ids import Ids

_FORM_BYTES = 65_536
_AT_ONCE_BYTES = 262_144
_TTL_MINUTES = range(60, 43_201)
_LIMITS = {"image/": 5_000_000, "image/webp": 500_000, "audio/": 16_000_000, "video/": 16_000_000}
_TYPES = ("image/jpeg", "image/png", "image/webp", "audio/", "video/mp4", "video/3gp", "application/", "text/plain")


class MediaApi:
    """Serves media objects; `uploads` is the folder where uploaded bytes lie."""

    def __init__(self, gate: Gate, *, ids: Ids, uploads: Path) -> None:
        self._gate = gate
        self._world = gate.world
        self._ledger = gate.ledger
        self._ids = ids
        self._uploads = uploads

    async def show(self, request: Request, numbers: frozenset[str]) -> Response:
        """`GET /{media-id}`: its URL, digest, type and size."""
        media = self._served(request, numbers)
        encoding = self._world.config.media.digest_encoding
        shown = b64encode(media.announced).decode() if encoding == "base64" else media.announced.hex()
        self._gate.tallies["media_urls"] += 1
        url = links.media_url(self._world, media.id, draws=self._gate.draws)
        return JSONResponse(
            {
                "messaging_product": "whatsapp",
                "url": url,
                "mime_type": media.mime,
                "sha256": shown,
                "file_size": str(media.size),
                "id": media.id,
            }
        )

    async def delete(self, request: Request, numbers: frozenset[str]) -> Response:
        """`DELETE /{media-id}`."""
        media_id = str(request.path_params["object_id"])
        now = self._world.clock()
        media = self._ledger.media(media_id)
        mine = media is not None and media.account in numbers and _agrees(request, media)
        erased = media is not None and mine and media.served(now)
        account = media.account if media is not None and mine else None
        self._ledger.media_deleted(media_id, account=account, at=now, erased=erased)
        if not erased:
            raise self._missing("delete", media_id, mine=mine)
        (self._uploads / media_id).unlink(missing_ok=True)
        if self._gate.draws.strikes_again("lost_answers", media_id):
            raise unavailable(status=503)
        return JSONResponse({"success": True})

    async def download(self, request: Request) -> Response:
        """The bytes behind a media URL: 404 for whatever is wrong with the URL, the token or the object."""
        await self._gate.trouble(request)
        media_id = links.named_in(self._world, request.query_params)
        numbers = self._world.numbers_of_token(token(request))
        media = self._ledger.media(media_id) if media_id is not None else None
        now = self._world.clock()
        if media is None or media.account not in numbers or not media.served(now):
            if media_id is not None and numbers:
                self._ledger.media_downloaded(media_id, account="", at=now, status=404)
            return Response(status_code=404)
        damaged = self._gate.draws.strikes_again("damaged_download", media.id)
        self._ledger.media_downloaded(media.id, account=media.account, at=now, status=200, damaged=damaged)
        headers = {"Content-Length": str(media.size), "Content-Type": media.mime}
        if media.size <= _AT_ONCE_BYTES:
            return Response(b"".join(self._bytes(media, damaged=damaged)), headers=headers)
        return StreamingResponse(self._bytes(media, damaged=damaged), headers=headers)

    async def upload(self, request: Request) -> Response:
        """`POST /{phone-number-id}/media`."""
        number = await self._gate.number(request, registered=True)
        form = multipart.parts(request.headers.get("content-type", ""), await self._form(request))
        file = form.get("file")
        if file is None or "messaging_product" not in form:
            raise invalid_parameter("file and messaging_product are required", code=131008)
        mime = form["type"].text if "type" in form else file.content_type or ""
        _check_file(mime, len(file.data))
        media_id = self._ids.media_id()
        (self._uploads / media_id).write_bytes(file.data)
        digest, now = sha256(file.data).digest(), self._world.clock()
        self._ledger.media_made(
            Media(
                id=media_id,
                account=number.id,
                source="upload",
                mime=mime,
                size=len(file.data),
                sha256=digest,
                announced=digest,
                made_at=now,
                expires_at=self._world.upload_until(number.id, now, _ttl_minutes(form)),
            )
        )
        return JSONResponse({"id": media_id})

    def _served(self, request: Request, numbers: frozenset[str]) -> Media:
        media_id = str(request.path_params["object_id"])
        media = self._ledger.media(media_id)
        mine = media is not None and media.account in numbers and _agrees(request, media)
        if media is None or not mine or not media.served(self._world.clock()):
            raise self._missing("get", media_id, mine=mine)
        return media

    def _missing(self, verb: str, media_id: str, *, mine: bool) -> Exception:
        if not mine:
            return unknown_object(verb, media_id)
        return gone(verb, media_id, status=self._world.config.media.gone_status)

    def _bytes(self, media: Media, *, damaged: bool) -> Iterator[bytes]:
        if media.source == "upload":
            whole: Iterator[bytes] = _read(self._uploads / media.id)
        else:
            seed = self._world.config.seed
            whole = files.chunks(seed=seed, media_id=media.id, mime=media.mime, size=media.size)
        for chunk in whole:
            # Same length, other bytes: what is announced by Content-Length must come.
            yield bytes(reversed(chunk)) if damaged else chunk

    async def _form(self, request: Request) -> bytes:
        limit = self._world.config.media.upload_limit_bytes + _FORM_BYTES
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise invalid_parameter("the file is larger than the provider takes", code=131052)
        return bytes(body)


def _agrees(request: Request, media: Media) -> bool:
    """Whether the number named beside the object, if any, is its own."""
    named = request.query_params.get("phone_number_id")
    return named is None or named == media.account


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(files.CHUNK_BYTES):
            yield chunk


def _check_file(mime: str, size: int) -> None:
    if not mime.startswith(_TYPES):
        raise invalid_parameter(f"files of type {mime or 'unknown'} are not taken", code=131053)
    longest = max((prefix for prefix in _LIMITS if mime.startswith(prefix)), key=len, default="")
    if size > _LIMITS.get(longest, size):
        raise invalid_parameter("the file is larger than its type may be", code=131052)


def _ttl_minutes(form: dict[str, multipart.Part]) -> int | None:
    if "ttl_minutes" not in form:
        return None
    given = form["ttl_minutes"].text
    if not given.isdecimal() or int(given) not in _TTL_MINUTES:
        raise invalid_parameter("ttl_minutes must lie between 60 and 43200")
    return int(given)
