"""Who may do what on Postgres: writers add and take nothing away, readers see one tenant, owners see none."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.migrate import migrate
from backends.postgres.records import PostgresRecords
from backends.postgres.roles import ensure_reader, ensure_writer
from backends.postgres.sql import BLOBS, RECORDS
from broker.core.errors import SettingsError
from tests.contract.blob_store import pieces
from tests.records import Desk
from tests.servers import as_role
from tests.stores import PASSWORD, WRITER, as_writer, execute, fetch, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers import SharedPostgres

OURS, THEIRS = "acme-access", "acme-access-too"
RECORD_TABLES = (
    "progress",
    "records",
    "parts",
    "part_results",
    "targets",
    "receipts",
    "gaps",
    "unseen",
    "dead_letters",
    "tallies",
)
TABLES = (*(f"custody_pas.{name}" for name in RECORD_TABLES), "custody_blobs.blobs", "custody_blobs.chunks")
CHANGEABLE = {
    "custody_pas.progress": {
        "start_offset",
        "next_offset",
        "duplicates",
        "redriven",
        "lost",
        "keep_seq",
        "last_event_id",
        "successor",
    },
    "custody_pas.targets": {"state", "reason", "due_at", "attempt", "changed_at"},
    "custody_pas.gaps": {"state"},
    "custody_pas.dead_letters": {"state", "code", "attempts", "at"},
    "custody_pas.tallies": {"entries", "duplicates"},
}


@dataclass
class House:
    """A database in which two tenants have a row in every table."""

    admin: str

    @asynccontextmanager
    async def reading(self, tenant: str = OURS) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        role = await ensure_reader(self.admin, tenant, PASSWORD)
        connection = await asyncpg.connect(as_role(self.admin, role, PASSWORD))
        try:
            yield connection
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres_server: SharedPostgres) -> AsyncIterator[House]:
    async with store_database(postgres_server) as dsn:
        store, blobs = await _open(dsn)
        for tenant in (OURS, THEIRS):
            await _fill(store, blobs, Desk(1, tenant=tenant))
        await store.close()
        await blobs.close()
        yield House(dsn)


async def _open(dsn: str) -> tuple[PostgresRecords, PostgresBlobs]:
    store = await PostgresRecords.open(as_writer(dsn), clock=Desk(0).time)
    return store, await PostgresBlobs.connect(as_writer(dsn))


async def _fill(store: PostgresRecords, blobs: PostgresBlobs, desk: Desk) -> None:
    photo = desk.image()
    await store.keep(
        [
            desk.arrive(photo),
            desk.arrive(desk.kept(photo)),
            desk.arrive(desk.receipt("tgt_none", "erased")),
            desk.die(desk.text()),
            desk.arrive(desk.status()),
        ]
    )
    await blobs.put(f"{desk.tenant}/{photo.envelope.record_id}/1", pieces(b"small"), max_bytes=100)
    await blobs.put(f"{desk.tenant}/{photo.envelope.record_id}/2", pieces(b"x" * 2_000_000), max_bytes=10_000_000)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET tenant = DEFAULT", "DROP TABLE {}"]
)
async def test_a_writer_takes_nothing_away_and_changes_no_tenant(house: House, statement: str) -> None:
    for table in TABLES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(as_writer(house.admin), statement.format(table))


async def test_a_writer_changes_states_and_counts_and_no_other_column(house: House) -> None:
    rows = await fetch(
        house.admin,
        """
        SELECT format('%s.%s', table_schema, table_name) AS name, column_name
        FROM information_schema.columns
        WHERE format('%s.%s', table_schema, table_name) = ANY ($1::text[])
          AND has_column_privilege($2, format('%s.%s', table_schema, table_name)::regclass, column_name, 'UPDATE')
        """,
        list(TABLES),
        WRITER,
    )
    changeable: dict[str, set[str]] = {}
    for row in rows:
        changeable.setdefault(row["name"], set()).add(row["column_name"])
    assert changeable == CHANGEABLE


async def test_row_security_is_forced_on_every_table(house: House) -> None:
    rows = await fetch(
        house.admin,
        "SELECT relrowsecurity AND relforcerowsecurity AS forced FROM pg_class "
        "WHERE oid = ANY ($1::text[]::regclass[])",
        list(TABLES),
    )
    assert [row["forced"] for row in rows] == [True] * len(TABLES)


async def test_no_table_of_tenants_is_left_out(house: House) -> None:
    rows = await fetch(
        house.admin,
        """
        SELECT format('%s.%s', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname IN ('custody_pas', 'custody_blobs') AND tablename <> 'schema_versions'
        """,
    )
    assert {row["name"] for row in rows} == set(TABLES)


async def test_a_reader_sees_its_own_tenant_and_no_other(house: House) -> None:
    async with house.reading() as reader:
        for table in (*TABLES, "custody_pas.part_states"):
            everyone = {row["tenant"] for row in await fetch(house.admin, f"SELECT tenant FROM {table}")}
            assert everyone == {OURS, THEIRS}
            assert {row["tenant"] for row in await reader.fetch(f"SELECT tenant FROM {table}")} == {OURS}


@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET tenant = DEFAULT"])
async def test_a_reader_changes_nothing(house: House, statement: str) -> None:
    async with house.reading() as reader:
        for table in TABLES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        f'SET ROLE "custody_reader_{THEIRS}"',
        "SET ROLE custody_reader",
        "SET ROLE custody_writer",
        "SET ROLE postgres",
        f'SET SESSION AUTHORIZATION "custody_reader_{THEIRS}"',
        "ALTER TABLE custody_pas.records DISABLE ROW LEVEL SECURITY",
        "DROP POLICY readers ON custody_pas.records",
        "CREATE FUNCTION custody_pas.mine() RETURNS text LANGUAGE sql RETURN 'x'",
        "CREATE FUNCTION public.mine() RETURNS text LANGUAGE sql RETURN 'x'",
        "GRANT custody_writer TO current_user",
        f'CREATE ROLE "custody_reader_{THEIRS}-2"',
        "COPY custody_pas.records TO PROGRAM 'cat'",
    ],
)
async def test_a_reader_becomes_nobody_else_and_alters_no_rule(house: House, statement: str) -> None:
    await ensure_reader(house.admin, THEIRS, PASSWORD)
    async with house.reading() as reader:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
        assert await _tenants(reader) == {OURS}


async def test_a_reader_that_switches_row_security_off_reads_nothing(house: House) -> None:
    async with house.reading() as reader:
        await reader.execute("SET row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch("SELECT * FROM custody_pas.records")


async def test_a_readers_own_functions_are_shown_no_row_of_another_tenant(house: House) -> None:
    """A cheap function in the condition would run before the policy, if the policy were no barrier."""
    async with house.reading() as reader:
        seen: list[str] = []
        reader.add_log_listener(lambda _connection, message: seen.append(message.message or ""))
        await reader.execute(
            """
            CREATE FUNCTION pg_temp.peek(one text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
            AS $$ BEGIN RAISE NOTICE '%', one; RETURN true; END $$
            """
        )
        await reader.fetch("SELECT * FROM custody_pas.records WHERE pg_temp.peek(tenant)")
        assert set(seen) == {OURS}


async def test_a_readers_search_path_and_operators_change_no_rule(house: House) -> None:
    async with house.reading() as reader:
        await reader.execute(
            """
            CREATE FUNCTION pg_temp.always(text, text) RETURNS boolean LANGUAGE sql RETURN true;
            CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.always);
            CREATE FUNCTION pg_temp.substr(text, integer) RETURNS text LANGUAGE sql RETURN 'acme-access-too';
            SET search_path = pg_temp, custody_pas, pg_catalog;
            """
        )
        assert await _tenants(reader) == {OURS}


async def test_a_readers_privileged_function_is_still_the_reader(house: House) -> None:
    async with house.reading() as reader:
        await reader.execute(
            """
            CREATE FUNCTION pg_temp.all_tenants() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
            AS 'SELECT DISTINCT tenant FROM custody_pas.records'
            """
        )
        assert {row[0] for row in await reader.fetch("SELECT pg_temp.all_tenants()")} == {OURS}


async def test_statistics_show_a_reader_no_values(house: House) -> None:
    await execute(house.admin, "ANALYZE custody_pas.records")
    async with house.reading() as reader:
        shown = "SELECT tablename FROM pg_stats WHERE schemaname = 'custody_pas'"
        assert await fetch(house.admin, shown) != []
        assert await reader.fetch(shown) == []


async def test_a_login_by_a_readers_name_alone_reads_nothing(house: House) -> None:
    role = f"custody_reader_{OURS}-stray"
    await execute(house.admin, f"""CREATE ROLE "{role}" LOGIN PASSWORD '{PASSWORD}'""")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(as_role(house.admin, role, PASSWORD), "SELECT * FROM custody_pas.records")
    finally:
        await execute(house.admin, f'DROP ROLE "{role}"')


async def test_not_even_the_owner_of_the_tables_sees_a_row(postgres_server: SharedPostgres, seed: int) -> None:
    """Kept by FORCE alone. An owner here is an administrator without the superuser's powers, as hosted servers have."""
    admin, owner = await postgres_server.create_database(), f"custody_owner_{seed}"
    try:
        await execute(admin, f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        await execute(admin, f"GRANT CREATE ON DATABASE {admin.rpartition('/')[2]} TO {owner}")
        for schema in (RECORDS, BLOBS):
            await migrate(as_role(admin, owner, PASSWORD), schema)
            await ensure_writer(admin, WRITER, PASSWORD, schema=schema)
        store, blobs = await _open(admin)
        await _fill(store, blobs, Desk(seed, tenant=OURS))
        await store.close()
        await blobs.close()
        for table in TABLES:
            assert await fetch(as_role(admin, owner, PASSWORD), f"SELECT * FROM {table}") == []
            assert await fetch(admin, f"SELECT * FROM {table}") != []
    finally:
        await postgres_server.drop_database(admin)
        await postgres_server.execute(f"DROP ROLE {owner}")


async def test_a_password_is_renewed_and_never_sent(house: House) -> None:
    role = await ensure_reader(house.admin, OURS, "the first password")
    await ensure_reader(house.admin, OURS, "the-second")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(as_role(house.admin, role, "the%20first%20password"))
    (row,) = await fetch(house.admin, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    assert row["rolpassword"].startswith("SCRAM-SHA-256$4096:")
    assert (await fetch(as_role(house.admin, role, "the-second"), "SELECT 1 AS one"))[0]["one"] == 1


@pytest.mark.parametrize("tenant", ["", "Acme", "acme'--", 'a"', "x" * 41, "-a"])
async def test_a_tenant_that_is_none_gets_no_login(house: House, tenant: str) -> None:
    with pytest.raises(SettingsError):
        await ensure_reader(house.admin, tenant, PASSWORD)


@pytest.mark.parametrize(
    ("role", "password"), [("", "x"), ("r" * 64, "x"), ("r", ""), ("r", "pässword"), ("r", "a\nb")]
)
async def test_a_name_or_password_that_would_be_changed_is_refused(house: House, role: str, password: str) -> None:
    with pytest.raises(SettingsError):
        await ensure_writer(house.admin, role, password, schema=RECORDS)


async def test_a_writers_name_needs_no_care(house: House, seed: int) -> None:
    role = f"""we"ird; DROP ' {seed}"""
    await ensure_writer(house.admin, role, "it's'; DROP", schema=RECORDS)
    (row,) = await fetch(house.admin, "SELECT pg_has_role($1, 'custody_writer', 'USAGE') AS member", role)
    assert row["member"]
    quoted = role.replace('"', '""')
    await execute(house.admin, f'DROP OWNED BY "{quoted}"; DROP ROLE "{quoted}"')


async def _tenants(connection: asyncpg.Connection[asyncpg.Record]) -> set[str]:
    return {row["tenant"] for row in await connection.fetch("SELECT tenant FROM custody_pas.records")}
