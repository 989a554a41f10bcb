"""How clients log in: Custody's options as FastStream and aiokafka take them."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Literal, Self

from aiokafka.abc import AbstractTokenProvider
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLScram256, SASLScram512

from broker.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from broker.log.kafka.options import KafkaSecurity


class LivePassword(str):
    """A password that is asked for at each login: aiokafka encodes it then, and uses nothing else of it."""

    __slots__ = ("_ask",)

    _ask: Callable[[], str]

    def __new__(cls, ask: Callable[[], str]) -> Self:
        password = super().__new__(cls)
        password._ask = ask
        return password

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The password as it is now."""
        return self._ask().encode(encoding, errors)


class LiveToken(AbstractTokenProvider):  # type: ignore[misc] # aiokafka ships no types
    """A bearer token that is asked for at each login, beside the event loop: it may come from a file or a server."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask

    async def token(self) -> str:
        """The token as it is now."""
        return await asyncio.to_thread(self._ask)


def faststream_security(security: KafkaSecurity) -> BaseSecurity:
    """As FastStream takes it; the token provider goes beside it.

    Raises:
        SettingsError: a finding for each option that is missing, or names a file that can't be used.
    """
    _refuse_incomplete(security)
    tls = _tls(security) if security.protocol.endswith("ssl") else None
    if not security.protocol.startswith("sasl"):
        return BaseSecurity(ssl_context=tls, use_ssl=tls is not None)
    if security.mechanism == "oauthbearer":
        return SASLOAuthBearer(ssl_context=tls, use_ssl=tls is not None)
    scram = SASLScram256 if security.mechanism == "scram-sha-256" else SASLScram512
    return scram(
        username=security.username or "",
        password=LivePassword(security.password) if security.password else "",
        ssl_context=tls,
        use_ssl=tls is not None,
    )


def client_security(security: KafkaSecurity) -> dict[str, Any]:
    """As aiokafka's clients take it; the same that FastStream hands to the consumers it builds."""
    return {**parse_security(faststream_security(security)), **token_argument(security)}


def token_argument(security: KafkaSecurity) -> dict[str, Any]:
    """The token provider, where one is needed."""
    return {"sasl_oauth_token_provider": LiveToken(security.token)} if security.token else {}


def _refuse_incomplete(security: KafkaSecurity) -> None:
    findings = []
    by_sasl = security.protocol.startswith("sasl")
    if by_sasl != (security.mechanism is not None):
        findings.append("log.security.mechanism: goes with a SASL protocol, and it with one; for example scram-sha-512")
    if by_sasl and security.mechanism == "oauthbearer" and security.token is None:
        findings.append("log.security.token: oauthbearer needs one; for example file:/run/secrets/kafka-token")
    if by_sasl and security.mechanism != "oauthbearer" and not (security.username and security.password):
        findings.append("log.security.username, password: SCRAM needs both; for example custody, env:KAFKA_PASSWORD")
    if (security.certificate_file is None) != (security.key_file is None):
        findings.append("log.security.certificate_file, key_file: one needs the other; for example client.pem, key.pem")
    if findings:
        raise SettingsError(findings)


def _tls(security: KafkaSecurity) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if security.ca_file is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load("ca_file", security.ca_file, context.load_verify_locations)
    if security.certificate_file is not None:
        _load(
            "certificate_file", security.certificate_file, lambda path: context.load_cert_chain(path, security.key_file)
        )
    return context


def _load(name: Literal["ca_file", "certificate_file"], path: Path, load: Callable[[Path], object]) -> None:
    try:
        load(path)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        problem = SettingsError(
            [f"log.security.{name}: {path} can't be used ({type(error).__name__}); give a PEM file"]
        )
    else:
        return
    raise problem
