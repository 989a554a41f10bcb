"""What `custody check` finds on real servers, by the logins that it uses."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.embedded.ports import HOST, free_port
from backends.mongo.connections import MongoOptions
from backends.mongo.embedded.kind import DISTRIBUTION, KIND, is_installed
from backends.mongo.facts import read_facts
from backends.mongo.findings import mongo_findings
from backends.mongo.migrate import VERSIONS, migrate
from backends.mongo.roles import ensure_reader, ensure_writer
from broker.core.errors import CustodyError
from tests.mongo_servers import (
    PASSWORD,
    WRITER,
    as_login,
    as_writer,
    client_of,
    database_of,
    private_mongo,
)
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

OPTIONS = MongoOptions(connect_timeout_seconds=20.0)


async def _found(uri: str, *, strict: bool = True, options: MongoOptions = OPTIONS) -> Sequence[str]:
    found = await mongo_findings(uri, options, strict=strict)
    assert all(one.remedy and one.subject == "records" for one in found)
    return [f"{one.level}: {one.message}" for one in found]


async def _prepare(uri: str) -> str:
    """The writer's URI of a database with the schema."""
    await migrate(uri, database_of(uri))
    await ensure_writer(uri, database_of(uri), WRITER, PASSWORD)
    return as_writer(uri)


@asynccontextmanager
async def _standalone(*words: str) -> AsyncGenerator[str]:
    """A server that is no member of a set, and asks for no login."""
    if not is_installed():
        unavailable("A MongoDB without a replica set: install custody[embedded-mongo]")
    program = str(importlib.metadata.distribution(DISTRIBUTION).locate_file("fiftyone/db/bin/mongod"))
    folder, port = Path(tempfile.mkdtemp(prefix="custody-tests-", dir="/var/tmp")), free_port(KIND)
    server = await asyncio.create_subprocess_exec(
        *(program, "--dbpath", str(folder), "--bind_ip", HOST, "--port", str(port), "--nounixsocket", "--quiet"),
        *("--wiredTigerCacheSizeGB", "0.25", *words),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"mongodb://{HOST}:{port}/custody"
    finally:
        server.kill()
        await server.wait()
        shutil.rmtree(folder)


async def test_a_writer_on_three_members_is_told_nothing() -> None:
    async with private_mongo(members=3) as server:
        uri = await _prepare(server.uri("custody"))
        assert await _found(uri) == []
        facts = await read_facts(uri, connect_timeout_seconds=20)
        assert (facts.members, facts.feature_version, facts.is_journaled) == (3, (6, 0), True)
        assert (facts.majority_is_journaled, facts.lacking) == (True, [])


async def test_a_set_that_is_poorly_set_up_is_told_so() -> None:
    async with private_mongo() as server:
        uri = server.uri("custody")
        await ensure_writer(uri, "custody", WRITER, PASSWORD)
        async with client_of(uri) as client:
            config = (await client.admin.command("replSetGetConfig"))["config"]
            config |= {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
            await client.admin.command("replSetReconfig", config)
            await client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": 1})
            await client.admin.command("setFeatureCompatibilityVersion", "5.0")  # refused once the indexes are there
        found = await _found(as_writer(uri))
    words = ("1 of 3 members", "MongoDB 5.0", "writeConcernMajorityJournalDefault", "w: 1", "lacks the schema")
    assert len(found) == len(words)
    assert all(word in one for word, one in zip(words, found, strict=True))


async def test_a_superuser_is_mighty_and_a_writer_is_not(mongo_database: str) -> None:
    writer = await _prepare(mongo_database)
    assert any("change and delete" in one for one in await _found(mongo_database))
    assert not any("change and delete" in one for one in await _found(writer))


async def test_a_login_for_records_of_another_database_is_not_mighty(mongo_database: str) -> None:
    writer = await _prepare(mongo_database)
    async with client_of(mongo_database) as client:
        roles = [{"role": "readWrite", "db": "another"}]
        await client[database_of(mongo_database)].command("grantRolesToUser", WRITER, roles=roles)
    assert not any("change and delete" in one for one in await _found(writer))
    async with client_of(mongo_database) as client:
        roles = [{"role": "readWrite", "db": database_of(mongo_database)}]
        await client[database_of(mongo_database)].command("grantRolesToUser", WRITER, roles=roles)
    assert any("change and delete" in one for one in await _found(writer))


async def test_the_schema_is_looked_at(mongo_database: str) -> None:
    name = database_of(mongo_database)
    await ensure_writer(mongo_database, name, WRITER, PASSWORD)
    assert "problem: it lacks the schema of this version" in await _found(as_writer(mongo_database))
    writer = await _prepare(mongo_database)
    async with client_of(mongo_database) as client:
        await client[name].records.drop_index("conversation")
        await client[name].command("collMod", "targets", validator={})
        (lost,) = [one for one in await _found(writer) if "its schema has lost" in one]
        assert "index records.conversation" in lost
        assert "validator targets" in lost
        await client[name][VERSIONS].insert_one({"_id": 9999, "version": 9999, "name": "x", "digest": "x"})
    assert any("newer than this version" in one for one in await _found(writer))


async def test_what_the_server_notes_of_operations_is_looked_at() -> None:
    async with private_mongo() as server:
        writer = await _prepare(server.uri("custody"))
        assert not any("customers wrote" in one for one in await _found(writer))
        async with client_of(server.uri("custody")) as client:
            await client["custody"].command("profile", 2, slowms=100)
        words = ("its log quotes what takes 100 ms", "its profiler keeps operations")
        found = [one for one in await _found(writer, strict=False) if "customers wrote" in one]
        assert all(one.startswith(f"warning: {word}") for one, word in zip(found, words, strict=True))


async def test_a_login_that_may_read_nothing_is_told_so(mongo_database: str) -> None:
    await _prepare(mongo_database)
    reader = await ensure_reader(mongo_database, database_of(mongo_database), "acme", PASSWORD)
    assert any("may not read" in one for one in await _found(as_login(mongo_database, reader, PASSWORD)))


async def test_a_server_alone_that_lets_anybody_in() -> None:
    async with _standalone() as uri:
        await migrate(uri, "custody")
        found = await _found(uri)
        assert [one.partition(",")[0] for one in found] == [
            "problem: no replica set",
            "problem: its log quotes what takes 100 ms or longer",
            "problem: it shows documents to whoever calls",
        ]
        allowed = MongoOptions(connect_timeout_seconds=20.0, allow_standalone=True)
        assert any(one.startswith("warning: no replica set") for one in await _found(uri, options=allowed))


async def test_a_server_without_a_journal() -> None:
    async with _standalone("--nojournal") as uri:
        with pytest.raises(CustodyError):
            await migrate(uri, "custody")
        assert any("no journal" in one for one in await _found(uri))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_is_not_there() -> None:
    uri = f"mongodb://somebody:canary@{HOST}:1/custody"
    (found,) = await _found(uri, options=MongoOptions(connect_timeout_seconds=0.2))
    assert found.startswith("problem: MongoDB did not do it")
    assert "canary" not in found
    gc.collect()  # PyMongo's client, closed while it connects, leaves a socket to be found here and not in other tests
