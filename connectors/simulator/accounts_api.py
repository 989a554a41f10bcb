"""Numbers, WABAs and apps over the Graph API: storage settings, registration, contact book, subscriptions.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/no-storage (2026-05-21), and beside it
local-storage, business-scoped-user-ids (2026-05-07, contact book) and webhooks/override. What `GET /settings` answers
for a number without storage is in no official text; it is what client libraries assume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from connectors.simulator.gate import Gate, parameters, token
from connectors.simulator.graph_errors import (
    callback_not_verified,
    invalid_parameter,
    invalid_token,
    too_many_registrations,
    unknown_object,
)
from connectors.simulator.world import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from connectors.simulator.challenge import Challenger
    from connectors.simulator.config import AppConfig, Posture
    from connectors.simulator.world import Number

_REGISTRATIONS = 10
_PIN_DIGITS = 6
_RETENTION_MINUTES = 60
_REGIONS = frozenset({"AE", "AU", "BH", "BR", "CA", "CH", "DE", "GB", "ID", "IN", "JP", "KR", "SG", "ZA"})


class AccountsApi:
    """What the owner of a number sets and asks."""

    def __init__(self, gate: Gate, *, challenger: Challenger) -> None:
        self._gate = gate
        self._world = gate.world
        self._challenger = challenger

    async def number(self, request: Request, account: str) -> Response:
        """`GET /{phone-number-id}`: the fields that `fields` names, or all."""
        shown = self._number(account)
        asked = [name for name in request.query_params.get("fields", "").split(",") if name]
        return JSONResponse({name: shown[name] for name in ("id", *asked) if name in shown} if asked else shown)

    async def numbers(self, request: Request) -> Response:
        """`GET /{waba-id}/phone_numbers`."""
        waba_id = await self._waba(request)
        mine = [one.id for one in self._world.numbers.values() if one.config.waba_id == waba_id]
        return JSONResponse({"data": [self._number(account) for account in mine]})

    async def settings(self, request: Request) -> Response:
        """`GET /{phone-number-id}/settings`."""
        number = await self._gate.number(request)
        return JSONResponse({"storage_configuration": _storage(number)})

    async def change_settings(self, request: Request) -> Response:
        """`POST /{phone-number-id}/settings`: what applies once the number registers again."""
        number = await self._gate.number(request)
        storage = (await parameters(request)).get("storage_configuration")
        if not isinstance(storage, dict):
            raise invalid_parameter("storage_configuration is required", code=131008)
        wanted = _wanted_posture(storage)
        if number.registered:
            raise invalid_parameter("deregister the number before its storage is configured")
        number.wanted = wanted
        return JSONResponse({"success": True})

    async def register(self, request: Request) -> Response:
        """`POST /{phone-number-id}/register`."""
        number = await self._gate.number(request)
        given = await parameters(request)
        pin = str(given.get("pin", ""))
        if len(pin) != _PIN_DIGITS or not pin.isdecimal():
            raise invalid_parameter("pin must be six digits", code=131008)
        self._count_registration(number)
        number.posture, number.region = number.wanted or ("default", number.region)
        number.wanted, number.registered = None, True
        return JSONResponse({"success": True})

    async def deregister(self, request: Request) -> Response:
        """`POST /{phone-number-id}/deregister`; whatever storage was configured is undone."""
        number = await self._gate.number(request)
        self._count_registration(number)
        number.registered, number.wanted = False, None
        return JSONResponse({"success": True})

    async def forget_contact(self, request: Request) -> Response:
        """`DELETE /{phone-number-id}/contact_book`: whether the customer was in it."""
        number = await self._gate.number(request)
        query = request.query_params
        user_id, phone = query.get("bsuid"), query.get("phone_number")
        if user_id is None and phone is None:
            raise invalid_parameter("bsuid is required", code=131008)
        deleted = self._gate.ledger.contact_deleted(number.id, user_id=user_id, phone=phone)
        return JSONResponse({"messaging_product": "whatsapp", "success": True, "deleted": deleted})

    async def subscribed_apps(self, request: Request) -> Response:
        """`GET /{waba-id}/subscribed_apps`."""
        waba_id = await self._waba(request)
        override = self._world.overrides.get(waba_id)
        listed = []
        for app_id in self._world.wabas[waba_id].app_ids:
            data = {"link": f"https://www.facebook.com/games/?app_id={app_id}", "name": "Custody", "id": app_id}
            shown = {"override_callback_uri": override.url} if override is not None else {}
            listed.append({"whatsapp_business_api_data": data} | shown)
        return JSONResponse({"data": listed})

    async def override_waba(self, request: Request) -> Response:
        """`POST /{waba-id}/subscribed_apps`: a callback URL of the WABA's own, or without one none any more."""
        waba_id = await self._waba(request)
        return await self._override(waba_id, await parameters(request))

    async def override_number(self, request: Request, account: str) -> Response:
        """`POST /{phone-number-id}` with `webhook_configuration`: the same for a number."""
        configuration = (await parameters(request)).get("webhook_configuration")
        if not isinstance(configuration, dict):
            raise invalid_parameter("webhook_configuration is required", code=131008)
        return await self._override(account, configuration)

    async def subscriptions(self, request: Request) -> Response:
        """`GET /{app-id}/subscriptions`, with the app's own token."""
        app = await self._app(request)
        fields = [{"name": name, "version": "v25.0"} for name in app.fields]
        subscription = {"object": "whatsapp_business_account", "callback_url": app.callback_url or ""}
        return JSONResponse({"data": [subscription | {"active": True, "fields": fields}]})

    async def subscribe(self, request: Request) -> Response:
        """`POST /{app-id}/subscriptions`: set callback URL, verify token and fields, after the challenge."""
        app = await self._app(request)
        given = await parameters(request)
        if given.get("object") != "whatsapp_business_account":
            raise invalid_parameter("object must be whatsapp_business_account")
        callback = Callback(url=str(given.get("callback_url", "")), verify_token=str(given.get("verify_token", "")))
        await self._challenge(callback)
        fields = tuple(name for name in str(given.get("fields", "")).split(",") if name)
        self._world.set_app(app.app_id, callback=callback, fields=fields or None)
        return JSONResponse({"success": True})

    async def app_token(self, request: Request) -> Response:
        """`GET /oauth/access_token` for client credentials: the app's own token."""
        query = request.query_params
        app = self._world.apps.get(query.get("client_id", ""))
        if app is None or query.get("client_secret") != app.secret:
            raise invalid_token()
        return JSONResponse({"access_token": f"{app.app_id}|{app.secret}", "token_type": "bearer"})

    async def debug_token(self, request: Request) -> Response:
        """`GET /debug_token`: whether a token is valid, and for which app."""
        app = self._world.app_of_token(token(request))
        if app is None and not self._world.numbers_of_token(token(request)):
            raise invalid_token()
        asked = self._world.numbers_of_token(request.query_params.get("input_token", ""))
        wabas = sorted({self._world.number(account).config.waba_id for account in asked})
        scopes = ["whatsapp_business_management", "whatsapp_business_messaging"] if asked else []
        granular = [{"scope": scope, "target_ids": wabas} for scope in scopes]
        data = {"is_valid": bool(asked), "type": "SYSTEM_USER", "expires_at": 0, "scopes": scopes}
        app_id = self._world.wabas[wabas[0]].app_ids[0] if wabas else ""
        return JSONResponse({"data": data | {"app_id": app_id, "granular_scopes": granular}})

    def _number(self, account: str) -> dict[str, object]:
        number = self._world.number(account)
        return {
            "id": account,
            "verified_name": number.config.verified_name,
            "display_phone_number": number.config.display_phone_number,
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API" if number.registered else "NOT_APPLICABLE",
            "throughput": {"level": "STANDARD"},
        }

    def _count_registration(self, number: Number) -> None:
        number.registrations += 1
        if number.registrations > _REGISTRATIONS:
            raise too_many_registrations()

    async def _override(self, place: str, given: Mapping[str, object]) -> Response:
        url = str(given.get("override_callback_uri") or "")
        if not url:
            self._world.overrides.pop(place, None)
            return JSONResponse({"success": True})
        callback = Callback(url=url, verify_token=str(given.get("verify_token", "")))
        await self._challenge(callback)
        self._world.overrides[place] = callback
        return JSONResponse({"success": True})

    async def _challenge(self, callback: Callback) -> None:
        refused = await self._challenger.refused(callback)
        if refused is not None:
            raise callback_not_verified(refused)

    async def _waba(self, request: Request) -> str:
        numbers = await self._gate.open(request)
        waba_id = str(request.path_params["object_id"])
        if waba_id not in {self._world.number(account).config.waba_id for account in numbers}:
            raise unknown_object(request.method.lower(), waba_id)
        return waba_id

    async def _app(self, request: Request) -> AppConfig:
        await self._gate.trouble(request)
        app = self._world.app_of_token(token(request))
        if app is None:
            raise invalid_token()
        if app.app_id != request.path_params["object_id"]:
            raise unknown_object(request.method.lower(), str(request.path_params["object_id"]))
        return app


def _storage(number: Number) -> dict[str, object]:
    if number.posture == "no_storage":
        return {"status": "NO_STORAGE_ENABLED", "retention_minutes": 60}
    if number.posture == "local":
        return {"status": "IN_COUNTRY_STORAGE_ENABLED", "data_localization_region": number.region}
    return {"status": "default"}


def _wanted_posture(storage: Mapping[str, object]) -> tuple[Posture, str]:
    status = str(storage.get("status", "")).upper()
    if status == "NO_STORAGE_ENABLED":
        if storage.get("retention_minutes") != _RETENTION_MINUTES:
            raise invalid_parameter("retention_minutes must be 60")
        return "no_storage", ""
    if status == "IN_COUNTRY_STORAGE_ENABLED":
        region = str(storage.get("data_localization_region", "")).upper()
        if region not in _REGIONS:
            raise invalid_parameter(f"data_localization_region must be one of {', '.join(sorted(_REGIONS))}")
        return "local", region
    if status in {"DEFAULT", "IN_COUNTRY_STORAGE_DISABLED"}:
        return "default", ""
    raise invalid_parameter("status must be NO_STORAGE_ENABLED, IN_COUNTRY_STORAGE_ENABLED or DEFAULT")
