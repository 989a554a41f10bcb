"""The signature that proves a webhook body comes from the app.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started (2026-09): `X-Hub-Signature-256` is
`sha256=` and the hex HMAC-SHA256 of the raw body under the app's secret.
"""

from __future__ import annotations

import hmac

SIGNATURE_HEADER = "X-Hub-Signature-256"


def signature(secret: str, body: bytes) -> str:
    """The header's value for these very bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
