"""When a webhook that got no 200 is tried again.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11):
"with decreasing frequency until the request succeeds, for up to 7 days", "with exponential backoff"; the intervals are
not published, and only HTTP 200 is named as success.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.simulator.config import DeliveryConfig

SUCCESS = 200


def delay_seconds(config: DeliveryConfig, *, attempt: int, retry_after_seconds: float | None, jitter: float) -> float:
    """Provider seconds to wait after the `attempt`-th failure, counted from 1. `jitter` lies in [0, 1).

    A longer `Retry-After` is honoured, up to the longest interval: a receiver may slow retries down, not stop them.
    """
    grown = config.retry_first_seconds * config.retry_factor ** min(attempt - 1, 64)
    backoff = min(grown, config.retry_longest_seconds) * (1.0 - 0.25 * jitter)
    if retry_after_seconds is None:
        return backoff
    return max(backoff, min(retry_after_seconds, config.retry_longest_seconds))


def retry_after(header: str | None, *, now: float) -> float | None:
    """The seconds a `Retry-After` header asks for, given as seconds or as a date; None when it says nothing."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None
