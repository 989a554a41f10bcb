"""Digests as providers write them."""

from __future__ import annotations

import base64
import binascii

SHA256_BYTES = 32
_HEX_CHARACTERS = 2 * SHA256_BYTES


def announced_sha256(text: str | None) -> bytes | None:
    """The 32 bytes of a SHA-256 that a provider wrote in base64 or hex; None for anything else.

    Source: webhooks show base64, `GET /{media-id}` shows only a placeholder (Cloud API media page, 2026-09-11).
    """
    if not text:
        return None
    try:
        if len(text) == _HEX_CHARACTERS:
            return _whole(bytes.fromhex(text))
        standard = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
        decoded = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return _whole(decoded)


def _whole(digest: bytes) -> bytes | None:
    return digest if len(digest) == SHA256_BYTES else None
