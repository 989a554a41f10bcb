"""The webhook fields that are known, and the type that an event of each has.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11); the
pages of the group fields (2026-02-11), of `standby` and `messaging_handovers` (2026-08-04), of BSUIDs (2026-05-07);
`calls` and `flows` as others have received them.
"""

from __future__ import annotations

from typing import Final

from broker.core.model import Direction

UNKNOWN_FIELD: Final = "unknown_field"
UNKNOWN_ITEM: Final = "unknown_item"
"""An element of an array that is not known, in a field that is."""

MESSAGING_FIELDS: Final = frozenset(
    {
        "calls",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "history",
        "messages",
        "smb_message_echoes",
        "standby",
    }
)
"""Fields whose value always brings arrays: without one it is of a shape never seen."""

EVENT_TYPES: Final = {
    "account_alerts": "account_alerts",
    "account_review_update": "account_review_update",
    "account_settings_update": "account_settings_update",
    "account_update": "account_update",
    "automatic_events": "automatic_event",
    "business_capability_update": "business_capability_update",
    "business_username_update": "business_username_update",
    "flows": "flow_update",
    "message_template_components_update": "template_components_update",
    "message_template_quality_update": "template_quality_update",
    "message_template_status_update": "template_status_update",
    "messaging_handovers": "handover",
    "partner_solutions": "partner_solution_update",
    "payment_configuration_update": "payment_configuration_update",
    "phone_number_name_update": "phone_number_name_update",
    "phone_number_quality_update": "phone_number_quality_update",
    "security": "security",
    "smb_app_state_sync": "app_state_sync",
    "template_category_update": "template_category_update",
    "user_id_update": "user_id_update",
    "user_preferences": "user_preferences",
}

DIRECTIONS: Final = {
    "smb_app_state_sync": Direction.ECHO,
    "user_id_update": Direction.IN,
    "user_preferences": Direction.IN,
}
"""Who is behind an event of these fields; behind the others nobody but the provider."""

NATURAL_KEYS: Final = {
    "message_template_components_update": ("message_template_id",),
    "message_template_quality_update": ("message_template_id", "new_quality_score"),
    "message_template_status_update": ("message_template_id", "event"),
    "template_category_update": ("message_template_id", "new_category"),
}
"""What names an event of these fields, together with the time it was sent at."""

GROUP_TYPES: Final = frozenset((
    "group_create",
    "group_delete",
    "group_join_request_created",
    "group_join_request_revoked",
    "group_participants_add",
    "group_participants_remove",
    "group_settings_update",
    "group_suspend",
    "group_suspend_cleared",
))  # fmt: skip
GROUP_OTHER: Final = "group_update"

CALL_TYPES: Final = {"connect": "call_connect", "terminate": "call_terminate"}
CALL_OTHER: Final = "call"
