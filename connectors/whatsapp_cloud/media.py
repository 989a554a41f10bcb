"""Fetching a part's bytes: where the token may be sent, which digests must hold, and the two steps of a download.

`GET /{media-id}` gives `{url, mime_type, sha256, file_size, id}`; the URL is good for 5 minutes and of no use without
the token. A download that fails answers 404: ask for a new URL, and if that fails too, renew the token. The webhook's
own `url` saves the first step while it is fresh, and if the webhook announced a digest to check the bytes against.

What is kept will be erased at the provider, so no part is kept unchecked. Where neither the webhook nor the
description has a readable digest, which the documentation does not foresee, the bytes are read twice: the digest of the
first reading is what the second, which is kept, must have. Two readings that differ are a digest that does not hold.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
(2026-09-11).
"""

from __future__ import annotations

import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from msgspec import UNSET
from yarl import URL

from broker.core.digests import announced_sha256
from broker.core.errors import (
    CustodyError,
    ForbiddenHostError,
    ProviderThrottledError,
    ProviderUnavailableError,
    SettingsError,
    TooLargeError,
)
from broker.core.ports import Capabilities, Clock, OpenPart
from connectors.whatsapp_cloud.client import (
    OK,
    GraphAnswer,
    GraphClient,
    fault,
    is_loopback,
    refused,
    retry_after,
    transport,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import aiohttp

    from broker.core.model import FetchTask
    from broker.core.registry import Account

URL_IS_FRESH = timedelta(minutes=4, seconds=30)
"""The provider's five minutes, less what the request itself may take."""

_RENEWALS = 2
_CHUNK_BYTES = 65_536
_URL_CHARACTERS = 4_096
_ENTRY = re.compile(r"(?P<host>[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_REDIRECTS = range(300, 400)
_REFUSED = (401, 403)
_MISSING = (404, 410)
_TOO_MANY = 429
_SERVER_ERROR = 500
_DEFAULT_PORTS = {"https": 443, "http": 80}

_log = structlog.get_logger(__name__)


class MediaHosts:
    """The only hosts that the token is sent to: `host`, at its scheme's own port, or `host:port`, each exactly.

    `plain` allows http, to loopback alone.
    """

    def __init__(self, hosts: Iterable[str], *, plain: bool) -> None:
        self._plain = plain
        self._allowed = {_host_and_port(one) for one in hosts}

    def accepted(self, text: str) -> URL | None:
        """The URL, to be requested exactly as given; None when the token may not go there."""
        url = _parsed(text)
        return url if url is not None and self._allows(url) else None

    def _allows(self, url: URL) -> bool:
        host = (url.raw_host or "").lower()
        secure = url.scheme == "https" or (self._plain and url.scheme == "http" and is_loopback(host))
        if not secure or url.user is not None or url.password is not None:
            return False
        if url.port == _DEFAULT_PORTS[url.scheme] and (host, None) in self._allowed:
            return True
        return (host, url.port) in self._allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What `GET /{media-id}` says of a media object; `size` in bytes."""

    url: str = field(repr=False)
    mime: str | None
    size: int | None
    sha256: str | None = field(repr=False)


def described(answer: GraphAnswer, what: str) -> Described:
    """The description in an answer; else the error that the answer stands for."""
    url = answer.body.get("url")
    if answer.status != OK:
        raise fault(answer, what)
    if not isinstance(url, str) or not url:
        raise ProviderUnavailableError(f"{what}: the provider described it without a URL; it is tried again")
    mime, sha256 = answer.body.get("mime_type"), answer.body.get("sha256")
    return Described(
        url=url,
        mime=mime if isinstance(mime, str) else None,
        size=_size(answer.body.get("file_size")),
        sha256=sha256 if isinstance(sha256, str) else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Opens parts at the provider."""

    client: GraphClient
    hosts: MediaHosts
    capabilities: Capabilities
    clock: Clock

    @asynccontextmanager
    async def open(self, account: Account, task: FetchTask) -> AsyncIterator[OpenPart]:
        """The bytes of a part; see `Connector.open_part`."""
        what = f"part {task.media.part} of record {task.record_id}"
        response, about = await self._respond(account, task, what)
        try:
            digests = _digests(task, about)
            if not digests:
                digests = (await self._first_reading(response, about, task, what),)
                response, about = await self._respond(account, task, what)
            size = _checked_size(response, about, self.capabilities.max_part_bytes, what)
            yield OpenPart(
                mime=(about.mime if about is not None else None) or task.mime,
                size=size,
                sha256=digests,
                chunks=_chunks(response, size=size, limit=self.capabilities.max_part_bytes, what=what),
            )
        finally:
            response.close()

    async def _first_reading(
        self, response: aiohttp.ClientResponse, about: Described | None, task: FetchTask, what: str
    ) -> bytes:
        """The digest of bytes for which none was announced; they are not held."""
        _log.warning("no digest announced", action="media.unannounced", record_id=task.record_id, part=task.media.part)
        limit = self.capabilities.max_part_bytes
        size = _checked_size(response, about, limit, what)
        digest = hashlib.sha256()
        try:
            async for chunk in _chunks(response, size=size, limit=limit, what=what):
                digest.update(chunk)
        finally:
            response.close()
        return digest.digest()

    async def _respond(
        self, account: Account, task: FetchTask, what: str
    ) -> tuple[aiohttp.ClientResponse, Described | None]:
        """An answer of 200 with the bytes to come, and the description it was found by, if one was needed."""
        told = self._fresh_url(task)
        if told is not None:
            response = await self.client.fetch(told, token=account.token, what=what)
            if response.status == OK:
                return response, None
            response.close()
            if response.status == _TOO_MANY or response.status >= _SERVER_ERROR:
                raise _download_fault(response, what)
        for _ in range(_RENEWALS):
            about = await self._describe(account, task, what)
            url = self.hosts.accepted(about.url)
            if url is None:
                raise ForbiddenHostError(f"{what}: its URL leads outside the allow-listed hosts; no token was sent")
            response = await self.client.fetch(url, token=account.token, what=what)
            if response.status == OK:
                return response, about
            response.close()
            if response.status not in _MISSING:
                raise _download_fault(response, what)
        raise refused(what, "every new URL answers 404")

    async def _describe(self, account: Account, task: FetchTask, what: str) -> Described:
        query = {"phone_number_id": account.id}
        answer = await self.client.call("GET", task.media.object_id, token=account.token, what=what, query=query)
        about = described(answer, what)
        if about.size is not None and about.size > self.capabilities.max_part_bytes:
            raise _too_large(what)
        return about

    def _fresh_url(self, task: FetchTask) -> URL | None:
        """The webhook's own URL, while it is good, leads where the token may go, and its bytes can be checked."""
        url = task.media.url
        if url is UNSET or _told(task) is None or self.clock() - task.received_at >= URL_IS_FRESH:
            return None
        return self.hosts.accepted(url)


async def _chunks(response: aiohttp.ClientResponse, *, size: int | None, limit: int, what: str) -> AsyncIterator[bytes]:
    received = 0
    while True:
        with transport(what):
            chunk = await response.content.read(_CHUNK_BYTES)
        if not chunk:
            break
        received += len(chunk)
        if received > limit:
            raise _too_large(what)
        yield chunk
    if size is not None and received < size:
        raise ProviderUnavailableError(f"{what}: {received} bytes came, {size} were announced; it is tried again")


def _checked_size(response: aiohttp.ClientResponse, about: Described | None, limit: int, what: str) -> int | None:
    """The size announced, where one was; `TooLargeError` before a byte is read."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProviderUnavailableError(f"{what}: the bytes come encoded, unasked for; it is tried again")
    size = response.content_length
    if size is None and about is not None:
        size = about.size
    if size is not None and size > limit:
        raise _too_large(what)
    return size


def _digests(task: FetchTask, about: Described | None) -> tuple[bytes, ...]:
    """Whatever was announced and can be read as a digest, in hex or base64; junk is passed over."""
    asked = None if about is None else announced_sha256(about.sha256)
    return tuple(dict.fromkeys(one for one in (_told(task), asked) if one is not None))


def _told(task: FetchTask) -> bytes | None:
    """The digest that the webhook announced, if it can be read."""
    return None if task.media.sha256 is UNSET else announced_sha256(task.media.sha256)


def _download_fault(response: aiohttp.ClientResponse, what: str) -> CustodyError:
    """What a download's status other than 200 and 404 means. A redirect is never followed with the token."""
    status = response.status
    if status in _REDIRECTS:
        return ForbiddenHostError(f"{what}: the media host redirects (http_{status}); the token was not sent on")
    if status in _REFUSED:
        return refused(what, f"http_{status}")
    if status == _TOO_MANY:
        return ProviderThrottledError(
            f"{what}: the media host asks to slow down", retry_after_seconds=retry_after(response.headers)
        )
    return ProviderUnavailableError(f"{what}: the media host answers http_{status}; it is tried again")


def _too_large(what: str) -> TooLargeError:
    return TooLargeError(f"{what}: larger than the provider's own limit; it is not fetched")


def _size(value: object) -> int | None:
    """`file_size` is documented as a string and seen as a number."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len("9007199254740991"):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parsed(text: str) -> URL | None:
    """A URL that goes over the wire exactly as given, or None where two readers could understand it differently."""
    if len(text) > _URL_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        url = URL(text, encoded=True)
        known_port = url.port is not None
    except ValueError:
        return None
    return url if url.scheme in _DEFAULT_PORTS and known_port else None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    shape = _ENTRY.fullmatch(entry)
    if shape is None:
        finding = f"extra_media_hosts: {entry!r} is not host or host:port; for example '127.0.0.1:8081'"
        raise SettingsError([finding])
    return shape["host"].strip("[]").lower(), int(shape["port"]) if shape["port"] else None
