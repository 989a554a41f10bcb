"""The log's schema: made and brought up to date by an administrator, once for each version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from broker.core.errors import SchemaError
from broker.log.postgres.errors import guarded
from broker.log.postgres.queries import migrations, queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.log.postgres.queries import Migration

ROLE = "custody_log"
"""The group role that may use the log, and nothing else. It can't log in: users are its members."""


@guarded("migrating", ValueError)
async def migrate(admin_dsn: str, *, grant_to: Sequence[str], keep_identity: bool) -> Sequence[str]:
    """See `PostgresLog.migrate`."""
    connection = await asyncpg.connect(admin_dsn, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(queries()["lock_migrations"])
            applied = [await _apply(connection, one) for one in await _missing(connection)]
            await connection.execute(queries()["make_identity"])
            if keep_identity:
                await connection.execute(queries()["keep_identity"])
        for member in grant_to:
            await connection.execute(f"GRANT {ROLE} TO {_identifier(member)}")
    finally:
        await connection.close()
    return applied


async def _missing(connection: asyncpg.Connection[asyncpg.Record]) -> Sequence[Migration]:
    found = await connection.fetchval(queries()["find_schema"])
    applied = await connection.fetchval(queries()["applied_version"]) if found else 0
    if applied > migrations()[-1].version:
        raise SchemaError("the log's schema is newer than this version of Custody knows: upgrade Custody")
    return [one for one in migrations() if one.version > applied]


async def _apply(connection: asyncpg.Connection[asyncpg.Record], one: Migration) -> str:
    await connection.execute(one.sql)
    await connection.execute(queries()["record_migration"], one.version, one.name)
    return f"{one.version:04}_{one.name}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
