"""Every statement has a file, every file a description and a use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import backends.postgres
from backends.postgres.sql import BLOBS, RECORDS, Schema, migrations, query

HERE = Path(backends.postgres.__file__).parent
FILES = sorted((HERE / "queries").rglob("*.sql"))
CODE = "".join(file.read_text() for file in HERE.glob("*.py"))


@pytest.mark.parametrize("file", [*FILES, *sorted((HERE / "migrations").rglob("*.sql"))], ids=lambda one: one.stem)
def test_every_file_begins_by_saying_what_it_does(file: Path) -> None:
    assert re.match(r"-- [A-Z]", file.read_text())
    assert max(map(len, file.read_text().splitlines())) <= 120


@pytest.mark.parametrize("file", FILES, ids=lambda one: f"{one.parent.name}/{one.stem}")
def test_every_query_is_used(file: Path) -> None:
    assert re.search(rf"[\"/]{file.stem}\"", CODE)
    assert query(str(file.relative_to(HERE / "queries").with_suffix(""))) == file.read_text()


@pytest.mark.parametrize("schema", [RECORDS, BLOBS], ids=lambda one: one.folder)
def test_migrations_are_numbered_from_one_without_a_hole(schema: Schema) -> None:
    assert [one.version for one in migrations(schema.folder)] == list(range(1, schema.version + 1))


def test_a_migration_that_was_released_is_never_changed() -> None:
    """Add a step instead, and its digest here."""
    found = {
        f"{schema.folder}/{one.name}": one.digest[:16]
        for schema in (RECORDS, BLOBS)
        for one in migrations(schema.folder)
    }
    assert found == RELEASED


RELEASED = {
    "records/0001_records": "58e84a4c8909739f",
    "records/0002_access": "1e9ca56d35b95b2d",
    "records/0003_succession": "bb5cadea496c9fe7",
    "records/0004_renumber": "c172427467c1b176",
    "blobs/0001_blobs": "23ff09791fdc3b30",
    "blobs/0002_access": "654fc0244668b045",
}
