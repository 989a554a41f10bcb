"""The schemas of the stores: made and brought up to date by an administrator.

Records and blobs may live on different servers, so each has steps of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.postgres.connections import connect
from backends.postgres.errors import guarded
from backends.postgres.sql import ADMIN_LOCK, Migration, Schema, migrations
from broker.core.errors import SchemaError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

_CONNECT_SECONDS = 10.0

_FIRST = """
CREATE SCHEMA IF NOT EXISTS {namespace};
CREATE TABLE IF NOT EXISTS {namespace}.schema_versions (
    version    integer     NOT NULL PRIMARY KEY,
    name       text        NOT NULL,
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


async def migrate(admin_dsn: str, schema: Schema) -> Sequence[str]:
    """Applies the steps of `schema` that are missing, in one transaction, and returns their names.

    Safe to repeat, and from several places at once. `SchemaError`: the schema is newer than this version knows, or a
    step was applied in another form; nothing is changed. `StoreUnavailableError`: the server does not answer, or
    refuses the login or what it may do.
    """
    return await guarded(_migrate(admin_dsn, schema), StoreUnavailableError)


async def _migrate(admin_dsn: str, schema: Schema) -> Sequence[str]:
    connection = await connect(admin_dsn, timeout=_CONNECT_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADMIN_LOCK)
            await connection.execute(_FIRST.format(namespace=schema.namespace))
            missing = await _missing(connection, schema)
            for one in missing:
                await _apply(connection, schema, one)
    finally:
        await connection.close()
    return [one.name for one in missing]


async def _missing(connection: asyncpg.Connection[asyncpg.Record], schema: Schema) -> list[Migration]:
    rows = await connection.fetch(f"SELECT version, digest FROM {schema.namespace}.schema_versions")  # noqa: S608
    applied = {row["version"]: row["digest"] for row in rows}
    known = migrations(schema.folder)
    if max(applied, default=0) > known[-1].version:
        raise SchemaError(f"{schema.namespace} is newer than this version of Custody knows: upgrade Custody")
    changed = [one.name for one in known if applied.get(one.version, one.digest) != one.digest]
    if changed:
        raise SchemaError(f"{schema.namespace}: {', '.join(changed)} was applied in another form: use its own release")
    return [one for one in known if one.version not in applied]


async def _apply(connection: asyncpg.Connection[asyncpg.Record], schema: Schema, one: Migration) -> None:
    await connection.execute(one.sql)
    await connection.execute(
        f"INSERT INTO {schema.namespace}.schema_versions (version, name, digest) VALUES ($1, $2, $3)",  # noqa: S608
        one.version,
        one.name,
        one.digest,
    )
