"""Whether an account is set up as wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from broker.core.registry import Posture
from connectors.whatsapp_cloud import check
from connectors.whatsapp_cloud.check import NEEDED_FIELDS, RECOMMENDED_FIELDS, field_findings, storage_finding
from tests.unit.connectors.whatsapp_cloud.provider import (
    ACCOUNT,
    APP,
    CANARIES,
    GRAPH,
    TOKEN,
    connector,
    graph_error,
    json,
    provider,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import Finding
    from broker.core.registry import Account
    from tests.unit.connectors.whatsapp_cloud.provider import Answer

SETTINGS = f"{GRAPH}/{ACCOUNT.id}/settings"
SUBSCRIBED_APPS = f"{GRAPH}/{ACCOUNT.group}/subscribed_apps"
SUBSCRIPTIONS = f"{GRAPH}/{APP.app_id}/subscriptions"
EVERY_FIELD = [*NEEDED_FIELDS, *RECOMMENDED_FIELDS]
SAME_BOOK = replace(ACCOUNT, posture=Posture(contact_book=True))

GOOD = {
    SETTINGS: json(storage_configuration={"status": "default"}),
    SUBSCRIBED_APPS: json(data=[{"whatsapp_business_api_data": {"id": APP.app_id, "name": "x", "link": "y"}}]),
    SUBSCRIPTIONS: json(
        data=[
            {
                "object": "whatsapp_business_account",
                "active": True,
                "fields": [{"name": name, "version": "v25.0"} for name in EVERY_FIELD],
            }
        ]
    ),
}


async def findings(answers: dict[str, Answer], account: Account = SAME_BOOK) -> tuple[Sequence[Finding], list[str]]:
    """What is found, and with which credentials the app's subscriptions were asked for."""
    async with provider() as double, connector(double) as cloud:
        for path, answer in (GOOD | answers).items():
            double.on("GET", path, answer)
        found = await cloud.check(account)
        assert not [word for word in CANARIES if word in repr(found)]
        return found, [token for _, path, token in double.asked if path == SUBSCRIPTIONS]


async def test_an_account_as_wanted_has_nothing_but_good_findings() -> None:
    found, tokens = await findings({})
    assert [one.level for one in found] == ["ok", "ok", "ok"]
    assert tokens == [f"Bearer {APP.app_id}|canary-secret"]


async def test_every_problem_and_warning_comes_with_its_remedy() -> None:
    refused = graph_error(401, 190)
    found, tokens = await findings(dict.fromkeys(GOOD, refused), ACCOUNT)
    assert {one.level for one in found} == {"problem", "warning"}
    assert all(one.remedy for one in found)
    assert len(tokens) == len(APP.secrets)


async def test_a_contact_book_that_is_not_wanted_is_pointed_at_since_it_cannot_be_asked_for() -> None:
    found, _ = await findings({}, ACCOUNT)
    assert [one.level for one in found if "contact book" in one.subject] == ["warning"]


async def test_a_refused_token_says_to_renew_it() -> None:
    found, _ = await findings({SETTINGS: graph_error(401, 190)})
    assert (found[0].level, found[0].subject) == ("problem", "claims: storage")
    assert found[0].remedy.startswith("renew the credential")


async def test_the_second_live_secret_is_asked_when_the_first_is_refused() -> None:
    async with provider() as double, connector(double) as cloud:
        for path, answer in GOOD.items():
            double.on("GET", path, answer)
        double.on("GET", SUBSCRIPTIONS, graph_error(401, 190), GOOD[SUBSCRIPTIONS])
        found = await cloud.check(SAME_BOOK)
    assert {one.level for one in found} == {"ok"}


@pytest.mark.parametrize("data", [[], [{"whatsapp_business_api_data": {"id": "1"}}], [{"x": 1}, 7], None])
async def test_an_app_that_the_waba_does_not_know_receives_nothing(data: object) -> None:
    found, _ = await findings({SUBSCRIBED_APPS: json(data=data)})
    (problem,) = [one for one in found if one.level == "problem"]
    assert "nothing arrives" in problem.message


async def test_an_app_that_is_not_registered_is_a_problem() -> None:
    found, tokens = await findings({}, replace(SAME_BOOK, app="another"))
    assert [one.level for one in found] == ["ok", "problem"]
    assert not tokens


@pytest.mark.parametrize(
    "data",
    [
        [{"object": "whatsapp_business_account", "active": True, "fields": EVERY_FIELD}],
        [
            {"object": "page", "active": True, "fields": ["feed"]},
            {"object": "whatsapp_business_account", "fields": [{"name": one} for one in EVERY_FIELD]},
        ],
    ],
)
async def test_fields_are_read_as_names_and_as_objects(data: object) -> None:
    found, _ = await findings({SUBSCRIPTIONS: json(data=data)})
    assert {one.level for one in found} == {"ok"}


@pytest.mark.parametrize(
    "data",
    [
        [{"object": "whatsapp_business_account", "active": False, "fields": EVERY_FIELD}],
        [{"object": "page", "active": True, "fields": EVERY_FIELD}],
        [{"object": "whatsapp_business_account", "fields": None}],
        "junk",
    ],
)
async def test_a_subscription_that_is_off_or_of_something_else_counts_for_nothing(data: object) -> None:
    found, _ = await findings({SUBSCRIPTIONS: json(data=data)})
    problems = [one.message.split()[0] for one in found if one.level == "problem"]
    assert problems == list(NEEDED_FIELDS)


@pytest.mark.parametrize("name", NEEDED_FIELDS)
def test_each_needed_field_that_is_missing_is_a_problem_of_its_own(name: str) -> None:
    (problem,) = field_findings("app", frozenset(EVERY_FIELD) - {name})
    assert problem.level == "problem"
    assert problem.message.startswith(f"{name} is missing")


def test_recommended_fields_that_are_missing_make_one_warning() -> None:
    (warning,) = field_findings("app", frozenset(EVERY_FIELD) - {"history", "calls"})
    assert (warning.level, warning.message) == ("warning", "recommended and missing: calls, history")


@pytest.mark.parametrize(
    ("configuration", "wanted", "level"),
    [
        ({}, Posture(), "ok"),
        ({"status": "default"}, Posture(), "ok"),
        ({"status": "DEFAULT"}, Posture(), "ok"),
        ({"status": "IN_COUNTRY_STORAGE_DISABLED"}, Posture(), "ok"),
        ({"status": "NO_STORAGE_ENABLED", "retention_minutes": 60}, Posture(storage="no_storage"), "ok"),
        ({"status": "no_storage_enabled"}, Posture(storage="no_storage"), "ok"),
        ({"status": "default"}, Posture(storage="no_storage"), "problem"),
        ({}, Posture(storage="no_storage"), "problem"),
        ({"status": "NO_STORAGE_ENABLED"}, Posture(), "problem"),
        (
            {"status": "in_country_storage_enabled", "data_localization_region": "za"},
            Posture(storage="local", region="ZA"),
            "ok",
        ),
        (
            {"status": "IN_COUNTRY_STORAGE_ENABLED", "data_localization_region": "DE"},
            Posture(storage="local", region="ZA"),
            "problem",
        ),
        ({"status": "IN_COUNTRY_STORAGE_ENABLED"}, Posture(storage="local", region="ZA"), "problem"),
        ({"status": "SOMETHING_NEW"}, Posture(), "warning"),
        ({"status": 7}, Posture(), "warning"),
    ],
)
def test_storage_is_compared_with_the_posture_wanted(
    configuration: dict[str, object], wanted: Posture, level: str
) -> None:
    finding = storage_finding("claims: storage", configuration, wanted)
    assert finding.level == level
    assert finding.remedy or level == "ok"


def test_a_field_is_either_needed_or_recommended() -> None:
    assert not NEEDED_FIELDS.keys() & RECOMMENDED_FIELDS.keys()
    assert TOKEN not in repr(check)
