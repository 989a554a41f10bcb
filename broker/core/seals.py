"""Is a row still what was kept? Its own bytes against the digests kept with them. Pure.

Whoever alters bytes and digest together is not seen here: that takes digests kept elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from broker.core import identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.core.ports import SealedRecord


class _Said(msgspec.Struct, frozen=True):
    """What an envelope says of itself, as far as it is held against the row."""

    record_id: str
    tenant: str
    content_digest: str


class _Salted(msgspec.Struct, frozen=True):
    """Every content holds the salt of its own digest."""

    salt: bytes


_envelopes = msgspec.json.Decoder(_Said)
_contents = msgspec.json.Decoder(_Salted)


def broken_seals(sealed: SealedRecord) -> tuple[str, ...]:
    """What of a row is not what was kept: `envelope`, `arrival`, `content`, in this order; none when all is well."""
    return tuple(_broken(sealed))


def _broken(sealed: SealedRecord) -> Iterator[str]:
    said = _envelope(sealed)
    if said is None or identity.record_digest(sealed.envelope) != sealed.record_digest:
        yield "envelope"
    if identity.arrival_digest(sealed.arrival) != sealed.arrival_digest:
        yield "arrival"
    if said is None or _content_digest(sealed.content) != said.content_digest:
        yield "content"


def _envelope(sealed: SealedRecord) -> _Said | None:
    """What the envelope says; None where it can't be read, or is another record's."""
    try:
        said = _envelopes.decode(sealed.envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return said if (said.tenant, said.record_id) == (sealed.tenant, sealed.record_id) else None


def _content_digest(data: bytes) -> str | None:
    try:
        salt = _contents.decode(data).salt
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return identity.content_digest(salt=salt, data=data)
