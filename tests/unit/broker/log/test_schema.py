"""The schema, who may do what with it, and which server and log a client accepts."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from broker.core.errors import LogChangedError, LogUnavailableError, SchemaError, SettingsError
from broker.core.ports import NewEntry
from broker.core.topics import TopicSpec
from broker.log.postgres import PostgresLog, PostgresLogOptions
from broker.log.postgres.connections import identity_of
from broker.settings import LogSettings, Settings
from tests.contract.event_log_kit import insist
from tests.servers import as_role, database_of
from tests.unit.broker.log.conftest import LAZY, OpenLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers import SharedPostgres

TOPIC = TopicSpec(name="custody.acme.messages.v1", partitions=1, retention_seconds=None)


@pytest.fixture
async def member(postgres_server: SharedPostgres, database: str) -> AsyncIterator[str]:
    """The DSN of a user who is a member of the log's role, and nothing else."""
    user, password = f"log_{secrets.token_hex(6)}", secrets.token_hex(8)
    await postgres_server.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
    await PostgresLog.migrate(database, grant_to=[user])
    yield as_role(database, user, password)
    await postgres_server.execute(f"DROP ROLE {user}")


async def test_migrating_again_changes_nothing(database: str) -> None:
    assert await PostgresLog.migrate(database) == ["0001_log"]
    first = await PostgresLog.open(database, options=LAZY)
    assert await PostgresLog.migrate(database) == []
    again = await PostgresLog.open(database, options=LAZY)
    assert again.identity == first.identity
    await first.close()
    await again.close()


async def test_two_who_migrate_at_once_do_not_collide(database: str) -> None:
    ran = await asyncio.gather(*(PostgresLog.migrate(database) for _ in range(4)))
    assert sorted(ran, key=len) == [[], [], [], ["0001_log"]]


async def test_a_database_without_the_schema_is_refused(database: str) -> None:
    with pytest.raises(SchemaError, match="custody init"):
        await PostgresLog.open(database, options=LAZY)


async def test_a_newer_schema_is_refused(database: str, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    await PostgresLog.migrate(database)
    await admin.execute("INSERT INTO custody_log.migrations (version, name) VALUES (9999, 'from_the_future')")
    with pytest.raises(SchemaError, match="upgrade Custody"):
        await PostgresLog.open(database, options=LAZY)
    with pytest.raises(SchemaError, match="upgrade Custody"):
        await PostgresLog.migrate(database)


async def test_an_older_schema_is_refused(database: str, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    await PostgresLog.migrate(database)
    await admin.execute("UPDATE custody_log.migrations SET version = 0")
    with pytest.raises(SchemaError, match="custody init"):
        await PostgresLog.open(database, options=LAZY)


async def test_a_member_of_the_role_can_change_no_entry(member: str) -> None:
    log = await PostgresLog.open(member, options=LAZY)
    await log.create_topics([TOPIC])
    await log.append([NewEntry(topic=TOPIC.name, key=b"k", headers=(), value=b"v")])
    await log.close()
    connection = await asyncpg.connect(member)
    for forbidden in (
        "UPDATE custody_log.entries SET value = 'x'",
        "TRUNCATE custody_log.entries",
        "DELETE FROM custody_log.topics",
        "UPDATE custody_log.topics SET partition_count = 9",
        "UPDATE custody_log.identity SET place = 'x'",
        "DELETE FROM custody_log.claims",
        "DROP TABLE custody_log.entries",
        "CREATE TABLE custody_log.mine ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def test_the_role_cannot_log_in(member: str, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    assert member
    assert not await admin.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'custody_log'")


async def test_a_wrong_password_is_an_outage_and_told_without_the_address(member: str) -> None:
    wrong = as_role(member, "log_nobody", "canary4711")
    with pytest.raises(LogUnavailableError) as caught:
        await PostgresLog.open(wrong, options=LAZY)
    assert "canary4711" not in str(caught.value)
    assert "log_nobody" not in str(caught.value)


async def test_a_renewed_password_is_found_without_a_restart(
    member: str, admin: asyncpg.Connection[asyncpg.Record], tmp_path: Path
) -> None:
    user, second = str(urlsplit(member).username), secrets.token_hex(8)
    file = tmp_path / "dsn"
    file.write_text(member)
    settings = Settings(log=LogSettings(dsn_file=file))
    log = await PostgresLog.open(
        lambda: settings.address("log"), options=PostgresLogOptions(allow_unsafe_server=True, poll_seconds=0.05)
    )
    await log.create_topics([TOPIC])
    reader = await log.subscribe("archive", ["messages"])
    await log.append([_entry("before")])
    await admin.execute(f"ALTER ROLE {user} PASSWORD '{second}'")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", user)
    for broken in (member, None, "half a line"):
        file.unlink(missing_ok=True)
        if broken is not None:
            file.write_text(broken)
        for call in (log.append([_entry("refused")]), log.ping()):
            with pytest.raises(LogUnavailableError) as caught:
                await call
            assert second not in str(caught.value)
            assert user not in str(caught.value)
    file.write_text(as_role(member, user, second))
    await log.append([_entry("after")])
    found: list[bytes] = []
    while len(found) < 2:
        found += [entry.value for entry in await reader.fetch(max_entries=10, wait_seconds=30)]
    assert found == [b"before", b"after"]
    await log.close()


def _entry(value: str) -> NewEntry:
    return NewEntry(topic=TOPIC.name, key=b"key", headers=(), value=value.encode())


async def test_nothing_of_the_address_shows_in_a_log(open_log: OpenLog, database: str) -> None:
    log = await open_log()
    shown = repr(log) + repr(log._connections) + repr(LAZY)
    assert database not in shown
    assert database_of(database) not in shown


async def test_a_malformed_address_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match="postgresql://") as caught:
        await PostgresLog.open("postgresql://canary4711@host:notaport/x", options=LAZY)
    assert "canary4711" not in str(caught.value)


async def test_a_server_that_forgets_what_it_acknowledged_is_refused(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    if await admin.fetchval("SHOW fsync") == "on":
        await open_log(PostgresLogOptions())
    else:
        with pytest.raises(SettingsError, match="fsync = on"):
            await open_log(PostgresLogOptions())


async def test_appends_are_durable_whatever_the_database_prefers(
    open_log: OpenLog, database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await admin.execute(f"ALTER DATABASE {database_of(database)} SET synchronous_commit = off")
    log = await open_log()
    async with log._connections.borrow() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"


async def test_a_copy_is_another_log_until_it_is_declared_the_successor(
    postgres_server: SharedPostgres, database: str
) -> None:
    await PostgresLog.migrate(database)
    original = await PostgresLog.open(database, options=LAZY)
    await original.close()
    copied = await postgres_server.create_database(template=database_of(database))
    copy = await PostgresLog.open(copied, options=LAZY)
    same = await PostgresLog.open(copied, options=LAZY)
    assert copy.identity == same.identity != original.identity
    await PostgresLog.migrate(copied, keep_identity=True)
    moved = await PostgresLog.open(copied, options=LAZY)
    assert moved.identity == original.identity
    for log in (copy, same, moved):
        await log.close()
    await postgres_server.drop_database(copied)


async def test_a_client_notices_that_another_log_answers(
    open_log: OpenLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    log = await open_log()
    await admin.execute("UPDATE custody_log.identity SET log_id = gen_random_uuid()")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'custody-log'"
        " AND datname = current_database()"
    )
    with pytest.raises(LogChangedError):
        await insist(log.topics)


def test_a_log_keeps_its_id_only_where_it_was_made() -> None:
    log_id = UUID(int=7)
    assert identity_of(log_id, made_at="1/2/3", here="1/2/3") == str(log_id)
    elsewhere = {identity_of(log_id, made_at="1/2/3", here=here) for here in ("1/2/4", "1/9/3", "8/2/3")}
    assert len(elsewhere | {str(log_id)}) == 4
