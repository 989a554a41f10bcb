"""What happens beside messages and statuses: calls, groups, the account, templates, synchronisation, handovers.

Source: the reference pages under https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks
(2026-06 to 2026-09); groups from the webhook examples of facebook/openapi, business-messaging-api_v23.0.yaml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from connectors.simulator.ids import Customer
    from connectors.simulator.payloads.contents import Content

GroupField = Literal[
    "group_lifecycle_update", "group_participants_update", "group_settings_update", "group_status_update"
]


def call(
    call_id: str, customer: Customer, *, business: str, event: Literal["connect", "terminate"], timestamp: int
) -> dict[str, object]:
    """An entry of `calls`: a customer rang the business, or hung up."""
    parties: dict[str, object] = {"id": call_id, "to": business, "from_user_id": customer.user_id}
    parties |= {"from": customer.phone} if customer.phone is not None else {}
    item = parties | {"event": event, "timestamp": str(timestamp), "direction": "USER_INITIATED"}
    if event == "connect":
        return item | {"session": {"sdp_type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"}}
    ended = {"status": "COMPLETED", "start_time": str(timestamp - 42), "end_time": str(timestamp), "duration": 42}
    return item | ended


def group_event(
    field: GroupField, group_id: str, *, request_id: str, timestamp: int, participants: tuple[Customer, ...] = ()
) -> dict[str, object]:
    """An entry of `groups`. A participants' update is typed `group_create` in the published example, too."""
    item: dict[str, object] = {"timestamp": str(timestamp), "group_id": group_id, "request_id": request_id}
    people = [{"input": one.phone or one.user_id, "wa_id": one.phone or one.user_id} for one in participants]
    if field == "group_lifecycle_update":
        named = {"type": "group_create", "subject": "Claim 2211", "description": "Repair of a windscreen"}
        return item | named | {"added_participants": people}
    if field == "group_participants_update":
        return item | {"type": "group_create", "removed_participants": people}
    if field == "group_settings_update":
        return item | {"type": "group_settings_update", "subject": {"text": "Claim 2211, repaired"}}
    return item | {"type": "group_suspend"}


def group_key(item: dict[str, object]) -> tuple[str, ...]:
    """A group event's key: its type, group, time and request; the provider gives it no id of its own."""
    return tuple(str(item[name]) for name in ("type", "group_id", "timestamp", "request_id"))


def history_chunk(
    threads: dict[str, list[dict[str, object]]], *, phase: int, chunk_order: int, progress: int
) -> dict[str, object]:
    """An entry of `history`: messages by the other party's phone number, up to 180 days back."""
    metadata = {"phase": phase, "chunk_order": chunk_order, "progress": progress}
    listed = [{"id": phone, "messages": messages} for phone, messages in threads.items()]
    return {"metadata": metadata, "threads": listed}


def history_declined() -> dict[str, object]:
    """An entry of `history` when the business does not share its chats."""
    title = "History sync is turned off by the business from the WhatsApp Business App"
    details = {"details": "History sharing is turned off by the business"}
    return {"errors": [{"code": 2593109, "title": title, "message": title, "error_data": details}]}


def state_sync(customer: Customer, *, action: Literal["add", "remove"], timestamp: int) -> dict[str, object]:
    """An entry of `state_sync`: the WhatsApp Business app's address book changed."""
    first = customer.name.split()[0]
    contact = {"full_name": customer.name, "first_name": first, "phone_number": customer.phone or ""}
    return {
        "type": "contact",
        "contact": contact,
        "action": action,
        "metadata": {"timestamp": str(timestamp)},
    }


def user_preference(customer: Customer, *, value: Literal["stop", "resume"], timestamp: int) -> dict[str, object]:
    """An entry of `user_preferences`. Its `timestamp` is an integer, unlike everywhere else."""
    item: dict[str, object] = {"wa_id": customer.phone} if customer.phone is not None else {}
    item |= {"user_id": customer.user_id, "detail": f"User requested to {value} marketing messages"}
    return item | {"category": "marketing_messages", "value": value, "timestamp": timestamp}


def user_id_update(customer: Customer, *, previous: str, timestamp: int) -> dict[str, object]:
    """An entry of `user_id_update`, a field one page names and the changelog of 2026-08-11 calls unavailable."""
    item: dict[str, object] = {"wa_id": customer.phone} if customer.phone is not None else {}
    item |= {"detail": "The user's id changed", "user_id": {"previous": previous, "current": customer.user_id}}
    return item | {"timestamp": str(timestamp)}


def standby(
    *, metadata: dict[str, object], contact: dict[str, object], message: dict[str, object]
) -> dict[str, object]:
    """A whole value: what a customer wrote while Meta's own agent holds the chat. Source: standby, 2026-08-04."""
    held = {"contacts": [contact], "messages": [message]}
    return {"messaging_product": "whatsapp", "metadata": metadata, "standby": held}


def standby_echo(*, metadata: dict[str, object], message_id: str, to: str, content: Content) -> dict[str, object]:
    """A whole value: what Meta's own agent answered, in the nested spelling."""
    echo = {"id": message_id, "message": {"to": to} | content.fields()}
    return {"messaging_product": "whatsapp", "metadata": metadata, "standby": {"message_echoes": [echo]}}


def handover(
    customer: Customer, *, phone_number_id: str, display_phone_number: str, timestamp: int
) -> dict[str, object]:
    """A whole value: control of a chat passed from Meta's own agent to the app. There is no `metadata`."""
    return {
        "messaging_product": "whatsapp",
        "recipient": {"display_phone_number": display_phone_number, "phone_number_id": phone_number_id},
        "sender": {"phone_number": customer.phone or "", "user_id": customer.user_id},
        "timestamp": str(timestamp),
        "control_passed": {
            "previous_owner_app_role": "META_AI",
            "previous_owner_role": "primary",
            "new_owner_role": "secondary",
            "metadata": "The customer asked for a person",
        },
    }


def account_event(field: str, *, display_phone_number: str, phone_number_id: str) -> dict[str, object]:
    """A whole value of a field about the account, its numbers or its templates; no `metadata`. Raises KeyError."""
    values = _about_account(phone_number_id) | _about_number(display_phone_number) | _about_templates()
    return values[field]


def _about_account(phone_number_id: str) -> dict[str, dict[str, object]]:
    alert = {
        "alert_severity": "INFORMATIONAL",
        "alert_status": "NONE",
        "alert_type": "OBA_APPROVED",
        "alert_description": "Your phone number is now an official business account",
    }
    solution: dict[str, object] = {"solution_id": "774485461512159", "solution_status": "DRAFT"}
    return {
        "account_review_update": {"decision": "APPROVED"},
        "account_alerts": {"entity_type": "PHONE_NUMBER", "entity_id": phone_number_id, "alert_info": alert},
        "automatic_events": {"event_name": "LeadSubmitted", "phone_number_id": phone_number_id},
        "business_capability_update": {
            "max_daily_conversation_per_phone": 2000,
            "max_phone_numbers_per_business": 25,
        },
        "flows": {"event": "FLOW_STATUS_CHANGE", "flow_id": "6627390910605886", "new_status": "PUBLISHED"},
        "partner_solutions": {"event": "SOLUTION_CREATED"} | solution,
        "payment_configuration_update": {
            "configuration_name": "premiums",
            "provider_name": "payu",
            "status": "Active",
        },
    }


def _about_number(number: str) -> dict[str, dict[str, object]]:
    shown: dict[str, object] = {"display_phone_number": number}
    return {
        "account_update": {"event": "ACCOUNT_UPDATE", "phone_number": number},
        "business_username_update": shown | {"username": "umbrella", "status": "approved"},
        "phone_number_name_update": shown | {"decision": "APPROVED", "requested_verified_name": "Umbrella Mutual"},
        "phone_number_quality_update": shown | {"event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_UNLIMITED"},
        "security": shown | {"event": "PIN_CHANGED", "requester": "1"},
    }


def _about_templates() -> dict[str, dict[str, object]]:
    template: dict[str, object] = {
        "message_template_id": 1259544702043867,
        "message_template_name": "claim_received",
        "message_template_language": "en",
    }
    said = {"message_template_element": "We have received your claim {{1}}.", "message_template_footer": "Umbrella"}
    quality = {"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"}
    return {
        "message_template_components_update": template | said,
        "message_template_quality_update": template | quality,
        "message_template_status_update": template | {"event": "APPROVED", "reason": "NONE"},
        "template_category_update": template | {"previous_category": "MARKETING", "new_category": "UTILITY"},
    }
