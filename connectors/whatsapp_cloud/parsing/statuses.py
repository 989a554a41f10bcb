"""What became of a message that the business sent: sent, delivered, read, played, failed.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
(2026-09-11). A call has statuses too (`type: call`): those are events, since no message stands behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.core.item import ItemRelation
from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.drafts import Draft, Person, given, unknown_shape
from connectors.whatsapp_cloud.parsing.people import identities, person
from connectors.whatsapp_cloud.parsing.values import Fields, canonical, fields_of, moment_of, read, text_of

if TYPE_CHECKING:
    from connectors.whatsapp_cloud.parsing.scene import Scene

STATUSES: Final = frozenset(("sent", "delivered", "read", "played", "failed"))
OTHER_STATUS: Final = "other"

_UNCOUNTED: Final = frozenset((
    "conversation",  # left out from v24.0 on, and made anew for each message before
    "recipient_id",
    "recipient_user_id",
    "recipient_parent_user_id",
    "recipient_participant_id",
    "recipient_participant_user_id",
    "recipient_participant_parent_user_id",
))  # fmt: skip


def status(raw: bytes, scene: Scene) -> tuple[Draft, ...]:
    """The draft of a status."""
    fields = read(raw)
    if not isinstance(fields, dict):
        return (unknown_shape(raw),)
    if scene.origin.field == "calls" or fields.get("type") == "call":
        return (_call_status(fields, raw),)
    wamid, name = text_of(fields.get("id")), text_of(fields.get("status")) or ""
    people, group = _recipients(fields)
    draft = Draft(
        kind=Kind.STATUS,
        type=name if name in STATUSES else OTHER_STATUS,
        direction=Direction.OUT,
        raw=raw,
        counted=_counted(fields),
        native_key=_native_key(wamid, fields, name) if wamid else (),
        group=group,
        people=people,
        relations=() if wamid is None else (_status_of(wamid),),
        occurred_at=moment_of(fields.get("timestamp")),
        provider_ids=given(wamid, group),
    )
    return (draft,)


def _native_key(wamid: str, fields: Fields, name: str) -> tuple[str, ...]:
    participant = text_of(fields.get("recipient_participant_user_id")) or text_of(
        fields.get("recipient_participant_id")
    )
    return (wamid, participant or "", name, text_of(fields.get("timestamp")) or "", _error_code(fields))


def _status_of(wamid: str) -> ItemRelation:
    """What was sent may have been a reaction: the status does not say, and a message is by far the likelier."""
    return ItemRelation(kind="status_of", target_kind=Kind.MESSAGE, native_key=(wamid,))


def _recipients(fields: Fields) -> tuple[tuple[Person, ...], str | None]:
    """Who got it; for a group the participant, and the group."""
    participant = person(
        "participant",
        identities(
            fields,
            "recipient_participant_id",
            "recipient_participant_user_id",
            "recipient_participant_parent_user_id",
        ),
    )
    if fields.get("recipient_type") == "group":
        return participant, text_of(fields.get("recipient_id"))
    shown = identities(fields, "recipient_id", "recipient_user_id", "recipient_parent_user_id")
    return person("recipient", shown) + participant, text_of(fields.get("group_id"))


def _error_code(fields: Fields) -> str:
    errors = fields.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return text_of(fields_of(first).get("code")) or ""


def _counted(fields: Fields) -> bytes:
    return canonical({name: value for name, value in fields.items() if name not in _UNCOUNTED})


def _call_status(fields: Fields, raw: bytes) -> Draft:
    call_id, name = text_of(fields.get("id")), text_of(fields.get("status")) or ""
    when = text_of(fields.get("timestamp")) or ""
    return Draft(
        kind=Kind.EVENT,
        type="call_status",
        direction=Direction.OUT,
        raw=raw,
        counted=_counted(fields),
        native_key=(call_id, name, when) if call_id else (),
        people=_recipients(fields)[0],
        occurred_at=moment_of(fields.get("timestamp")),
        provider_ids=given(call_id),
    )
