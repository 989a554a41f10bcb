"""What `custody check` says of a MongoDB, by facts as they could be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from backends.mongo.facts import Facts, _is_encrypted, _is_local
from backends.mongo.findings import judged
from backends.mongo.steps import steps

GOOD = Facts(
    is_set=True,
    members=3,
    arbiters=0,
    feature_version=(7, 0),
    is_journaled=True,
    majority_is_journaled=True,
    default_write_concern="majority",
    versions={one.version: one.digest for one in steps()},
    lacking=(),
    quotes_from_milliseconds=2**31 - 1,
    is_profiling=False,
    may_take_away=False,
    lets_anybody_in=False,
    is_encrypted=True,
    is_local=False,
)


def levels(*, strict: bool = True, allow_standalone: bool = False, **changed: object) -> list[tuple[str, str]]:
    found = judged(replace(GOOD, **cast("Any", changed)), strict=strict, allow_standalone=allow_standalone)
    return [(one.level, one.message) for one in found if one.remedy]


def test_where_all_is_well_nothing_is_said() -> None:
    assert levels() == []
    assert levels(feature_version=None, majority_is_journaled=None, default_write_concern=None, lacking=None) == []
    assert levels(is_encrypted=False, is_local=True) == []
    assert levels(members=None) == []
    assert levels(quotes_from_milliseconds=None) == []


@pytest.mark.parametrize(
    ("changed", "level", "word"),
    [
        ({"is_set": False, "members": None}, "problem", "no replica set"),
        ({"members": 1}, "problem", "1 of 3 members"),
        ({"arbiters": 1}, "warning", "arbiter"),
        ({"feature_version": (5, 0)}, "problem", "MongoDB 5.0 are older than 6.0"),
        ({"is_journaled": False}, "problem", "no journal"),
        ({"majority_is_journaled": False}, "warning", "writeConcernMajorityJournalDefault"),
        ({"default_write_concern": 1}, "warning", "w: 1"),
        ({"quotes_from_milliseconds": 100}, "problem", "quotes what takes 100 ms"),
        ({"is_profiling": True}, "problem", "profiler"),
        ({"versions": None}, "problem", "may not read"),
        ({"versions": {}}, "problem", "lacks the schema"),
        ({"versions": {9999: "x"}}, "problem", "newer"),
        (
            {"lacking": ["index records.received", "validator gaps"]},
            "problem",
            "index records.received, validator gaps",
        ),
        ({"may_take_away": True}, "problem", "change and delete"),
        ({"lets_anybody_in": True, "may_take_away": True}, "problem", "without a login"),
        ({"is_encrypted": False}, "warning", "in the clear"),
    ],
)
def test_what_a_promise_lacks_is_named_with_its_remedy(changed: dict[str, Any], level: str, word: str) -> None:
    ((found, message),) = levels(**changed)
    assert found == level
    assert word in message


@pytest.mark.parametrize("changed", [{"members": 1}, {"may_take_away": True}, {"lets_anybody_in": True}])
def test_what_is_fit_for_trying_out_is_a_warning_there(changed: dict[str, Any]) -> None:
    assert [level for level, _ in levels(strict=False, **changed)] == ["warning"]


def test_a_standalone_server_that_is_allowed_is_a_warning() -> None:
    ((level, message),) = levels(allow_standalone=True, is_set=False, members=None)
    assert level == "warning"
    assert "nothing is erased" in message


@pytest.mark.parametrize(
    ("uri", "encrypted"),
    [
        ("mongodb://h/d", False),
        ("mongodb://h/d?replicaSet=r&TLS=true", True),
        ("mongodb://h/d?ssl=true", True),
        ("mongodb+srv://h/d", True),
        ("mongodb+srv://h/d?tls=false", False),
    ],
)
def test_tls_is_read_from_the_address(uri: str, encrypted: bool) -> None:
    assert _is_encrypted(uri) is encrypted


@pytest.mark.parametrize(
    ("addresses", "local"),
    [
        (["127.0.0.1:27017", "localhost:1", "[::1]:1", "::1"], True),
        (["127.0.0.1:27017", "10.0.0.1:1"], False),
        (["127.example.com:1"], False),
    ],
)
def test_what_is_local_is_read_from_the_members(addresses: list[str], local: bool) -> None:
    assert _is_local(addresses) is local
