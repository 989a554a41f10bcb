"""The schema on MongoDB is made and renewed step by step, and mended; a document that is none of it is refused."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import OperationFailure

from backends.mongo.migrate import VERSIONS, lacking, migrate
from backends.mongo.roles import ensure_writer
from backends.mongo.steps import shapes, steps
from broker.core.errors import SchemaError, SettingsError, StoreUnavailableError
from broker.core.tables import TABLES
from tests.mongo_documents import DOCUMENTS
from tests.mongo_servers import PASSWORD, WRITER, as_writer, client_of, database_of, with_database

if TYPE_CHECKING:
    from tests.mongo_servers import SharedMongo

COLLECTIONS = {*(table.name for table in TABLES), "locks", "numbers"}


async def _migrate(uri: str) -> list[str]:
    return await migrate(uri, database_of(uri))


async def _lacking(uri: str) -> list[str]:
    async with client_of(uri) as client:
        return [one async for one in lacking(client[database_of(uri)])]


async def test_each_step_is_applied_once(mongo_database: str) -> None:
    assert await _migrate(mongo_database) == [one.name for one in steps()]
    assert await _migrate(mongo_database) == []
    assert await _lacking(mongo_database) == []


async def test_administrators_take_turns(mongo_database: str) -> None:
    applied = await asyncio.gather(*(_migrate(mongo_database) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(steps())]
    assert await _lacking(mongo_database) == []


async def test_a_step_that_was_cut_off_is_finished(mongo_database: str) -> None:
    async with client_of(mongo_database) as client:
        await client[database_of(mongo_database)].create_collection("records")
    assert await _migrate(mongo_database) == [one.name for one in steps()]
    assert await _lacking(mongo_database) == []


async def test_a_collection_has_the_columns_of_its_table() -> None:
    assert shapes().keys() == COLLECTIONS
    for table in TABLES:
        assert sorted(shapes()[table.name].fields) == sorted(table.columns)


async def test_a_schema_of_another_version_is_refused_and_left_as_it_is(mongo_database: str) -> None:
    await _migrate(mongo_database)
    async with client_of(mongo_database) as client:
        database = client[database_of(mongo_database)]
        await database.gaps.drop_index("open")
        await database[VERSIONS].insert_one({"_id": 9999, "version": 9999, "name": "of-tomorrow", "digest": "x"})
    with pytest.raises(SchemaError, match="upgrade Custody"):
        await _migrate(mongo_database)
    assert await _lacking(mongo_database) == ["index gaps.open"]


async def test_a_step_that_was_applied_in_another_form_is_refused(mongo_database: str) -> None:
    await _migrate(mongo_database)
    async with client_of(mongo_database) as client:
        versions = client[database_of(mongo_database)][VERSIONS]
        await versions.update_one({"_id": 1}, {"$set": {"digest": "other"}})
    with pytest.raises(SchemaError, match=steps()[0].name):
        await _migrate(mongo_database)


async def test_what_was_lost_is_named_and_made_again(mongo_database: str) -> None:
    await _migrate(mongo_database)
    async with client_of(mongo_database) as client:
        database = client[database_of(mongo_database)]
        await database.unseen.drop()
        await database.records.drop_index("conversation")
        await database.targets.drop_index("due")
        await database.targets.create_index("state", name="due")
        await database.command("collMod", "parts", validationAction="warn")
        await database.command("collMod", "gaps", validator={})
    lost = ["collection unseen", "index records.conversation", "index targets.due", "validator gaps", "validator parts"]
    assert sorted(await _lacking(mongo_database)) == lost
    assert sorted(await _migrate(mongo_database)) == lost
    assert await _lacking(mongo_database) == []


async def test_an_administrator_without_the_right_changes_nothing(
    mongo_server: SharedMongo, mongo_database: str
) -> None:
    await ensure_writer(mongo_database, database_of(mongo_database), WRITER, PASSWORD)
    with pytest.raises(StoreUnavailableError):
        await migrate(as_writer(mongo_database), "another")
    async with client_of(mongo_server.uri) as client:
        assert "another" not in await client.list_database_names()


@pytest.mark.parametrize("uri", ["", "nonsense", "mongodb://", "mongodb://h:x/y", "http://h/y"])
async def test_an_address_that_is_none_is_named_and_not_shown(uri: str) -> None:
    with pytest.raises(SettingsError) as raised:
        await migrate(uri, "custody")
    assert "nonsense" not in str(raised.value)


async def test_a_name_that_is_none_is_refused(mongo_server: SharedMongo) -> None:
    with pytest.raises(SettingsError, match="a database's name"):
        await migrate(mongo_server.uri, "a.b")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_is_not_there_is_an_outage_that_tells_no_password() -> None:
    uri = with_database("mongodb://somebody:canary@127.0.0.1:1/?serverSelectionTimeoutMS=100", "custody")
    with pytest.raises(StoreUnavailableError) as raised:
        await migrate(uri, "custody")
    assert "canary" not in repr(raised.value)
    assert raised.value.__context__ is None
    gc.collect()  # PyMongo's client, closed while it connects, leaves a socket to be found here and not in other tests


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
async def test_a_whole_document_is_taken(mongo_database: str, name: str) -> None:
    await _migrate(mongo_database)
    await _insert(mongo_database, name, {})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("records", {"record_digest": b"x" * 31}),
        ("records", {"arrival_digest": None}),
        ("records", {"fingerprint": b"x"}),
        ("records", {"tenant": "another"}),
        ("records", {"_id": 7}),
        ("records", {"received_at": 1_700_000_000}),
        ("records", {"content": "text"}),
        ("records", {"target_ids": [7]}),
        ("records", {"row_number": "7"}),
        ("records", {"worker_made": 1}),
        ("parts", {"fingerprint": None}),
        ("part_results", {"state": "somewhere"}),
        ("part_results", {"state": "kept", "place": None}),
        ("part_results", {"state": "lost", "reason": None}),
        ("targets", {"state": "somewhere"}),
        ("targets", {"state": "due", "due_at": None}),
        ("targets", {"erase_after_seconds": "7"}),
        ("gaps", {"state": "settled"}),
        ("dead_letters", {"state": "closed"}),
        ("progress", {"start_offset": 8, "next_offset": 7}),
        ("progress", {"lost": None}),
        ("tallies", {"entries": 1.5}),
    ],
)
async def test_a_document_of_another_form_is_refused(mongo_database: str, name: str, change: dict[str, Any]) -> None:
    await _migrate(mongo_database)
    with pytest.raises(OperationFailure) as raised:
        await _insert(mongo_database, name, change)
    assert raised.value.code == 121


async def test_what_may_be_absent_may_be_null(mongo_database: str) -> None:
    await _migrate(mongo_database)
    async with client_of(mongo_database) as client:
        for name, document in DOCUMENTS.items():
            collection = client[database_of(mongo_database)][name]
            optional = [key for key, kind in shapes()[name].fields.items() if str(kind).endswith("?")]
            less = {key: value for key, value in document.items() if key not in optional}
            if name != "part_results":
                await collection.insert_one({**less, "_id": f"{document['tenant']}/absent"})
                await collection.insert_one({**less, **dict.fromkeys(optional), "_id": f"{document['tenant']}/null"})


async def _insert(uri: str, name: str, change: dict[str, Any]) -> None:
    async with client_of(uri) as client:
        await client[database_of(uri)][name].insert_one({**DOCUMENTS[name], **change})
