"""Connections to S3: a client for each region, made when it is first needed; the login is asked before each request."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from io import IOBase
from typing import TYPE_CHECKING, Any, TypeAlias

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from backends.s3.options import S3Options

Client: TypeAlias = Any
"""aiobotocore ships no types of its own."""

ATTEMPTS = 3
_LOGGERS = ("aiobotocore", "botocore")


class Clients:
    """The clients of one store."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._session = AioSession()
        if options.login() is not None:
            self._session._credentials = _RenewedCredentials(options)  # noqa: SLF001 - there is no other way in
        self._exits = AsyncExitStack()
        self._clients: dict[str, Client] = {}
        self._making = asyncio.Lock()
        _hush()

    async def of(self, region: str) -> Client:
        """The client for buckets of that region."""
        if region not in self._clients:
            async with self._making:
                if region not in self._clients:
                    self._clients[region] = await self._make(region)
        return self._clients[region]

    async def close(self) -> None:
        self._clients.clear()
        await self._exits.aclose()

    async def _make(self, region: str) -> Client:
        options = self._options
        config = AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path" if options.path_style else "virtual"},
            # Whatever is sent lies in memory, so that sending it again never asks the source again.
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=options.connections,
            connect_timeout=options.connect_timeout_seconds,
            read_timeout=options.read_timeout_seconds,
            http_session_cls=_ImpatientSession,
            # The digest is ours, SHA-256, on every object and part; no other is added, which some servers refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        made = self._session.create_client(
            "s3", region_name=region, endpoint_url=options.endpoint, verify=options.ca_file, config=config
        )
        return await self._exits.enter_async_context(made)


class _ImpatientSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore ships no types
    """Ends an attempt of which nothing moves. The driver's own limits begin when a request has been sent.

    A server that is silent before, as one that was frozen, would hold a put for ever.
    """

    async def send(self, request: Any) -> Any:  # noqa: ANN401 - as above
        sending = asyncio.ensure_future(super().send(request))
        try:
            while not sending.done():
                sent = _sent_bytes(request)
                await asyncio.wait({sending}, timeout=self._timeout.sock_connect + self._timeout.sock_read)
                if not sending.done() and _sent_bytes(request) == sent:
                    raise ReadTimeoutError(endpoint_url="")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return sending.result()


def _sent_bytes(request: Any) -> int:  # noqa: ANN401 - as above
    return request.body.tell() if isinstance(request.body, IOBase) else 0


class _RenewedCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore ships no types
    """Whatever the options give at this moment."""

    def __init__(self, options: S3Options) -> None:
        super().__init__("", "")
        self._options = options

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        login = await asyncio.to_thread(self._options.login)
        if login is None:
            return ReadOnlyCredentials("", "", None)
        return ReadOnlyCredentials(login.access_key, login.secret_key, login.session_token)


def _hush() -> None:
    """At debug level the driver logs bodies and signatures: whatever all else does, it does not come to that."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)
