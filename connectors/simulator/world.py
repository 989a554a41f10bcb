"""The provider's own state: who may do what, where webhooks go, and how long things are held.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/no-storage (2026-05-21) and
https://developers.facebook.com/documentation/business-messaging/whatsapp/local-storage for postures; messages are held
at most 30 days without either (data-privacy page), 1 hour with either.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connectors.simulator.config import NumberConfig, Posture
from connectors.simulator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.simulator.config import AppConfig, SimulatorConfig

_MESSAGE_SECONDS = 30 * 86_400
_IN_USE_SECONDS = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Where an app's webhooks go; `verify_token` was sent along when the URL was set."""

    url: str | None
    verify_token: str


@dataclass(slots=True, kw_only=True)
class Number:
    """A business number as it is now. `wanted` is a posture that applies once the number registers again."""

    config: NumberConfig
    posture: Posture
    region: str
    registered: bool = True
    contact_book: bool = False
    wanted: tuple[Posture, str] | None = None
    registrations: int = 0

    @property
    def id(self) -> str:
        """The phone number id."""
        return self.config.phone_number_id


class World:
    """Looks up apps, accounts, numbers and tokens, and answers how long the provider holds something."""

    def __init__(self, config: SimulatorConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self.apps = {app.app_id: app for app in config.apps}
        self.wabas = {waba.waba_id: waba for waba in config.wabas}
        self.numbers = {
            one.phone_number_id: Number(
                config=one, posture=one.posture, region=one.region, contact_book=one.contact_book
            )
            for one in config.numbers
        }
        self.base_url = ""
        self.overrides: dict[str, Callback] = {}
        self._tokens: dict[str, frozenset[str]] = {}
        for one in config.numbers:
            mine = self._tokens.get(one.access_token, frozenset())
            self._tokens[one.access_token] = mine | {one.phone_number_id}

    def number(self, account: str) -> Number:
        """The number with this id. Raises ConfigError."""
        if account not in self.numbers:
            message = f"no number has the id {account}: use one of the settings' numbers"
            raise ConfigError(message)
        return self.numbers[account]

    def numbers_of_token(self, token: str) -> frozenset[str]:
        """The numbers an access token speaks for; none if it is not valid."""
        return self._tokens.get(token, frozenset())

    def app_of_token(self, token: str) -> AppConfig | None:
        """The app whose own token, `APPID|SECRET`, this is."""
        app = self.apps.get(token.partition("|")[0])
        return app if app is not None and token == f"{app.app_id}|{app.secret}" else None

    def subscribers(self, account: str, field: str) -> tuple[AppConfig, ...]:
        """The apps that get this field of this number: subscribed to its WABA, and to the field."""
        waba = self.wabas[self.number(account).config.waba_id]
        return tuple(app for app in map(self.apps.__getitem__, waba.app_ids) if field in app.fields)

    def callback(self, app_id: str, account: str) -> Callback:
        """Where the app's webhooks of this number go: the number's own URL, its WABA's, else the app's."""
        waba_id = self.number(account).config.waba_id
        for place in (account, waba_id):
            if place in self.overrides:
                return self.overrides[place]
        app = self.apps[app_id]
        return Callback(url=app.callback_url, verify_token=app.verify_token)

    def set_app(
        self,
        app_id: str,
        *,
        callback: Callback | None = None,
        fields: tuple[str, ...] | None = None,
        secret: str | None = None,
    ) -> None:
        """Change an app: its callback, the fields it subscribed to, or the secret that signs from now on."""
        app = self.apps[app_id]
        if callback is not None:
            app = replace(app, callback_url=callback.url, verify_token=callback.verify_token)
        if fields is not None:
            app = replace(app, fields=fields)
        if secret is not None:
            app = replace(app, secret=secret)
        self.apps[app_id] = app

    def message_until(self, account: str, timestamp: float) -> float:
        """Until when a message of that time is held, in Unix seconds."""
        kept = _MESSAGE_SECONDS if self.number(account).posture == "default" else _IN_USE_SECONDS
        return timestamp + kept

    def inbound_media_until(self, account: str, timestamp: float) -> float:
        """Until when the media of an inbound message or an echo of that time is served."""
        media = self.config.media
        stored = self.number(account).posture != "no_storage"
        return timestamp + (media.webhook_seconds if stored else media.no_storage_seconds)

    def upload_until(self, account: str, at: float, ttl_minutes: int | None) -> float:
        """Until when an uploaded file is served. `ttl_minutes` counts with No Storage only."""
        media = self.config.media
        if self.number(account).posture != "no_storage":
            return at + media.upload_seconds
        return at + (media.no_storage_seconds if ttl_minutes is None else ttl_minutes * 60)

    def retry_budget_seconds(self, account: str, array: str | None) -> float:
        """How long a webhook of this number is retried, in provider seconds.

        Without storage one hour; for its `errors`, which hold no content, as long as for any other number (assumed:
        they would tell nobody of an outage of more than an hour otherwise).
        """
        delivery = self.config.delivery
        short = self.number(account).posture == "no_storage" and array != "errors"
        return delivery.no_storage_retry_budget_seconds if short else delivery.retry_budget_seconds
