"""Certificates, keys and tokens for clusters under test; made afresh, worth nothing elsewhere."""

from __future__ import annotations

import base64
import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A certificate authority, the brokers' certificate, and one of a client, as PEM files.

    `client_name` is the common name in the client's certificate.
    """

    ca_file: Path
    keystore_file: Path
    client_certificate_file: Path
    client_key_file: Path
    client_name: str

    @classmethod
    def make(cls, folder: Path) -> Self:
        authority = trustme.CA()
        brokers = authority.issue_cert("127.0.0.1", "localhost")
        client = authority.issue_cert("worker@example.org", common_name=CLIENT)
        made = cls(
            ca_file=folder / "ca.pem",
            keystore_file=folder / "brokers.pem",
            client_certificate_file=folder / "client.pem",
            client_key_file=folder / "client-key.pem",
            client_name=CLIENT,
        )
        made.ca_file.write_bytes(authority.cert_pem.bytes())
        made.keystore_file.write_bytes(_as_kafka_wants_it(brokers.private_key_pem.bytes()) + _chain(brokers))
        made.client_certificate_file.write_bytes(_chain(client))
        made.client_key_file.write_bytes(client.private_key_pem.bytes())
        return made

    def context(self, *, as_client: bool = False) -> ssl.SSLContext:
        """A client's own context; with its certificate or without."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if as_client:
            context.load_cert_chain(self.client_certificate_file, self.client_key_file)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMaker:
    """Signs bearer tokens, as an identity provider would; its public key is in `jwks_file`."""

    jwks_file: Path
    audience: str = "kafka"
    issuer: str = "https://id.example.org"
    _key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), repr=False
    )

    def publish(self) -> None:
        """Writes the file."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
        self.jwks_file.write_text(json.dumps({"keys": [key]}))

    def token(self, subject: str, *, seconds: float = 3600, **claims: object) -> str:
        """A token for `subject` that ends in so many seconds."""
        words = _words(subject, seconds) | {"aud": self.audience, "iss": self.issuer} | claims
        signed = f"{_part({'alg': 'RS256', 'kid': '1'})}.{_part(words)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


def unsigned_token(subject: str, *, seconds: float = 3600) -> str:
    """A token that a broker takes only where it was told to check no signature."""
    return f"{_part({'alg': 'none'})}.{_part(_words(subject, seconds))}."


def _words(subject: str, seconds: float) -> dict[str, Any]:
    now = int(time.time())
    return {"sub": subject, "iat": now, "exp": now + int(seconds)}


def _chain(leaf: trustme.LeafCert) -> bytes:
    return b"".join(one.bytes() for one in leaf.cert_chain_pems)


def _as_kafka_wants_it(key: bytes) -> bytes:
    """The key as PKCS#8, the one form that Kafka reads from a PEM file."""
    loaded = serialization.load_pem_private_key(key, password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _part(words: dict[str, Any]) -> str:
    return _base64(json.dumps(words).encode())


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
