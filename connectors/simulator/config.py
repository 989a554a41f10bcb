"""The settings of a simulated provider: apps, WhatsApp Business Accounts, numbers, and how the world behaves.

Every value is plain data, so that one dictionary or TOML file can give both the simulator its numbers and Custody
its register. Secrets and tokens stay out of `repr`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from connectors.simulator.errors import ConfigError
from connectors.simulator.misbehaviour import Misbehaviour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Posture = Literal["default", "no_storage", "local"]

ALL_FIELDS: tuple[str, ...] = (
    "account_alerts",
    "account_review_update",
    "account_update",
    "automatic_events",
    "business_capability_update",
    "business_username_update",
    "calls",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "messaging_handovers",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "standby",
    "template_category_update",
    "user_id_update",
    "user_preferences",
)
"""Every webhook field an app can subscribe to.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11), and
the reference pages of calls, groups, standby and business-scoped user ids (2026-08).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """A Meta app: it signs what it delivers with `secret`, to one callback URL, for the fields it subscribed to.

    Without a callback URL its webhooks cannot be delivered, and are retried until one is set.
    """

    app_id: str
    secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    callback_url: str | None = None
    fields: tuple[str, ...] = ALL_FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class WabaConfig:
    """A WhatsApp Business Account and the apps subscribed to it; each of them gets every webhook."""

    waba_id: str
    app_ids: tuple[str, ...]
    name: str = "Umbrella Mutual"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberConfig:
    """A business number. Several may share one access token, which sees the media of those numbers only."""

    phone_number_id: str
    display_phone_number: str
    waba_id: str
    access_token: str = field(repr=False)
    verified_name: str = "Umbrella Mutual"
    posture: Posture = "default"
    region: str = "ZA"
    contact_book: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConfig:
    """How webhooks travel. Waiting times are in provider seconds: multiplied by `SimulatorConfig.time_scale`.

    `batch_limit`: items in one body at most. `in_flight`: requests at once. `outstanding`: bodies that wait for an
    answer or a retry; when they are that many, nothing new is produced. The retry intervals are not published.

    Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview (2026-09-11):
    bodies up to 3 MB; retried "with decreasing frequency", up to 7 days; with No Storage 1 hour.
    """

    batch_limit: int = 10
    body_limit_bytes: int = 3_000_000
    in_flight: int = 8
    outstanding: int = 64
    queue_limit: int = 1_000
    answer_timeout_seconds: float = 20.0
    retry_first_seconds: float = 1.0
    retry_factor: float = 2.0
    retry_longest_seconds: float = 3_600.0
    retry_budget_seconds: float = 7 * 86_400.0
    no_storage_retry_budget_seconds: float = 3_600.0
    status_gap_seconds: float = 0.2
    hold_back_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConfig:
    """How media behave, in real seconds. `size_bytes` is the usual size: each lies between half and one and a half.

    The answer of `GET /{media-id}` after deletion, and the encoding of its `sha256`, are not documented: both are
    settings here, so that a client is tested against each.

    Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
    (2026-09-11): URL 5 minutes, webhook media 7 days, uploads 30 days; 1 hour with No Storage.
    """

    size_bytes: int = 6_000
    url_seconds: int = 300
    webhook_seconds: int = 7 * 86_400
    upload_seconds: int = 30 * 86_400
    no_storage_seconds: int = 3_600
    expiring_seconds: int = 45
    upload_limit_bytes: int = 100_000_000
    gone_status: Literal[400, 404] = 400
    digest_encoding: Literal["hex", "base64"] = "hex"
    url_in_webhook: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """A whole simulated provider. `port` 0 takes a free one. `directory` holds the ground truth, else a temporary one.

    `control_token` guards the control calls; a random one is made where none is given.
    """

    apps: tuple[AppConfig, ...]
    wabas: tuple[WabaConfig, ...]
    numbers: tuple[NumberConfig, ...]
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    time_scale: float = 1.0
    directory: str | None = None
    control_token: str | None = field(default=None, repr=False)
    delivery: DeliveryConfig = field(default_factory=DeliveryConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)

    def __post_init__(self) -> None:
        """Refuse settings whose parts do not fit together. Raises ConfigError."""
        apps = _unique("app", (app.app_id for app in self.apps))
        wabas = _unique("WABA", (waba.waba_id for waba in self.wabas))
        numbers = _unique("number", (number.phone_number_id for number in self.numbers))
        _unique("object", (*apps, *wabas, *numbers))
        for waba in self.wabas:
            _known("app", waba.app_ids, apps, where="a WABA's app_ids")
        _known("WABA", (number.waba_id for number in self.numbers), wabas, where="a number's waba_id")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> SimulatorConfig:
        """Settings from plain data, as read from TOML or JSON. Raises ConfigError, naming the field."""
        try:
            return msgspec.convert(dict(mapping), cls)
        except msgspec.ValidationError as error:
            message = f"the simulator's settings do not fit: {error}"
            raise ConfigError(message) from error

    @classmethod
    def from_toml(cls, path: Path) -> SimulatorConfig:
        """Settings from a TOML file: its `[simulator]` table, or the whole file. Raises ConfigError, OSError."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            message = f"{path.name} is not TOML: {error}"
            raise ConfigError(message) from error
        return cls.from_mapping(document.get("simulator", document))

    def to_mapping(self) -> dict[str, object]:
        """Plain data that `from_mapping` takes back, secrets included: write it to a private file only."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain


def _unique(what: str, ids: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            message = f"two entries for {what} {one}: give every app, WABA and number an id of its own"
            raise ConfigError(message)
        seen.add(one)
    return seen


def _known(what: str, ids: Iterable[str], known: set[str], *, where: str) -> None:
    for one in ids:
        if one not in known:
            message = f"{where} names {what} {one}, which is not among the settings: add it, or correct the id"
            raise ConfigError(message)
