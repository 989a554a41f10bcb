"""Whether a body was signed with one of an app's secrets.

`X-Hub-Signature-256: sha256=<hex HMAC-SHA256(raw body, app secret)>`, over the bytes as they came.
Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started (2026-09).
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = "x-hub-signature-256"

_SHAPE = re.compile(r"sha256=([0-9a-f]{64})", re.ASCII | re.IGNORECASE)


def claimed_digest(headers: Sequence[str]) -> bytes | None:
    """The digest that a request claims, 32 bytes; None unless there is one header, of the right shape."""
    shape = _SHAPE.fullmatch(headers[0]) if len(headers) == 1 else None
    return None if shape is None else bytes.fromhex(shape[1])


def is_signed(body: bytes, digest: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether one of the live secrets gives this digest: each is tried, in constant time, also after a fit.

    An empty secret is no secret, and vouches for nothing.
    """
    fits = False
    for secret in secrets:
        fits |= hmac.compare_digest(hmac.digest(secret, body, "sha256"), digest) and bool(secret)
    return fits
