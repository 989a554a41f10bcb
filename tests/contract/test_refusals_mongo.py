"""What MongoDB refuses: which error it becomes, and that no word of a document travels with it."""

from __future__ import annotations

import asyncio
import gc
import traceback
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from pymongo.errors import OperationFailure, PyMongoError

from backends.mongo import records
from backends.mongo.connections import MongoOptions
from backends.mongo.migrate import migrate
from backends.mongo.records import MongoRecords
from backends.mongo.roles import WRITER as WRITERS
from backends.mongo.work import Work
from broker.core.account import draw
from broker.core.errors import CustodyError, SchemaError, SettingsError, StoreUnavailableError, UnstorableError
from broker.core.values import replace
from tests.mongo_servers import PASSWORD, WRITER, as_login, as_writer, database_of, private_mongo
from tests.mongo_stores import DRIVERS, administered, mongo_database
from tests.records import LOG, TENANT, Desk, Time
from tests.stores import until_kept

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from backends.mongo.drivers import Document, DriverName
    from broker.core.model import Record
    from broker.core.ports import Arrived
    from tests.mongo_servers import SharedMongo

CANARY = "canary-4915901234567"
TOPIC = f"custody.{TENANT}.messages.v1"
BESIDE = [0, 100]
SLOWLY = "function () { const begun = Date.now(); while (Date.now() - begun < 1500) {} return true }"


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> DriverName:
    found: DriverName = request.param
    return found


@pytest_asyncio.fixture
async def admin(mongo_server: SharedMongo) -> AsyncIterator[str]:
    async with mongo_database(mongo_server) as uri:
        yield uri


def impatient(driver: DriverName) -> MongoOptions:
    return MongoOptions(driver=driver, connections=2, connect_timeout_seconds=2, command_timeout_seconds=0.5)


@asynccontextmanager
async def opened(uri: str | Callable[[], str], options: MongoOptions) -> AsyncGenerator[MongoRecords]:
    store = await MongoRecords.open(uri, clock=Time(), options=options)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def somebody_at_the_progress(admin: str) -> AsyncGenerator[None]:
    """Another transaction holds the progress document of the first partition, and lets go of it unchanged."""
    async with administered(admin) as database, database.client.start_session() as session:
        await session.start_transaction()
        place = f"{TENANT}/{LOG}/{TOPIC}/000000"
        await database.progress.update_one({"_id": place}, {"$inc": {"lost": 0, "duplicates": 1}}, session=session)
        yield
        with suppress(OperationFailure):  # it was ended
            await session.abort_transaction()


def _with_nul(record: Record) -> Record:
    return replace(record, envelope=replace(record.envelope, type=f"{CANARY}\0"))


def _with_surrogate(record: Record) -> Record:
    return replace(record, content=replace(record.content, encoding=f"{CANARY}\ud83d"))


def _with_short_fingerprint(record: Record) -> Record:
    return replace(record, fingerprint=CANARY.encode())


def _with_empty_fingerprint(record: Record) -> Record:
    return replace(record, fingerprint=b"")


@pytest.mark.parametrize("poison", [_with_nul, _with_surrogate, _with_short_fingerprint, _with_empty_fingerprint])
@pytest.mark.parametrize("beside", BESIDE)
async def test_a_poisonous_record_is_unstorable_and_its_words_stay_unsaid(
    admin: str, seed: int, driver: DriverName, poison: Callable[[Record], Record], beside: int
) -> None:
    desk = Desk(seed)
    batch = [desk.arrive(desk.text(CANARY)) for _ in range(beside)]
    batch.append(desk.arrive(poison(desk.text(CANARY))))
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store:
        with pytest.raises(UnstorableError) as caught:
            await store.keep(batch)
        assert await store.progress(LOG, [TOPIC]) == {}
        assert [one async for one in store.records(TENANT)] == []
        _says_nothing(caught.value)


async def test_a_part_result_without_a_place_is_unstorable(admin: str, seed: int, driver: DriverName) -> None:
    desk = Desk(seed)
    result = desk.kept(desk.image())
    hollow = replace(result, content=replace(result.content, data=result.content.data.replace(b'"place"', b'"plaice"')))
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store:
        with pytest.raises(UnstorableError, match="part_results"):
            await store.keep([desk.arrive(hollow)])


@pytest.mark.parametrize("is_foreseen", [True, False])
async def test_a_record_larger_than_a_document_may_be_is_unstorable(
    admin: str, seed: int, driver: DriverName, is_foreseen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_foreseen:
        monkeypatch.setattr(records, "_LARGEST_CONTENT_BYTES", 2**40)
    desk = Desk(seed)
    good, record = desk.arrive(desk.text()), desk.text()
    large = replace(record, content=replace(record.content, data=CANARY.encode() * 900_000))
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store:
        with pytest.raises(UnstorableError, match=record.envelope.record_id if is_foreseen else "16 MB") as caught:
            await store.keep([good, desk.arrive(large)])
        _says_nothing(caught.value)
        assert await store.progress(LOG, [TOPIC]) == {}
        assert [one.outcome for one in await store.keep([good])] == ["stored"]


async def test_a_missing_right_is_an_outage_and_no_dead_letter(admin: str, seed: int, driver: DriverName) -> None:
    desk = Desk(seed)
    entry = desk.arrive(desk.text(CANARY))
    right = {"resource": {"db": database_of(admin), "collection": "records"}, "actions": ["insert"]}
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store, administered(admin) as database:
        await database.command("revokePrivilegesFromRole", WRITERS, privileges=[right])
        try:
            with pytest.raises(StoreUnavailableError) as caught:
                await store.keep([entry])
            _says_nothing(caught.value)
        finally:
            await database.command("grantPrivilegesToRole", WRITERS, privileges=[right])
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]


async def test_a_partition_that_somebody_holds_is_an_outage_until_they_let_go(
    admin: str, seed: int, driver: DriverName
) -> None:
    desk = Desk(seed)
    async with opened(as_writer(admin), impatient(driver)) as store:
        await store.keep([desk.arrive(desk.text())])
        entry = desk.arrive(desk.text())
        async with somebody_at_the_progress(admin):
            with pytest.raises(StoreUnavailableError):
                await store.keep([entry])
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]


async def test_a_transaction_that_nobody_goes_on_with_holds_a_partition_for_a_moment_only(
    admin: str, seed: int, driver: DriverName
) -> None:
    desk = Desk(seed)
    first, second = desk.arrive(desk.text()), desk.arrive(desk.text())
    options = MongoOptions(driver=driver, idle_seconds=0.5)
    async with opened(as_writer(admin), options) as store:
        await store.keep([first])
        async with somebody_at_the_progress(as_writer(admin)):  # of another program, which is left alone
            for _ in range(2):
                with pytest.raises(StoreUnavailableError):
                    await store.keep([second])
        async with somebody_at_the_progress(f"{as_writer(admin)}&appName=custody-records"):
            with pytest.raises(StoreUnavailableError):
                await store.keep([second])
            assert [one.outcome for one in await store.keep([second])] == ["stored"]


async def test_a_cancelled_keep_leaves_nothing_and_the_store_goes_on(admin: str, seed: int, driver: DriverName) -> None:
    desk = Desk(seed)
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store:
        await store.keep([desk.arrive(desk.text())])
        batch = [desk.arrive(desk.text("x" * 5000)) for _ in range(300)]
        async with somebody_at_the_progress(admin):
            for _ in range(10):
                keeping = asyncio.create_task(store.keep(batch))
                await asyncio.sleep(desk.random.uniform(0, 0.05))
                keeping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await keeping
        assert (await store.tally(TENANT, LOG)).kept == 1
        assert {one.outcome for one in await store.keep(batch)} == {"stored"}
        assert draw(await store.tally(TENANT, LOG), desk.bounds()).problems() == []


async def test_an_address_that_is_none_is_a_setting(seed: int, driver: DriverName) -> None:
    for nothing in (f"mongodb://user:{CANARY}@host:port/x", "mongodb://127.0.0.1:1/", f"postgresql://{CANARY}/x"):
        with pytest.raises(SettingsError) as caught:
            await MongoRecords.open(nothing, clock=Desk(seed).time, options=MongoOptions(driver=driver))
        _says_nothing(caught.value)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_is_not_there_is_an_outage(seed: int, driver: DriverName) -> None:
    nowhere = f"mongodb://custody:{CANARY}@127.0.0.1:1/custody"
    with pytest.raises(StoreUnavailableError) as caught:
        await MongoRecords.open(nowhere, clock=Desk(seed).time, options=impatient(driver))
    _says_nothing(caught.value)
    gc.collect()  # PyMongo's client, closed while it connects, leaves a socket to be found here and not in other tests


async def test_a_wrong_password_is_an_outage(admin: str, seed: int, driver: DriverName) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        await MongoRecords.open(
            as_login(admin, WRITER, CANARY), clock=Desk(seed).time, options=MongoOptions(driver=driver)
        )
    _says_nothing(caught.value)


async def test_a_renewed_password_is_found_once_the_old_one_is_refused(
    admin: str, seed: int, driver: DriverName
) -> None:
    desk, passwords = Desk(seed), [PASSWORD]
    async with (
        administered(admin) as database,
        opened(lambda: as_login(admin, WRITER, passwords[-1]), MongoOptions(driver=driver)) as store,
    ):
        try:
            await database.command("updateUser", WRITER, pwd="renewed")
            with pytest.raises(StoreUnavailableError):  # as soon as one of them needs a new connection
                await asyncio.gather(*(store.ping() for _ in range(20)))
            passwords.append("renewed")
            assert await until_kept(store, desk.arrive(desk.text())) == ["stored"]
            await asyncio.gather(*(store.ping() for _ in range(20)))
        finally:
            await database.command("updateUser", WRITER, pwd=PASSWORD)


async def test_a_closed_store_says_so(admin: str, seed: int, driver: DriverName) -> None:
    desk = Desk(seed)
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store:
        await store.close()
        with pytest.raises(StoreUnavailableError):
            await store.keep([desk.arrive(desk.text())])
        await store.close()


async def test_a_schema_that_is_not_known_here_is_refused(admin: str, driver: DriverName) -> None:
    async with opened(as_writer(admin), MongoOptions(driver=driver)) as store, administered(admin) as database:
        versions = await database.schema_versions.find().to_list(None)
        try:
            await database.schema_versions.insert_one({"_id": 9999, "version": 9999, "digest": "none"})
            with pytest.raises(SchemaError, match="upgrade"):
                await store.ping()
            await database.schema_versions.delete_many({})
            with pytest.raises(SchemaError, match="custody init"):
                await MongoRecords.open(as_writer(admin), clock=Time(), options=MongoOptions(driver=driver))
        finally:
            await database.schema_versions.delete_many({})
            await database.schema_versions.insert_many(versions)
        await store.ping()


@pytest.mark.parametrize("fate", ["steps down", "is killed"])
async def test_a_primary_that_goes_in_the_middle_of_a_batch_loses_and_doubles_nothing(
    seed: int, driver: DriverName, fate: str
) -> None:
    desk = Desk(seed)
    async with private_mongo() as server:
        admin = server.uri("custody")
        await migrate(admin, "custody")
        async with opened(admin, MongoOptions(driver=driver)) as store:
            for _ in range(5):
                batch = [desk.arrive(desk.text("x" * 2000)) for _ in range(200)]
                keeping = asyncio.create_task(store.keep(batch))
                await asyncio.sleep(desk.random.uniform(0, 0.06))
                if fate == "is killed":
                    await server.members[0].kill()
                    await server.members[0].restart()
                else:
                    await _step_down(admin)
                (said,) = await asyncio.gather(keeping, return_exceptions=True)
                assert not isinstance(said, BaseException) or isinstance(said, StoreUnavailableError)
                assert await _kept(store, batch) == {"stored"}
            tally = await store.tally(TENANT, LOG, buckets=True)
            assert draw(tally, desk.bounds()).problems() == []
            assert (tally.kept, sum(one.entries for one in tally.buckets)) == (1000, 1000)


async def _step_down(admin: str) -> None:
    async with administered(admin) as database:
        with suppress(PyMongoError):  # it may close every connection before it answers
            await database.client.admin.command("replSetStepDown", 1, force=True)


async def _kept(store: MongoRecords, batch: Sequence[Arrived]) -> set[str]:
    """The outcomes of keeping a batch, once the store is there."""
    for _ in range(300):
        try:
            return {one.outcome for one in await store.keep(batch)}
        except StoreUnavailableError:
            await asyncio.sleep(0.1)
    return set()


def _says_nothing(error: CustodyError) -> None:
    """Neither the error nor anything it drags along has the canary in it."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(error))


async def test_an_account_takes_as_long_as_it_takes(
    admin: str, seed: int, driver: DriverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, aggregate = Desk(seed), Work.aggregate
    slowly = {"$set": {"slowly": {"$function": {"body": SLOWLY, "args": [], "lang": "js"}}}}

    async def slow(work: Work, name: str, pipeline: Sequence[Document]) -> list[Document]:
        return await aggregate(work, name, [*pipeline, slowly] if name == "tallies" else pipeline)

    async with opened(as_writer(admin), impatient(driver)) as store:
        await store.keep([desk.arrive(desk.text())])
        monkeypatch.setattr(Work, "aggregate", slow)  # as if there were much to count
        assert (await store.tally(TENANT, LOG, buckets=True)).kept == 1


async def test_an_account_does_not_wait_as_long_for_a_primary(seed: int, driver: DriverName) -> None:
    desk = Desk(seed)
    async with private_mongo() as server:
        admin = server.uri("custody")
        await migrate(admin, "custody")
        options = MongoOptions(driver=driver, connect_timeout_seconds=1.0)
        async with opened(admin, options) as store:
            await store.keep([desk.arrive(desk.text())])
            assert (await store.tally(TENANT, LOG)).kept == 1
            await server.members[0].kill()
            async with asyncio.timeout(120):  # by far less than an account may take
                with pytest.raises(StoreUnavailableError):
                    await store.tally(TENANT, LOG)
