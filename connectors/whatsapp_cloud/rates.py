"""How much the WhatsApp Cloud API lets through, as data.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp, pages on throughput and rate limits
(2026-11-22).
"""

from __future__ import annotations

NUMBER_MESSAGES_PER_SECOND = 80
"""Of one number, in and out together, as it is to begin with."""

RAISED_MESSAGES_PER_SECOND = 1000
"""Of one number that Meta has raised, as it does by itself for those with enough traffic and quality."""

WABA_CALLS_PER_HOUR = 5000
"""Calls to manage one active WABA, by one app (error 80007). Whether calls about media count is not documented."""
