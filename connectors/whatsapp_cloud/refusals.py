"""Telling whoever runs the edge that deliveries are refused: seldom, for strangers choose how often they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from dataclasses import dataclass, field

import structlog

Monotonic = Callable[[], float]

QUIET_SECONDS = 60.0
"""From one warning to the next of the same kind, for the same app."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A kind of refusal: its name in the log, and what mends it."""

    action: str
    why: str


UNSIGNED = Refusal(
    action="webhook.unsigned",
    why="no secret in the app's secret_files made the signature: put the app secret that the provider shows there",
)
UNKNOWN_APP = Refusal(
    action="webhook.unknown_app",
    why="no such app is registered for whatsapp_cloud: register it, or correct the callback URL at the provider",
)
UNVERIFIED = Refusal(
    action="webhook.unverified",
    why="the verify token is not the one in the app's verify_token_file: type the same one at the provider",
)


@dataclass(slots=True)
class Refusals:
    """Counts what is refused, and warns of it at most once in `QUIET_SECONDS` for each app and kind.

    A name that nobody registered came from a stranger: it is neither kept nor told, and all of those are one.
    """

    monotonic: Monotonic
    _told: dict[tuple[str | None, str], tuple[float, int]] = field(default_factory=dict)
    """When the last warning was, and how many were refused since."""

    def note(self, refusal: Refusal, name: str, registered: Container[str]) -> None:
        """One more was refused, sent to the app `name`."""
        app = name if name in registered else None
        key = (app, refusal.action)
        if key not in self._told:
            self._forget_all_but(registered)
        now = self.monotonic()
        told_at, before = self._told.get(key, (-math.inf, 0))
        if now - told_at < QUIET_SECONDS:
            self._told[key] = (told_at, before + 1)
            return
        self._told[key] = (now, 0)
        _log.warning("refused", action=refusal.action, app=app, refused_count=before + 1, why=refusal.why)

    def _forget_all_but(self, registered: Container[str]) -> None:
        self._told = {key: told for key, told in self._told.items() if key[0] is None or key[0] in registered}
