"""Warnings of refused deliveries: enough to learn of them, few enough whatever strangers do."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from connectors.whatsapp_cloud.refusals import QUIET_SECONDS, UNKNOWN_APP, UNSIGNED, Refusal, Refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = {"acme", "zen"}


@dataclass(slots=True)
class Desk:
    """Where refusals are noted, and what was told of them."""

    lines: list[MutableMapping[str, Any]]
    now: float = 0.0
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self.refusals = Refusals(lambda: self.now)

    def refuse(self, name: str, refusal: Refusal = UNSIGNED, *, times: int = 1) -> None:
        for _ in range(times):
            self.refusals.note(refusal, name, APPS)

    @property
    def told(self) -> list[tuple[str, str | None, int]]:
        return [(one["action"], one["app"], one["refused_count"]) for one in self.lines]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with structlog.testing.capture_logs() as lines:
        yield Desk(lines)


def test_the_first_is_told_at_once_and_the_others_are_counted_for_the_next_warning(desk: Desk) -> None:
    desk.refuse("acme", times=5)
    desk.now = QUIET_SECONDS - 0.1
    desk.refuse("acme")
    assert desk.told == [("webhook.unsigned", "acme", 1)]
    desk.now = QUIET_SECONDS
    desk.refuse("acme")
    assert desk.told[1:] == [("webhook.unsigned", "acme", 6)]


def test_each_app_and_each_kind_is_told_by_itself(desk: Desk) -> None:
    desk.refuse("acme", times=2)
    desk.refuse("zen", times=2)
    desk.refuse("acme", UNKNOWN_APP, times=2)
    assert desk.told == [
        ("webhook.unsigned", "acme", 1),
        ("webhook.unsigned", "zen", 1),
        ("webhook.unknown_app", "acme", 1),
    ]


def test_names_that_nobody_registered_are_one_and_are_neither_told_nor_kept(desk: Desk) -> None:
    for number in range(1_000):
        desk.refuse(f"canary-{number}", UNKNOWN_APP)
    desk.now = QUIET_SECONDS
    desk.refuse("canary", UNKNOWN_APP)
    assert desk.told == [("webhook.unknown_app", None, 1), ("webhook.unknown_app", None, 1_000)]
    assert "canary" not in repr((desk.lines, desk.refusals))


def test_apps_that_are_no_longer_registered_are_forgotten(desk: Desk) -> None:
    for number in range(1_000):
        desk.refusals.note(UNSIGNED, f"app-{number}", {f"app-{number}"})
    assert len(desk.refusals._told) == 1
