"""Schemas are made and renewed step by step; a store works with the one it knows, and with no other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.migrate import migrate
from backends.postgres.records import PostgresRecords
from backends.postgres.sql import BLOBS, RECORDS, Schema, migrations
from broker.core.errors import SchemaError, StoreUnavailableError
from tests.records import Time
from tests.servers import as_role
from tests.stores import as_writer, execute, fetch, store_database

if TYPE_CHECKING:
    from tests.servers import SharedPostgres

SCHEMAS = pytest.mark.parametrize("schema", [RECORDS, BLOBS], ids=lambda one: one.folder)


async def _open(schema: Schema, dsn: str) -> PostgresRecords | PostgresBlobs:
    if schema is BLOBS:
        return await PostgresBlobs.connect(dsn)
    return await PostgresRecords.open(dsn, clock=Time())


@SCHEMAS
async def test_each_step_is_applied_once(database: str, schema: Schema) -> None:
    assert list(await migrate(database, schema)) == [one.name for one in migrations(schema.folder)]
    assert list(await migrate(database, schema)) == []


@SCHEMAS
async def test_administrators_take_turns(database: str, schema: Schema) -> None:
    applied = await asyncio.gather(*(migrate(database, schema) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, schema.version]


@SCHEMAS
async def test_a_database_without_the_schema_is_refused(database: str, schema: Schema) -> None:
    with pytest.raises(SchemaError, match="custody init"):
        await _open(schema, database)


@SCHEMAS
async def test_a_schema_of_another_version_is_refused(postgres_server: SharedPostgres, schema: Schema) -> None:
    async with store_database(postgres_server) as dsn:
        store = await _open(schema, as_writer(dsn))
        await _say(dsn, schema, "INSERT INTO {} VALUES (9999, 'of-tomorrow', 'x')")
        with pytest.raises(SchemaError, match="upgrade Custody"):
            await store.ping()
        with pytest.raises(SchemaError, match="upgrade Custody"):
            await _open(schema, as_writer(dsn))
        with pytest.raises(SchemaError, match="upgrade Custody"):
            await migrate(dsn, schema)
        await _say(dsn, schema, f"DELETE FROM {{}} WHERE version >= {schema.version}")
        with pytest.raises(SchemaError, match="older"):
            await store.ping()
        await store.close()


@SCHEMAS
async def test_a_step_that_was_applied_in_another_form_is_refused(database: str, schema: Schema) -> None:
    await migrate(database, schema)
    await _say(database, schema, "UPDATE {} SET digest = 'other' WHERE version = 1")
    with pytest.raises(SchemaError, match=migrations(schema.folder)[0].name):
        await migrate(database, schema)


@SCHEMAS
async def test_an_administrator_without_the_right_changes_nothing(
    postgres_server: SharedPostgres, database: str, schema: Schema
) -> None:
    async with store_database(postgres_server):  # makes the writer's login
        with pytest.raises(StoreUnavailableError):
            await migrate(as_role(as_writer(database), "custody_tests", "only-for-tests"), schema)
    assert await fetch(database, "SELECT 1 FROM pg_namespace WHERE nspname = $1", schema.namespace) == []


async def _say(dsn: str, schema: Schema, statement: str) -> None:
    await execute(dsn, statement.format(f"{schema.namespace}.schema_versions"))
