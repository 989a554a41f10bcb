"""The embedded server: real, private, discreet, and gone without a trace."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest
import pytest_asyncio

import backends.postgres.embedded.server as server_module
from backends.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, ServerOptions
from backends.postgres.embedded.account import Account, server_account
from backends.postgres.embedded.binaries import _copied, _installed_binaries, _refusal
from backends.postgres.embedded.home import sweep, temporary_home, try_lock
from backends.postgres.embedded.postmaster import wait_until
from broker.core.errors import SettingsError
from tests.servers import as_role, database_of, private_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.servers import SharedPostgres

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[4]
CANARY = "canary-491700000000"
QUICK = ServerOptions(fsync=False)

only_root = pytest.mark.skipif(not ROOT, reason="only root can become another account")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a request that only Linux grants")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[EmbeddedPostgres]:
    """One server for the tests that only look; those that stop it make their own."""
    async with private_postgres() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach, which pytest's own are not for root."""
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_it_is_postgresql_18(server: EmbeddedPostgres) -> None:
    assert str(await value(server.dsn(), "SHOW server_version")).startswith("18.")


async def test_closing_leaves_no_process_and_no_file() -> None:
    async with await EmbeddedPostgres.start(QUICK) as running:
        root, process_id = running.root, running.process_id
        assert root.exists()
    assert not root.exists()
    assert not psutil.pid_exists(process_id)
    await running.close()


async def test_it_stops_and_comes_back_on_the_same_port_with_its_data() -> None:
    async with await EmbeddedPostgres.start(QUICK) as running:
        dsn = await running.create_database("kept")
        await run(dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        await running.stop()
        assert not running.running
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncpg.connect(dsn)
        await running.restart()
        assert await value(dsn, "SELECT n FROM kept") == 7
        before = running.process_id
        await running.restart()
        assert running.process_id != before
        assert await value(dsn, "SELECT n FROM kept") == 7


async def test_killing_ends_every_process_and_loses_nothing_committed() -> None:
    async with await EmbeddedPostgres.start(ServerOptions()) as running:
        await run(running.dsn(), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        first = psutil.Process(running.process_id)
        processes = [first, *first.children(recursive=True)]
        assert len(processes) > 3
        await running.kill()
        assert not any(process.is_running() and process.status() != "zombie" for process in processes)
        await running.restart()
        assert await value(running.dsn(), "SELECT n FROM kept") == 7
        assert "was not properly shut down" in running.log.read_text()


async def test_no_operation_revives_a_closed_server() -> None:
    running = await EmbeddedPostgres.start(QUICK)
    await running.close()
    with pytest.raises(EmbeddedPostgresError, match="is closed"):
        await running.restart()
    with pytest.raises(EmbeddedPostgresError, match="is not running"):
        _ = running.process_id


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_a_wrong_password_is_refused(server: EmbeddedPostgres, password: str) -> None:
    for host in ("127.0.0.1", str(server.sockets)):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(host=host, port=server.port, user="postgres", password=password, database="postgres")


async def test_every_rule_of_access_asks_for_scram(server: EmbeddedPostgres) -> None:
    methods = await value(server.dsn(), "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules")
    assert methods == ["scram-sha-256"]
    stored = await value(server.dsn(), "SELECT bool_and(rolpassword LIKE 'SCRAM%') FROM pg_authid WHERE rolcanlogin")
    assert stored is True


async def test_it_listens_on_the_loopback_and_on_a_private_socket(server: EmbeddedPostgres) -> None:
    assert await value(server.dsn(), "SHOW listen_addresses") == "127.0.0.1"
    assert server.sockets is not None
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600


async def test_another_role_needs_its_own_password(server: EmbeddedPostgres) -> None:
    await run(server.dsn(), "CREATE ROLE \"o'brien@x\" LOGIN PASSWORD 'p/w:%'")
    dsn = server.dsn(user="o'brien@x", password="p/w:%")
    assert await value(dsn, "SELECT current_user::text") == "o'brien@x"
    with pytest.raises(ValueError, match="needs its password"):
        server.dsn(user="o'brien@x")


async def test_the_password_shows_nowhere(server: EmbeddedPostgres) -> None:
    password = server._password
    command = psutil.Process(server.process_id).cmdline()
    assert password not in repr(server)
    assert not [word for word in command if password in word]
    assert not [path for path in server.root.iterdir() if path.is_file() and password in path.read_text()]


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT '{CANARY}'::int",
        f"SELEC '{CANARY}'",
        f'SELECT * FROM "{CANARY}"',
        f"INSERT INTO seen VALUES ('{CANARY}'), ('{CANARY}')",
        f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING DETAIL = '{CANARY}', HINT = '{CANARY}'; END $$",
        f"DO $$ BEGIN RAISE WARNING '{CANARY}'; END $$",
        f"COPY seen FROM PROGRAM 'echo {CANARY}; exit 3'",
    ],
)
async def test_no_statement_and_no_value_reaches_the_log(server: EmbeddedPostgres, statement: str) -> None:
    await run(server.dsn(), "CREATE TABLE IF NOT EXISTS seen (v text PRIMARY KEY)")
    with suppress(asyncpg.PostgresError):
        await run(server.dsn(), statement)
    assert CANARY not in server.log.read_text()


async def test_no_parameter_reaches_the_log(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.dsn())
    with pytest.raises(asyncpg.DataError):
        await connection.fetchval("SELECT ($1::text)::int", CANARY)
    await connection.close()
    assert CANARY not in server.log.read_text()


async def test_settings_can_be_tuned_but_not_those_it_promises() -> None:
    async with await EmbeddedPostgres.start(ServerOptions(fsync=False, settings={"work_mem": "7MB"})) as running:
        assert await value(running.dsn(), "SHOW work_mem") == "7MB"
        assert await value(running.dsn(), "SHOW fsync") == "off"
    with pytest.raises(SettingsError) as raised:
        await EmbeddedPostgres.start(ServerOptions(settings={"log_statement": "all", "port": "1"}))
    assert [finding.split(":")[0] for finding in raised.value.findings] == [
        "settings.log_statement",
        "settings.port",
    ]


async def test_fsync_is_on_unless_switched_off(folder: Path) -> None:
    async with await EmbeddedPostgres.start(ServerOptions(directory=folder / "pg")) as running:
        assert await value(running.dsn(), "SHOW fsync") == "on"
        assert await value(running.dsn(), "SHOW data_checksums") == "on"


async def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(EmbeddedPostgresError, match='invalid value for parameter "shared_buffers"'):
        await EmbeddedPostgres.start(ServerOptions(settings={"shared_buffers": "much"}))


async def test_a_port_that_another_took_first_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    free = server_module._free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        offered = iter([taken, free])
        monkeypatch.setattr(server_module, "_free_port", lambda: next(offered))
        async with await EmbeddedPostgres.start(QUICK) as running:
            assert running.port == free


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(EmbeddedPostgresError, match="could not bind"):
            await EmbeddedPostgres.start(ServerOptions(fsync=False, port=taken))


async def test_a_directory_keeps_its_cluster_and_password(folder: Path) -> None:
    options = ServerOptions(directory=folder / "pg", fsync=False)
    async with await EmbeddedPostgres.start(options) as running:
        await run(running.dsn(), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        password = running._password
    assert stat.S_IMODE((folder / "pg" / "superuser.password").stat().st_mode) == 0o600
    async with await EmbeddedPostgres.start(options) as running:
        assert running._password == password
        assert await value(running.dsn(), "SELECT n FROM kept") == 7


async def test_a_directory_serves_one_server_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_HOLDER_TIMEOUT_SECONDS", 0.2)
    options = ServerOptions(directory=folder / "pg", fsync=False)
    async with await EmbeddedPostgres.start(options):
        with pytest.raises(EmbeddedPostgresError, match="Another server runs in"):
            await EmbeddedPostgres.start(options)


async def test_a_directory_with_other_files_is_left_alone(folder: Path) -> None:
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedPostgresError, match="not a cluster of Custody's"):
        await EmbeddedPostgres.start(ServerOptions(directory=folder))
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


async def test_a_directory_that_others_may_change_is_refused(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(EmbeddedPostgresError, match="only this account"):
        await EmbeddedPostgres.start(ServerOptions(directory=folder))


async def test_an_initdb_that_was_cut_off_is_begun_again(folder: Path) -> None:
    half = folder / "pg" / "data.new"
    half.mkdir(parents=True)
    (folder / "pg").chmod(0o700)
    (half / "PG_VERSION").write_text("18\n")
    (folder / "pg" / "lock").touch()
    async with await EmbeddedPostgres.start(ServerOptions(directory=folder / "pg", fsync=False)) as running:
        assert await value(running.dsn(), "SELECT 1") == 1


async def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)
    account = server_account("nobody")
    os.chown(data, account.uid, account.gid)
    (data / "PG_VERSION").write_text("17\n")
    (folder / "superuser.password").write_text("x")
    (folder / "lock").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17, and 18\.\d+ is installed"):
        await EmbeddedPostgres.start(ServerOptions(directory=folder))


async def test_a_folder_too_deep_for_a_socket_does_without(folder: Path) -> None:
    options = ServerOptions(directory=folder / ("d" * 90), fsync=False)
    async with await EmbeddedPostgres.start(options) as running:
        assert running.sockets is None
        assert await value(running.dsn(), "SELECT 1") == 1


async def test_a_missing_wheel_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"pip install 'custody\[embedded\]'"):
        await EmbeddedPostgres.start()


def test_only_what_nobody_uses_is_swept(folder: Path) -> None:
    used = temporary_home(server_account("nobody"), root=folder)
    left = folder / "custody-pg-left"
    left.mkdir()
    (left / "lock").touch()
    begun = folder / "custody-pg-begun"
    begun.mkdir()
    abandoned = folder / "custody-pg-abandoned"
    abandoned.mkdir()
    os.utime(abandoned, (0, 0))
    assert sweep(folder) == [abandoned, left]
    assert used.root.exists()
    assert begun.exists()
    used.release()
    assert not used.root.exists()


def test_a_lock_has_one_holder(folder: Path) -> None:
    lock = try_lock(folder / "lock")
    assert lock is not None
    assert try_lock(folder / "lock") is None
    os.close(lock)


STARTS_AND_WAITS = """
import asyncio, sys
from backends.postgres.embedded import EmbeddedPostgres, ServerOptions

async def main():
    server = await EmbeddedPostgres.start(ServerOptions(fsync=False))
    print(server.root, server.process_id, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@only_linux
async def test_the_server_ends_with_an_owner_that_was_killed_and_its_folder_is_swept() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        root, process_id = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    assert await wait_until(lambda: not Path(root).joinpath("data/postmaster.pid").exists(), timeout_seconds=20)
    assert await wait_until(lambda: not _running(int(process_id)), timeout_seconds=20)
    assert await wait_until(lambda: not Path(root).exists() or Path(root) in sweep(), timeout_seconds=20)
    assert not Path(root).exists()


def _running(process_id: int) -> bool:
    return psutil.pid_exists(process_id) and psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE


@only_root
async def test_root_serves_as_another_account_that_holds_data_and_socket_alone(
    server: EmbeddedPostgres,
) -> None:
    account = server_account("nobody")
    process = psutil.Process(server.process_id)
    assert set(process.uids()) == {account.uid}
    assert set(process.gids()) == {account.gid}
    owners = {path.name: path.stat().st_uid for path in server.root.iterdir()}
    assert {name for name, uid in owners.items() if uid == account.uid} == {"data", "run"}
    assert server.root.stat().st_uid == 0
    assert "PATH" in process.environ()
    assert "HOME" not in process.environ()


@only_root
def test_root_is_no_account_to_serve_as() -> None:
    with pytest.raises(EmbeddedPostgresError, match="does not run as root"):
        server_account("root")
    with pytest.raises(EmbeddedPostgresError, match="has no account 'nosuchaccount'"):
        server_account("nosuchaccount")


@only_root
def test_binaries_out_of_reach_are_copied_once_to_where_they_run(folder: Path) -> None:
    account, installed = server_account("nobody"), _installed_binaries()
    copied = _copied(installed.parents[2], folder)
    programs = copied / installed.relative_to(installed.parents[2])
    assert _refusal(programs, account) is None
    made = (programs / "postgres").stat().st_ino
    assert _copied(installed.parents[2], folder) == copied
    assert (programs / "postgres").stat().st_ino == made
    assert [path.name for path in folder.iterdir()] == [copied.name]


@only_root
def test_copied_binaries_that_another_account_could_change_are_refused(folder: Path) -> None:
    installed = _installed_binaries()
    copied = _copied(installed.parents[2], folder)
    os.chown(copied, server_account("nobody").uid, -1)
    with pytest.raises(EmbeddedPostgresError, match="look who made it"):
        _copied(installed.parents[2], folder)


def test_binaries_that_do_not_run_are_named_with_what_the_system_said() -> None:
    refusal = _refusal(Path("/nonexistent"), Account(uid=os.geteuid(), gid=os.getegid()))
    assert refusal is not None
    assert "No such file" in refusal


def _interpreter_for(account: pwd.struct_passwd) -> str | None:
    """A Python of this version that the account can execute: ours may lie in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(candidate).exists() and _imports(candidate, account):
            return candidate
    return None


def _imports(python: str, account: pwd.struct_passwd) -> bool:
    return _as(account, python, "import backends.postgres.embedded").returncode == 0


def _as(account: pwd.struct_passwd, python: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-c", script]
    environment = {
        "PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        return subprocess.run(
            command,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except PermissionError:
        return subprocess.CompletedProcess(command, returncode=126)


STARTS_AND_STOPS = """
import asyncio, asyncpg, os
from backends.postgres.embedded import EmbeddedPostgres, ServerOptions

async def main():
    async with await EmbeddedPostgres.start(ServerOptions(fsync=False)) as server:
        connection = await asyncpg.connect(server.dsn())
        print(os.geteuid(), (server.root / "data").stat().st_uid, await connection.fetchval("SELECT 7"))
        await connection.close()

asyncio.run(main())
"""


@only_root
def test_an_ordinary_user_starts_it_too() -> None:
    account = pwd.getpwnam("nobody")
    python = _interpreter_for(account)
    if python is None:
        pytest.skip("no account but root can reach this checkout and its Python")
    outcome = _as(account, python, STARTS_AND_STOPS)
    assert outcome.stderr == ""
    assert outcome.stdout.split() == [str(account.pw_uid), str(account.pw_uid), "7"]


async def test_the_shared_server_hands_out_databases_apart(postgres_server: SharedPostgres, database: str) -> None:
    other = await postgres_server.create_database()
    try:
        await run(database, "CREATE TABLE mine (n int)")
        assert await value(other, "SELECT to_regclass('mine') IS NULL") is True
        assert await value(database, "SELECT current_database()::text") == database_of(database)
    finally:
        await postgres_server.drop_database(other)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(other)


async def test_a_login_can_be_exchanged_in_a_dsn(postgres_server: SharedPostgres, database: str) -> None:
    role = database_of(database).replace("test_", "role_")
    await run(database, f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
    try:
        assert await value(as_role(database, role, "pw"), "SELECT current_user::text") == role
    finally:
        await postgres_server.execute(f"DROP ROLE {role}")
