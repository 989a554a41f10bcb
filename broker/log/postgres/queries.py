"""The SQL, by name: every query stands described in `broker/log/sql`."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

_HEADING = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_([a-z_]+)\.sql")


class Migration(NamedTuple):
    """One step of the schema, run once, in order."""

    version: int
    name: str
    sql: str


@cache
def queries() -> Mapping[str, str]:
    """Every query by its name."""
    found: dict[str, str] = {}
    for file in sorted(_folder().iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            found |= split(file.read_text(encoding="utf-8"))
    return found


@cache
def migrations() -> Sequence[Migration]:
    """Every migration, the first one first."""
    found = []
    for file in (_folder() / "migrations").iterdir():
        match = _MIGRATION.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found)


def split(text: str) -> dict[str, str]:
    """The queries of a file: each begins with a line `-- its_name --`."""
    pieces = _HEADING.split(text)
    return dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True))


def _folder() -> Traversable:
    return resources.files("broker.log") / "sql"
