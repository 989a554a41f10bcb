"""SQL over any of the tables, made from its description: names of tables and columns are ours, values never go in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from broker.core.tables import Table

_SCHEMA = "custody_pas"
_TYPES: Mapping[str, str] = {
    "number": "integer",
    "partition": "integer",
    "log_offset": "bigint",
    "result_number": "bigint",
    "receipt_number": "bigint",
    "bucket": "timestamptz",
}
"""Of the columns in keys that are not text."""

_TENANTS_OF = """
SELECT tenant FROM (
    WITH RECURSIVE one AS (
        SELECT min(tenant) AS tenant FROM {table}
        UNION ALL
        SELECT (SELECT min(tenant) FROM {table} WHERE tenant > one.tenant) FROM one WHERE one.tenant IS NOT NULL
    )
    SELECT tenant FROM one WHERE tenant IS NOT NULL
) AS found
"""  # from one tenant to the next by an index, where there is one


def _all_tenants() -> str:
    each = " UNION ".join(_TENANTS_OF.format(table=f"{_SCHEMA}.{table.name}") for table in TABLES)
    return f'SELECT tenant FROM ({each}) AS every ORDER BY tenant COLLATE "C"'  # noqa: S608


TENANTS = _all_tenants()
"""Whose rows there are, in any table."""


def count(table: Table) -> str:
    """How many rows a tenant has. $1 tenant."""
    return f"SELECT count(*) AS amount FROM {_name(table)} WHERE tenant = $1"  # noqa: S608


def scan(table: Table, columns: Sequence[str], *, after: bool) -> str:
    """A tenant's rows in the order of their keys. $1 tenant, and where `after` is meant, the key from $2 on."""
    ordered = ", ".join(_sorted(name) for name in table.key)
    values = ", ".join(f"${place}::{_type(name)}" for place, name in enumerate(table.key, 2))
    behind = f"AND ({ordered}) > ({values})" if after else ""
    return f"SELECT {_listed(columns)} FROM {_name(table)} WHERE tenant = $1 {behind} ORDER BY {ordered}"  # noqa: S608


def by_key(table: Table) -> str:
    """Whole rows by their keys, in that order. $1 tenant, from $2 on an array for each column of the key."""
    arrays = ", ".join(f"${place}::{_type(name)}[]" for place, name in enumerate(table.key, 2))
    same = " AND ".join(f"kept.{name} = wanted.{name}" for name in table.key)
    return (
        f"SELECT {_listed(f'kept.{name}' for name in table.columns)} "  # noqa: S608
        f"FROM unnest({arrays}) WITH ORDINALITY AS wanted ({_listed(table.key)}, place) "
        f"JOIN {_name(table)} AS kept ON kept.tenant = $1 AND {same} ORDER BY wanted.place"
    )


def copied(table: Table) -> str:
    """A session's own table that rows are copied into."""
    return f"copied_{table.name}"


def make_copied(table: Table) -> str:
    """Makes that table."""
    return (
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {copied(table)} (LIKE {_name(table)} INCLUDING STORAGE) "
        "ON COMMIT DELETE ROWS"
    )


def insert(table: Table) -> str:
    """Inserts what was copied in, but for keys that are there, numbers and all."""
    names = _listed(table.columns)
    return (
        f"INSERT INTO {_name(table)} ({names}) OVERRIDING SYSTEM VALUE "  # noqa: S608
        f"SELECT {names} FROM pg_temp.{copied(table)} ON CONFLICT DO NOTHING"
    )


def update(table: Table) -> str:
    """Gives the rows of these keys what may change of them."""
    changed = ", ".join(f"{name} = given.{name}" for name in table.mutable)
    same = " AND ".join(f"kept.{name} = given.{name}" for name in ("tenant", *table.key))
    return f"UPDATE {_name(table)} AS kept SET {changed} FROM pg_temp.{copied(table)} AS given WHERE {same}"  # noqa: S608


def _name(table: Table) -> str:
    return f"{_SCHEMA}.{table.name}"


def _type(name: str) -> str:
    return _TYPES.get(name, "text")


def _sorted(name: str) -> str:
    return f'{name} COLLATE "C"' if _type(name) == "text" else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
