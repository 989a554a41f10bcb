"""Whether an account is set up as wanted: its token, its storage, and what the app is subscribed to.

Sources, under https://developers.facebook.com/documentation/business-messaging/whatsapp: no-storage (2026-05-21) and
local-storage for `GET /{phone-number-id}/settings`; solution-providers/manage-webhooks (2026-09) for
`GET /{waba-id}/subscribed_apps`; webhooks/overview (2026-09-11) and webhooks/reference/standby (2026-08-04) for the
fields. `GET /{app-id}/subscriptions` wants an app access token, which is `{app-id}|{app-secret}`:
https://developers.facebook.com/docs/graph-api/reference/app/subscriptions (v25.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.errors import CustodyError, ProviderRefusedError
from broker.core.ports import Finding
from connectors.whatsapp_cloud.client import OK, fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.registry import Account, App, Posture
    from connectors.whatsapp_cloud.client import GraphAnswer, GraphClient

NEEDED_FIELDS: Mapping[str, str] = {
    "messages": "messages, statuses and errors",
    "standby": "what is said while Meta's AI holds a chat: `messages` falls silent then, without an error",
    "messaging_handovers": "who holds a chat: the business, or Meta's AI",
}
"""Without these, part of the conversations never arrives."""

RECOMMENDED_FIELDS: Mapping[str, str] = {
    "account_alerts": "the account's limits and standing",
    "account_review_update": "the account's review",
    "account_update": "violations, offboarding, deletion of the account",
    "automatic_events": "purchases and leads that the provider detects",
    "business_capability_update": "the account's limits",
    "business_username_update": "the business's own username",
    "calls": "calls",
    "flows": "the state of flows",
    "group_lifecycle_update": "groups made and deleted",
    "group_participants_update": "who joined and left a group",
    "group_settings_update": "a group's name, picture and description",
    "group_status_update": "groups suspended",
    "history": "earlier messages of a number shared with the WhatsApp Business app",
    "message_template_components_update": "the text of templates",
    "message_template_quality_update": "the quality of templates",
    "message_template_status_update": "the approval of templates",
    "phone_number_name_update": "the number's display name",
    "phone_number_quality_update": "the number's throughput",
    "security": "security settings",
    "smb_app_state_sync": "the contacts of the WhatsApp Business app",
    "smb_message_echoes": "what the team answers from the WhatsApp Business app",
    "template_category_update": "the category of templates",
    "user_preferences": "whether a customer takes marketing",
}
"""Without these, part of what surrounds the conversations never arrives."""

_SUBSCRIBED_OBJECT = "whatsapp_business_account"
_STORAGE = {
    "": "default",
    "default": "default",
    "in_country_storage_disabled": "default",
    "no_storage_disabled": "default",
    "no_storage_enabled": "no_storage",
    "in_country_storage_enabled": "local",
}


async def check(client: GraphClient, account: Account, app: App | None) -> Sequence[Finding]:
    """Everything that can be asked of an account, one finding for each thing looked at."""
    return [
        *await _storage(client, account),
        *_contact_book(account),
        *await _subscribed_app(client, account, app),
        *await _fields(client, app),
    ]


async def _storage(client: GraphClient, account: Account) -> list[Finding]:
    subject = f"{account.name}: storage"
    answer = await _ask(client, account.id, "settings", token=account.token, what=subject)
    if isinstance(answer, Finding):
        return [answer]
    configuration = answer.body.get("storage_configuration")
    return [storage_finding(subject, configuration if isinstance(configuration, dict) else {}, account.posture)]


def storage_finding(subject: str, configuration: Mapping[str, Any], wanted: Posture) -> Finding:
    """How the wanted storage compares with the provider's. Its words come in upper and in lower case."""
    status = str(configuration.get("status", "")).lower()
    found = _STORAGE.get(status)
    if found is None:
        return Finding(
            level="warning",
            subject=subject,
            message="the provider answers a storage status that this version does not know",
            remedy="look at GET /{phone-number-id}/settings by hand, and upgrade Custody",
        )
    if found != wanted.storage:
        return Finding(
            level="problem",
            subject=subject,
            message=f"the provider retains as {found!r}, wanted is {wanted.storage!r}",
            remedy="deregister the number, POST /{phone-number-id}/settings with the storage wanted, register it"
            " again; or correct the posture in the settings",
        )
    region = str(configuration.get("data_localization_region", "")).upper()
    if found == "local" and region != (wanted.region or "").upper():
        return Finding(
            level="problem",
            subject=subject,
            message=f"the provider retains in region {region or 'unknown'}, wanted is {wanted.region or 'none'}",
            remedy="deregister the number, set data_localization_region, register it again; or correct the region"
            " in the settings, for example ZA",
        )
    return Finding(level="ok", subject=subject, message=f"the provider retains as {found!r}")


def _contact_book(account: Account) -> list[Finding]:
    if account.posture.contact_book:
        return []
    return [
        Finding(
            level="warning",
            subject=f"{account.name}: contact book",
            message="whether the provider keeps a contact book can't be asked",
            remedy="see in Meta Business settings that it is switched off; it outlives No Storage and Local Storage",
        )
    ]


async def _subscribed_app(client: GraphClient, account: Account, app: App | None) -> list[Finding]:
    subject = f"{account.name}: subscribed apps"
    if app is None:
        message = f"app {account.app!r} is not registered"
        return [Finding(level="problem", subject=subject, message=message, remedy="register it with its secrets")]
    answer = await _ask(client, account.group, "subscribed_apps", token=account.token, what=subject)
    if isinstance(answer, Finding):
        return [answer]
    data = [one.get("whatsapp_business_api_data") for one in _data(answer)]
    if app.app_id in {str(one.get("id")) for one in data if isinstance(one, dict)}:
        return [Finding(level="ok", subject=subject, message=f"app {app.name!r} is subscribed")]
    return [
        Finding(
            level="problem",
            subject=subject,
            message=f"app {app.name!r} is not subscribed to the account's WABA: nothing arrives",
            remedy="POST /{waba-id}/subscribed_apps with the account's token",
        )
    ]


async def _fields(client: GraphClient, app: App | None) -> list[Finding]:
    """What the app is subscribed to, asked with each live secret until one is taken."""
    if app is None:
        return []
    subject = f"app {app.name}: webhook fields"
    refusals = [Finding(level="problem", subject=subject, message="the app has no secret", remedy="register one")]
    for secret in app.secrets:
        token = f"{app.app_id}|{secret.decode('utf-8', 'replace')}"
        answer = await _ask(client, app.app_id, "subscriptions", token=token, what=subject)
        if not isinstance(answer, Finding):
            return field_findings(subject, subscribed_fields(_data(answer)))
        refusals = [answer]
    return refusals


def subscribed_fields(subscriptions: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The fields of the active subscription; each comes as a name, or as `{name, version}`."""
    found: set[str] = set()
    for one in subscriptions:
        fields = one.get("fields")
        if one.get("object") == _SUBSCRIBED_OBJECT and one.get("active") is not False and isinstance(fields, list):
            found.update(str(field.get("name") if isinstance(field, dict) else field) for field in fields)
    return frozenset(found)


def field_findings(subject: str, found: frozenset[str]) -> list[Finding]:
    """A problem for each needed field that is missing, one warning for the recommended ones."""
    remedy = "subscribe to it in the app's dashboard, under WhatsApp, Configuration, Webhook fields"
    missing = [
        Finding(level="problem", subject=subject, message=f"{name} is missing: {meaning}", remedy=remedy)
        for name, meaning in NEEDED_FIELDS.items()
        if name not in found
    ]
    wished = [name for name in RECOMMENDED_FIELDS if name not in found]
    if wished:
        message = f"recommended and missing: {', '.join(wished)}"
        missing.append(Finding(level="warning", subject=subject, message=message, remedy=remedy))
    return missing or [Finding(level="ok", subject=subject, message="every field is subscribed")]


async def _ask(client: GraphClient, *path: str, token: str, what: str) -> GraphAnswer | Finding:
    """An answer of 200, or the finding that there is none."""
    try:
        answer = await client.call("GET", *path, token=token, what=what)
        if answer.status == OK:
            return answer
        error = fault(answer, what)
    except CustodyError as caught:
        error = caught
    return Finding(level="problem", subject=what, message=str(error), remedy=_remedy(error))


def _remedy(error: CustodyError) -> str:
    if isinstance(error, ProviderRefusedError):
        return "renew the credential, and see that it has whatsapp_business_management and _messaging"
    return "see that the ids in the settings are the provider's and that it can be reached, then check again"


def _data(answer: GraphAnswer) -> list[Mapping[str, Any]]:
    data = answer.body.get("data")
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
