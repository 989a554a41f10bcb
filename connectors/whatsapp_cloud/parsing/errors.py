"""Errors that stand for something missing: they name no message and nobody.

131035: the retention limit passed before the webhook got through; what it carried is lost for good.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/no-storage (2026-05-21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connectors.whatsapp_cloud.parsing.drafts import Draft, gap
from connectors.whatsapp_cloud.parsing.values import fields_of, moment_of, read, text_of

if TYPE_CHECKING:
    from connectors.whatsapp_cloud.parsing.scene import Scene

DROPPED_CODE: Final = "131035"


def value_error(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """A gap: something was dropped, or went wrong, and this is all that is known of it."""
    code = text_of(fields_of(read(raw)).get("code"))
    draft = gap("provider_dropped" if code == DROPPED_CODE else "provider_error", raw)
    draft.occurred_at = moment_of(scene.origin.time)
    return (draft,)
