"""Who may do what on MongoDB: writers add and take nothing away, readers see one tenant."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from backends.mongo.migrate import VERSIONS, migrate
from backends.mongo.roles import ensure_reader, ensure_writer, view_name
from backends.mongo.steps import shapes
from broker.core.errors import SettingsError
from tests.mongo_documents import DOCUMENTS, of_tenant
from tests.mongo_servers import PASSWORD, WRITER, as_login, as_writer, client_of, database_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from pymongo.asynchronous.database import AsyncDatabase

    from tests.mongo_servers import SharedMongo

OURS, THEIRS = "acme-access", "acme-access-too"
FOR_GOOD = ("records", "parts", "part_results", "receipts", "unseen")
CHANGEABLE = ("progress", "targets", "gaps", "dead_letters", "tallies")
UNAUTHORIZED = 13


@dataclass
class House:
    """A database in which two tenants have a document in every collection."""

    admin: str

    @property
    def name(self) -> str:
        return database_of(self.admin)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncDatabase[dict[str, Any]]]:
        async with client_of(as_writer(self.admin)) as client:
            yield client[self.name]

    @asynccontextmanager
    async def reading(self, tenant: str = OURS) -> AsyncGenerator[AsyncDatabase[dict[str, Any]]]:
        role = await ensure_reader(self.admin, self.name, tenant, PASSWORD)
        async with client_of(as_login(self.admin, role, PASSWORD)) as client:
            yield client[self.name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(mongo_server: SharedMongo) -> AsyncIterator[House]:
    async with mongo_server.fresh_database() as uri:
        found = House(uri)
        await migrate(uri, found.name)
        await ensure_writer(uri, found.name, WRITER, PASSWORD)
        async with found.writing() as database:  # the writer itself adds all of it
            for name in DOCUMENTS:
                for tenant in (OURS, THEIRS):
                    await database[name].insert_one(of_tenant(name, tenant))
        yield found


@asynccontextmanager
async def refused() -> AsyncGenerator[None]:
    with pytest.raises(OperationFailure) as raised:
        yield
    error = raised.value
    details = error.details or {}
    codes = (
        {one["code"] for one in details.get("writeErrors", ())} if isinstance(error, BulkWriteError) else {error.code}
    )
    assert codes == {UNAUTHORIZED}


def test_every_collection_of_tenants_is_told_apart() -> None:
    assert {*FOR_GOOD, *CHANGEABLE, "locks", "numbers"} == set(shapes())


@pytest.mark.parametrize("name", FOR_GOOD)
async def test_a_writer_changes_nothing_that_was_kept(house: House, name: str) -> None:
    async with house.writing() as database:
        one = {"_id": of_tenant(name, OURS)["_id"]}
        change = {"$set": {"account": "another"}}
        async with refused():
            await database[name].update_one(one, change)
        async with refused():
            await database[name].update_many({}, change)
        async with refused():
            await database[name].replace_one(one, of_tenant(name, OURS))
        async with refused():
            await database[name].find_one_and_update(one, change)
        async with refused():
            await database[name].update_one({"_id": "new"}, {"$setOnInsert": of_tenant(name, OURS)}, upsert=True)
        async with refused():
            await database[name].bulk_write([UpdateOne(one, change)])
        async with refused():
            await database[name].aggregate([{"$merge": {"into": name, "whenMatched": "replace"}}])
    await _untouched(house, name)


@pytest.mark.parametrize("name", [*FOR_GOOD, *CHANGEABLE])
async def test_a_writer_takes_nothing_away(house: House, name: str) -> None:
    async with house.writing() as database:
        one = {"_id": of_tenant(name, OURS)["_id"]}
        async with refused():
            await database[name].delete_one(one)
        async with refused():
            await database[name].delete_many({})
        async with refused():
            await database[name].find_one_and_delete(one)
        async with refused():
            await database[name].bulk_write([DeleteOne(one)])
        async with refused():
            await database.command("drop", name)
        async with refused():
            await database.command("renameCollection", f"{house.name}.{name}", to=f"{house.name}.other")
        async with refused():
            await database[name].aggregate([{"$out": name}])
        async with refused():
            await database.command("collMod", name, validator={})
        async with refused():
            await database.command("dropIndexes", name, index="*")
        async with refused():
            await database[name].create_index("tenant", expireAfterSeconds=1)
        async with refused():
            await database.command("convertToCapped", name, size=4096)
    await _untouched(house, name)


async def test_a_writer_becomes_nobody_else(house: House) -> None:
    async with house.writing() as database:
        async with refused():
            await database.command("grantRolesToUser", WRITER, roles=["dbOwner"])
        async with refused():
            await database.command("createUser", "mallory", pwd="x", roles=["dbOwner"])
        async with refused():
            await database.command("updateRole", "custody_writer", roles=["dbOwner"])
        async with refused():
            await database.command("updateUser", WRITER, pwd="another")
        async with refused():
            await database.command("dropDatabase")
        async with refused():
            await database[VERSIONS].insert_one({"_id": 9999, "version": 9999})


@pytest.mark.parametrize("name", [*CHANGEABLE, "locks", "numbers"])
async def test_a_writer_changes_states_and_counts(house: House, name: str) -> None:
    async with house.writing() as database:
        found = {"_id": f"{OURS}/absent"} if name in {"locks", "numbers"} else {"_id": of_tenant(name, OURS)["_id"]}
        await database[name].update_one(found, {"$inc": {"attempt": 1}}, upsert=name in {"locks", "numbers"})


async def test_a_writer_adds_in_one_transaction(house: House) -> None:
    async with client_of(as_writer(house.admin)) as client, client.start_session() as session:
        await session.start_transaction()
        records = client[house.name].records
        await records.insert_one({**of_tenant("records", OURS), "_id": f"{OURS}/added"}, session=session)
        assert await records.count_documents({"_id": f"{OURS}/added"}, session=session) == 1
        await session.abort_transaction()


async def test_a_reader_sees_its_own_tenant_and_no_other(house: House) -> None:
    async with house.reading() as database:
        for name in DOCUMENTS:
            view = database[view_name(OURS, name)]
            assert await view.distinct("tenant") == [OURS]
            assert await view.count_documents({}) == 1
            assert await view.find({"tenant": THEIRS}).to_list() == []
            assert await view.find({"$or": [{"tenant": THEIRS}, {"_id": {"$gt": ""}}]}).distinct("tenant") == [OURS]


async def test_a_tenant_whose_name_begins_anothers_shows_no_more(house: House) -> None:
    async with house.reading(THEIRS) as database:
        assert await database[view_name(THEIRS, "records")].distinct("tenant") == [THEIRS]


@pytest.mark.parametrize("name", [*DOCUMENTS, "locks", "numbers", VERSIONS, "system.views"])
async def test_a_reader_reads_no_collection_itself(house: House, name: str) -> None:
    async with house.reading(), house.reading(THEIRS):
        pass
    async with house.reading() as database:
        for around in (name, view_name(THEIRS, name)):
            async with refused():
                await database[around].find_one()
            async with refused():
                await database[around].count_documents({})
            for stage in (
                {"$lookup": {"from": around, "pipeline": [], "as": "found"}},
                {"$unionWith": around},
                {"$graphLookup": _graph(around)},
            ):
                async with refused():
                    await database[view_name(OURS, "records")].aggregate([stage])


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
async def test_a_reader_changes_nothing(house: House, name: str) -> None:
    async with house.reading() as database:
        for around in (name, view_name(OURS, name)):
            async with refused():
                await database[around].insert_one(of_tenant(name, OURS))
            async with refused():
                await database[around].update_many({}, {"$set": {"tenant": OURS}})
            async with refused():
                await database[around].delete_many({})
            async with refused():
                await database.command("drop", around)
            async with refused():
                await database.command("collMod", around, viewOn=name, pipeline=[])
    await _untouched(house, name)


async def test_a_reader_learns_of_no_other_tenant(house: House) -> None:
    async with house.reading(THEIRS):
        pass
    async with house.reading() as database:
        async with refused():
            await database.command("usersInfo", 1)
        async with refused():
            await database.command("rolesInfo", 1, showPrivileges=True)
        async with refused():
            await database.command("listCollections")
        async with refused():
            await database.command("collStats", "records")
        async with refused():
            await database.command("createRole", "mine", privileges=[], roles=["custody_writer"])
        async with refused():
            await database.command("create", "mine", viewOn="records", pipeline=[])
        names = (await database.command("listCollections", nameOnly=True, authorizedCollections=True))["cursor"]
        assert {one["name"] for one in names["firstBatch"]} == {view_name(OURS, name) for name in DOCUMENTS}


async def test_a_view_uses_the_ids_index(house: House) -> None:
    async with client_of(house.admin) as client:
        explained = await client[house.name].command(
            "explain", {"find": view_name(OURS, "unseen"), "filter": {}}, verbosity="queryPlanner"
        )
    assert "IXSCAN" in str(explained) or "CLUSTERED_IXSCAN" in str(explained)
    assert "COLLSCAN" not in str(explained)


async def test_a_password_is_renewed(house: House) -> None:
    role = await ensure_reader(house.admin, house.name, OURS, "the first password")
    await ensure_reader(house.admin, house.name, OURS, "the-second")
    async with client_of(as_login(house.admin, role, "the first password")) as client:
        with pytest.raises(OperationFailure):
            await client[house.name].command("ping")
    async with client_of(as_login(house.admin, role, "the-second")) as client:
        await client[house.name].command("ping")


async def test_a_login_that_serves_twice_loses_no_right(house: House) -> None:
    name = await ensure_reader(house.admin, house.name, OURS, PASSWORD)
    await ensure_writer(house.admin, house.name, name, PASSWORD)
    await ensure_reader(house.admin, house.name, OURS, PASSWORD)
    async with client_of(house.admin) as client:
        (user,) = (await client[house.name].command("usersInfo", name))["users"]
        assert {one["role"] for one in user["roles"]} == {"custody_writer", "custody_inspector", name}
        await client[house.name].command("revokeRolesFromUser", name, roles=["custody_writer"])


@pytest.mark.parametrize("tenant", ["", "Acme", "acme'--", 'a"', "x" * 41, "-a", "a.b", "$a"])
async def test_a_tenant_that_is_none_gets_no_login(house: House, tenant: str) -> None:
    with pytest.raises(SettingsError):
        await ensure_reader(house.admin, house.name, tenant, PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"), [("", "x"), ("r" * 64, "x"), ("r", ""), ("r", "pässword"), ("r", "a\nb")]
)
async def test_a_name_or_password_that_would_be_changed_is_refused(house: House, name: str, password: str) -> None:
    with pytest.raises(SettingsError):
        await ensure_writer(house.admin, house.name, name, password)


async def test_a_writers_name_needs_no_care(house: House) -> None:
    name, password = """we"ird; ' @/:%$.""", "p/w:%@'"
    await ensure_writer(house.admin, house.name, name, password)
    async with client_of(as_login(house.admin, name, password)) as client:
        assert await client[house.name].records.count_documents({}) == 2


async def _untouched(house: House, name: str) -> None:
    async with client_of(house.admin) as client:
        found = await client[house.name][name].find().sort("tenant").to_list()
        fields = set(DOCUMENTS[name])
        assert [{key: one[key] for key in fields if key != "attempt"} for one in found] == [
            {key: value for key, value in of_tenant(name, tenant).items() if key != "attempt"}
            for tenant in (OURS, THEIRS)
        ]


def _graph(collection: str) -> dict[str, Any]:
    return {
        "from": collection,
        "startWith": "$tenant",
        "connectFromField": "tenant",
        "connectToField": "tenant",
        "as": "found",
    }
