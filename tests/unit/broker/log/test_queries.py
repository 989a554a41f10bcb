"""The SQL in files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import broker.log
from broker.log.postgres.queries import migrations, queries, split

_CODE = Path(broker.log.__file__).parent / "postgres"


def test_a_file_splits_into_named_queries() -> None:
    text = "-- one --\n-- What it does.\nSELECT 1\n\n-- another_one --\n-- And this.\nSELECT\n  2\n"
    assert split(text) == {"one": "-- What it does.\nSELECT 1", "another_one": "-- And this.\nSELECT\n  2"}


@pytest.mark.parametrize("name", sorted(queries()))
def test_every_query_says_what_it_does_and_is_used(name: str) -> None:
    assert queries()[name].startswith("-- ")
    assert any(f'queries()["{name}"]' in file.read_text() for file in _CODE.glob("*.py"))


def test_the_code_names_no_query_that_is_not_there() -> None:
    named = {name for file in _CODE.glob("*.py") for name in re.findall(r'queries\(\)\["(\w+)"\]', file.read_text())}
    assert named == set(queries())


def test_migrations_count_up_from_one() -> None:
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))
