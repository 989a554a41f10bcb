"""What the WhatsApp Cloud API can do, as data.

Meta deletes a message or a conversation for nobody: the one verb that erases content is `DELETE /{media-id}`.
Texts are residue until the provider's own term is over. No delete is read back: what `GET` answers after it
is not documented, so the proof is the delete's own `success`.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp, pages
business-phone-numbers/media (2026-09-11) and no-storage (2026-05-21).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from broker.core.ports import Capabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "whatsapp_cloud"
MEDIA = "media"
MEDIA_HOST = "lookaside.fbsbx.com"

_HOUR = timedelta(hours=1)
_WEBHOOK_MEDIA_LIFE = timedelta(days=7)
_TEXT_LIFE = timedelta(days=30)

CAPABILITIES = Capabilities(
    erasable=frozenset({MEDIA}),
    # Ids from webhooks are served for 7 days, with No Storage for 1 hour.
    media_life={"default": _WEBHOOK_MEDIA_LIFE, "no_storage": _HOUR, "local": _WEBHOOK_MEDIA_LIFE},
    # "Messages have a maximum retention period of 30 days"; No Storage takes 60 minutes and no other value.
    # How long the region of Local Storage keeps them is not documented: the general term is assumed.
    text_life={"default": _TEXT_LIFE, "no_storage": _HOUR, "local": _TEXT_LIFE},
    min_age=timedelta(0),
    media_hosts=(MEDIA_HOST,),
    # Documents may have "100 MB": the larger of its two meanings, since a limit too low loses a document.
    max_part_bytes=100 * 1024 * 1024,
    # No rate is documented for media calls; the general limits (4, 80007) count calls by account.
    rate_scope="account",
    read_back="success_flag",
)


def capabilities(extra_media_hosts: Sequence[str] = ()) -> Capabilities:
    """The capabilities, with more media hosts (`host` or `host:port`), as a simulator needs."""
    return replace(CAPABILITIES, media_hosts=(MEDIA_HOST, *extra_media_hosts))
