"""A webhook's body to its items: pure, and never raises or drops, whatever the bytes.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connectors.whatsapp_cloud.parsing import drafts
from connectors.whatsapp_cloud.parsing.envelope import changes, lost

if TYPE_CHECKING:
    from broker.core.item import Change

CONNECTOR_VERSION: Final = "whatsapp_cloud/1"
"""Changes when the same body would give other items."""


def parse(body: bytes) -> tuple[Change, ...]:
    """A signed body's changes, at least one: every element of every array an item, every change without arrays one.

    What is known of the shapes decides kind, type and parties; what is not known becomes `unsupported`, an event
    `unknown_field` or a gap, with its bytes kept.
    """
    try:
        return changes(body)
    except Exception:  # noqa: BLE001 - whatever the fault, what was signed and delivered is kept
        return (lost(body, drafts.rescued_item(body)),)
