"""Statuses of outbound messages: sent, delivered, read, played, failed.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
(2026-09-11): `pricing` with sent and with one of delivered and read; `recipient_user_id` always for those, left out of
`failed` when it was sent to a phone number; `contacts` left out for failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from connectors.simulator.ids import Customer

Status = Literal["sent", "delivered", "read", "played", "failed"]

_PRICED = frozenset({"sent", "delivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a message failed."""

    code: int
    title: str
    details: str

    def fields(self) -> dict[str, object]:
        """The entry of `errors`."""
        href = "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"
        named = {"code": self.code, "title": self.title, "message": self.title}
        return named | {"error_data": {"details": self.details}, "href": href}


PAYLOAD_NOT_FOUND = Failure(
    code=131036,
    title="Message failed to be delivered on at least one of the user's device",
    details="Message payload not found",
)
"""What a number without storage gets for a message whose payload was needed after its hour.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/no-storage (2026-05-21).
"""

DATA_RETENTION = Failure(
    code=131035,
    title="Webhook could not be delivered within data retention limit",
    details="Webhook could not be delivered within data retention limit",
)
"""What takes the place of an inbound message that was lost: no id, no sender. Source: as above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An outbound message that statuses speak of: in a group, `to` is the group's participant."""

    message_id: str
    to: Customer
    group_id: str | None = None
    tag: str | None = None
    conversation_id: str | None = None


def status(
    sent: Sent, name: Status, *, timestamp: int, failure: Failure | None = None, pricing_category: str = "service"
) -> dict[str, object]:
    """An entry of `statuses`. `conversation` goes with messages that a free entry point led to."""
    item: dict[str, object] = {"id": sent.message_id, "status": name, "timestamp": str(timestamp)}
    item |= _recipient(sent, failed=failure is not None)
    if sent.tag is not None:
        item["biz_opaque_callback_data"] = sent.tag
    if sent.conversation_id is not None:
        item["conversation"] = {"id": sent.conversation_id, "origin": {"type": "referral_conversion"}}
    if name in _PRICED:
        item["pricing"] = {
            "billable": False,
            "pricing_model": "PMP",
            "type": "free_customer_service",
            "category": pricing_category,
        }
    if failure is not None:
        item["errors"] = [failure.fields()]
    return item


def _recipient(sent: Sent, *, failed: bool) -> dict[str, object]:
    to = sent.to
    named: dict[str, object] = {}
    if sent.group_id is not None:
        named |= {"recipient_id": sent.group_id, "recipient_type": "group"}
        named |= {"recipient_participant_id": to.phone} if to.phone is not None else {}
        return named | {"recipient_participant_user_id": to.user_id}
    if to.phone is not None:
        named["recipient_id"] = to.phone
    if to.phone is None or not failed:
        named["recipient_user_id"] = to.user_id
    if to.parent_user_id is not None and not failed:
        named["recipient_parent_user_id"] = to.parent_user_id
    return named


def native_key(item: dict[str, object]) -> tuple[str, ...]:
    """A status's key: message id, group participant (BSUID before phone) or none, status, time, error code or none."""
    participant = item.get("recipient_participant_user_id") or item.get("recipient_participant_id") or ""
    errors = item.get("errors")
    code = str(errors[0]["code"]) if isinstance(errors, list) else ""
    return (str(item["id"]), str(participant), str(item["status"]), str(item["timestamp"]), code)
