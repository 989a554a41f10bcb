"""Calls to the Graph API, and what its errors mean. No token, URL, media id or provider text gets into an error.

An error comes as `{"error": {message, type, code, error_data: {details}, ..}}`; only the HTTP status and the code
are read. Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
(2026-09).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from broker.core.errors import (
    CustodyError,
    ObjectGoneError,
    PermanentError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
    SettingsError,
)

GRAPH_URL = "https://graph.facebook.com/v25.0"

OK = 200
_BAD_REQUEST = 400
_UNAUTHORISED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_TOO_MANY = 429
_SERVER_ERROR = 500

_THROTTLED_CODES = frozenset({4, 17, 32, 613, 80007, 130429, 131056})
_REFUSED_CODES = frozenset({10, 102, 190, *range(200, 300)})
_PASSING_CODES = frozenset({1, 2, 131000, 131016})
_NO_SUCH_OBJECT = 100

_ANSWER_BYTES = 1_000_000
_SEGMENT = re.compile(r"[0-9A-Za-z_-]{1,200}", re.ASCII)


class UnaddressedError(PermanentError):
    """The id is none that the provider could have issued: a call with it could reach something else."""

    code = "unaddressed"


class UnsentError(ProviderUnavailableError):
    """The request never left: the provider can't have acted on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Where the provider is. `extra_media_hosts` (`host` or `host:port`) join the provider's own, for a simulator.

    Plain http is for loopback alone.
    """

    graph_url: str = GRAPH_URL
    extra_media_hosts: tuple[str, ...] = ()
    connect_seconds: float = 10.0
    call_seconds: float = 30.0
    read_seconds: float = 30.0
    download_seconds: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAnswer:
    """An answer: its HTTP status, its JSON object (empty where it is none), the provider's wish to be left alone."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    retry_after_seconds: float | None = None

    @property
    def code(self) -> int | None:
        """The Graph error code."""
        error = self.body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if isinstance(code, int) else None

    @property
    def is_graph_error(self) -> bool:
        """Whether it is the Graph API that refused, and not something that stands before it."""
        return isinstance(self.body.get("error"), dict)

    @property
    def is_plain_refusal(self) -> bool:
        """Whether the provider answered that it did not act: a 4xx, and none of its passing troubles."""
        return _BAD_REQUEST <= self.status < _SERVER_ERROR and self.code not in _PASSING_CODES

    @property
    def evidence(self) -> str:
        """Status and code in fixed words."""
        return f"http_{self.status}" if self.code is None else f"http_{self.status}_code_{self.code}"


def fault(answer: GraphAnswer, what: str) -> CustodyError:
    """What an answer other than 200 means for a call about `what`, a name that may be logged.

    `ObjectGoneError` only where the Graph API itself says 404 or code 100, never for a 5xx, 429 or 190. A 404 from
    anything else (a proxy, a wrong base URL) passes: else one wrong setting would give every photo up for lost.
    """
    status, code = answer.status, answer.code
    if status == _TOO_MANY or code in _THROTTLED_CODES:
        message = f"{what}: the provider asks to slow down ({answer.evidence}); it is tried again later"
        return ProviderThrottledError(message, retry_after_seconds=answer.retry_after_seconds)
    if status >= _SERVER_ERROR or code in _PASSING_CODES:
        return ProviderUnavailableError(f"{what}: the provider is in trouble ({answer.evidence}); tried again")
    if status in (_UNAUTHORISED, _FORBIDDEN) or code in _REFUSED_CODES:
        return refused(what, answer.evidence)
    if answer.is_graph_error and (status == _NOT_FOUND or code == _NO_SUCH_OBJECT):
        return ObjectGoneError(f"{what}: the provider does not have it ({answer.evidence})")
    return ProviderUnavailableError(f"{what}: an unexpected answer ({answer.evidence}); tried again")


def refused(what: str, evidence: str) -> ProviderRefusedError:
    """The provider refuses the credential."""
    return ProviderRefusedError(f"{what}: the provider refuses the credential ({evidence}); renew the token")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; a date, which the provider does not send, is ignored."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) <= len("86400") else None


@contextmanager
def transport(what: str) -> Iterator[None]:
    """Turns what a connection can suffer into errors of Custody's, dropping words that may hold a URL."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise UnsentError(f"{what}: the provider can't be reached; check the network, it is tried again") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        name = type(error).__name__
        raise ProviderUnavailableError(f"{what}: no whole answer ({name}); it is tried again") from None


class GraphClient:
    """A session with the provider. Opened at the first call; cookies are not kept and proxies not guessed."""

    def __init__(self, settings: CloudSettings) -> None:
        self._settings = settings
        self._base, self.plain = _base(settings.graph_url)
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, method: str, *path: str, token: str, what: str, query: Mapping[str, str] | None = None
    ) -> GraphAnswer:
        """One call; a DELETE is never repeated. `UnsentError`, `ProviderUnavailableError`: there is no answer."""
        if not all(_SEGMENT.fullmatch(one) for one in path):
            raise UnaddressedError(f"{what}: an id is not one that the provider issues; look at it by hand")
        url = URL(f"{self._base}/{'/'.join(path)}", encoded=True).with_query(dict(query or {}))
        with transport(what):
            async with self._opened().request(
                method,
                url,
                headers=_headers(token, what),
                allow_redirects=False,
                middlewares=(_once,) if method == "DELETE" else None,
                timeout=self._timeout(self._settings.call_seconds),
            ) as response:
                return GraphAnswer(
                    status=response.status,
                    body=_object(await _bounded(response)),
                    retry_after_seconds=retry_after(response.headers),
                )

    async def fetch(self, url: URL, *, token: str, what: str) -> aiohttp.ClientResponse:
        """Opens a URL that was checked before, following no redirect. The caller closes the response."""
        with transport(what):
            return await self._opened().get(
                url,
                headers=_headers(token, what),
                allow_redirects=False,
                timeout=self._timeout(self._settings.download_seconds),
            )

    async def close(self) -> None:
        """Lets go of connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # how many calls are under way is the workers' setting
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _timeout(self, total: float) -> aiohttp.ClientTimeout:
        settings = self._settings
        return aiohttp.ClientTimeout(
            total=total, sock_connect=settings.connect_seconds, sock_read=settings.read_seconds
        )


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a DELETE again by itself when the connection breaks before the answer.

    The second one would find the object absent, and nobody would know that the first had erased it.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise aiohttp.ClientConnectionError from None


def _headers(token: str, what: str) -> dict[str, str]:
    if not token or not token.isascii() or not token.isprintable():
        raise ProviderRefusedError(f"{what}: the token is empty or no header value; check its file")
    return {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity", "User-Agent": "custody"}


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        data += chunk
        if len(data) > _ANSWER_BYTES:
            return b""
    return bytes(data)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _base(graph_url: str) -> tuple[str, bool]:
    """The base URL without its last slash, and whether it is plain http, which loopback alone may be."""
    try:
        url = URL(graph_url)
    except ValueError:
        url = URL()
    plain = url.scheme == "http" and is_loopback(url.host)
    if not url.host or url.user or url.query_string or url.fragment or not (plain or url.scheme == "https"):
        finding = "graph_url: not an https URL (http is for loopback alone); for example " + GRAPH_URL
        raise SettingsError([finding])
    return str(url).rstrip("/"), plain


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
