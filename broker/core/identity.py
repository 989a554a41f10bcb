"""Ids and pseudonyms under a tenant's key, and the unkeyed digests that records are sealed by.

Every digest starts with its label, so that no two kinds of digest can be confused. Fields are length-prefixed, so that
no two lists of fields give the same bytes. Pseudonyms are personal data: whoever holds the key can try every number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BYTES = 32
FINGERPRINT_BYTES = 32
SALT_BYTES = 32
_ID_BYTES = 20
_REMEMBERED = 2_000
"""Some 350 bytes each, for every tenant."""


class TenantKey:
    """A tenant's secret for ids and pseudonyms; at least 32 bytes, and never shown.

    Remembers the pseudonyms it gave lately: the same people write again and again.
    """

    __slots__ = ("_pseudonym", "_secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            message = f"a tenant key has at least {KEY_BYTES} bytes; this one has {len(secret)}"
            raise ValueError(message)
        self._secret = secret
        # Not a method: that would be a cycle, which keeps what was remembered when the key is gone.
        self._pseudonym = lru_cache(maxsize=_REMEMBERED)(partial(_new_pseudonym, secret))

    def __repr__(self) -> str:
        return "TenantKey(…)"

    def digest(self, label: str, fields: Sequence[str | bytes]) -> bytes:
        """HMAC-SHA256 over the label and the length-prefixed fields: 32 bytes."""
        return _keyed(self._secret, label, fields)

    def record_id(self, *, provider: str, account: str, kind: str, native_key: Sequence[str]) -> str:
        """The id of what a provider calls `native_key`: the same for every delivery of it."""
        return _named("rec", self.digest("custody/record-id/v1", (provider, account, kind, *native_key)))

    def conversation(self, *, provider: str, account: str, thread: Sequence[str]) -> str:
        """The pseudonym of a thread as observed: (identity kind, value), a group, or nobody."""
        return self._pseudonym("cnv", "custody/conversation/v1", (provider, account, *thread))

    def party(self, *, identity: str, value: str) -> str:
        """The pseudonym of a person or team, equal across the tenant's accounts."""
        return self._pseudonym("pty", "custody/party/v1", (identity, value))

    def target_id(self, *, provider: str, account: str, object_kind: str, object_id: str) -> str:
        """The id under which topics, keys and logs name a provider object."""
        return _named("tgt", self.digest("custody/target/v1", (provider, account, object_kind, object_id)))

    def fingerprint(self, counted: bytes) -> bytes:
        """32 bytes over the fields that count: equal means duplicate, different means variant."""
        return self.digest("custody/fingerprint/v1", (counted,))


def variant_id(record_id: str, fingerprint: bytes) -> str:
    """The id of a variant: the original's id and its own fingerprint, which is keyed already."""
    return _named("var", hashlib.sha256(framed("custody/variant-id/v1", (record_id, fingerprint))).digest())


def content_digest(*, salt: bytes, data: bytes) -> str:
    """SHA-256 over label, salt and content bytes, in hex. The salt lies in the content and is erased with it."""
    return hashlib.sha256(b"custody/content/v1\0" + salt + data).hexdigest()


def record_digest(canonical_envelope: bytes) -> bytes:
    """SHA-256 over label and canonical envelope: 32 bytes."""
    return hashlib.sha256(b"custody/record/v1\0" + canonical_envelope).digest()


def arrival_digest(canonical_arrival: bytes) -> bytes:
    """SHA-256 over label and canonical arrival: 32 bytes."""
    return hashlib.sha256(b"custody/arrival/v1\0" + canonical_arrival).digest()


def framed(label: str, fields: Sequence[str | bytes]) -> bytes:
    """Label and length-prefixed fields as bytes: no two lists of fields give the same ones."""
    pieces = [label.encode(), b"\0"]
    for one in fields:
        data = one if isinstance(one, bytes) else one.encode("utf-8", "surrogatepass")
        pieces += (len(data).to_bytes(4, "big"), data)
    return b"".join(pieces)


def _new_pseudonym(secret: bytes, prefix: str, label: str, fields: tuple[str, ...]) -> str:
    return _named(prefix, _keyed(secret, label, fields))


def _keyed(secret: bytes, label: str, fields: Sequence[str | bytes]) -> bytes:
    return hmac.digest(secret, framed(label, fields), "sha256")


def _named(prefix: str, digest: bytes) -> str:
    return f"{prefix}_{base64.b32encode(digest[:_ID_BYTES]).decode().lower()}"
