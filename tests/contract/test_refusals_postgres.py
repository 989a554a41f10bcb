"""What Postgres refuses: which error it becomes, and that no word of a row travels with it."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from backends.postgres import keep, records
from backends.postgres.blobs import PostgresBlobs
from backends.postgres.connections import ENDS_OLD_TRANSACTIONS, PostgresOptions
from backends.postgres.keep import COPY_FROM_ROWS, keep_batch
from backends.postgres.migrate import migrate
from backends.postgres.records import PostgresRecords
from backends.postgres.sql import RECORDS
from broker.core.errors import (
    BlobsUnavailableError,
    CustodyError,
    SettingsError,
    StoreUnavailableError,
    UnstorableError,
)
from broker.core.values import replace
from tests.contract.blob_store import pieces
from tests.records import LOG, TENANT, Desk, Time
from tests.stores import as_writer, execute, fetch, store_database, until_kept

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from backends.postgres.connections import Connection
    from broker.core.model import Record
    from broker.core.ports import Answer, Arrived
    from tests.servers import SharedPostgres

CANARY = "canary-4915901234567"
IMPATIENT = PostgresOptions(connections=2, connect_timeout_seconds=2, command_timeout_seconds=0.5)


@pytest_asyncio.fixture
async def admin(postgres_server: SharedPostgres) -> AsyncIterator[str]:
    async with store_database(postgres_server) as dsn:
        yield dsn


@asynccontextmanager
async def opened(dsn: str, options: PostgresOptions | None = None) -> AsyncIterator[PostgresRecords]:
    store = await PostgresRecords.open(dsn, clock=Time(), options=options)
    try:
        yield store
    finally:
        await store.close()


def _with_nul(record: Record) -> Record:
    return replace(record, envelope=replace(record.envelope, type=f"{CANARY}\0"))


def _with_surrogate(record: Record) -> Record:
    return replace(record, content=replace(record.content, encoding=f"{CANARY}\ud83d"))


def _with_short_fingerprint(record: Record) -> Record:
    return replace(record, fingerprint=CANARY.encode())


def _with_empty_fingerprint(record: Record) -> Record:
    return replace(record, fingerprint=b"")


@pytest.mark.parametrize("poison", [_with_nul, _with_surrogate, _with_short_fingerprint, _with_empty_fingerprint])
@pytest.mark.parametrize("beside", [0, COPY_FROM_ROWS])
async def test_a_poisonous_record_is_unstorable_and_its_words_stay_unsaid(
    admin: str, seed: int, poison: object, beside: int
) -> None:
    desk = Desk(seed)
    batch = [desk.arrive(desk.text(CANARY)) for _ in range(beside)]
    batch.append(desk.arrive(poison(desk.text(CANARY))))  # type: ignore[operator]
    async with opened(as_writer(admin)) as store:
        with pytest.raises(UnstorableError) as caught:
            await store.keep(batch)
        assert await store.progress(LOG, [f"custody.{TENANT}.messages.v1"]) == {}
        assert [one async for one in store.records(TENANT)] == []
        _says_nothing(caught.value)


async def test_a_part_result_without_a_place_is_unstorable(admin: str, seed: int) -> None:
    desk = Desk(seed)
    photo = desk.image()
    result = desk.kept(photo)
    hollow = replace(result, content=replace(result.content, data=result.content.data.replace(b'"place"', b'"plaice"')))
    async with opened(as_writer(admin)) as store:
        with pytest.raises(UnstorableError):
            await store.keep([desk.arrive(hollow)])


async def test_a_record_larger_than_a_row_may_be_is_unstorable(
    admin: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_LARGEST_RECORD_BYTES", 1000)
    desk = Desk(seed)
    record = desk.text("x" * 2000)
    async with opened(as_writer(admin)) as store:
        with pytest.raises(UnstorableError, match=record.envelope.record_id):
            await store.keep([desk.arrive(record)])


async def test_a_missing_right_is_an_outage_and_no_dead_letter(admin: str, seed: int) -> None:
    desk = Desk(seed)
    entry = desk.arrive(desk.text(CANARY))
    async with opened(as_writer(admin)) as store:
        await execute(admin, "REVOKE INSERT ON custody_pas.records FROM custody_writer")
        with pytest.raises(StoreUnavailableError) as caught:
            await store.keep([entry])
        _says_nothing(caught.value)
        await execute(admin, "GRANT INSERT ON custody_pas.records TO custody_writer")
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]


async def test_a_lock_that_somebody_holds_is_an_outage_until_they_let_go(admin: str, seed: int) -> None:
    desk = Desk(seed)
    entry = desk.arrive(desk.text())
    holder = await asyncpg.connect(admin)
    async with opened(as_writer(admin), IMPATIENT) as impatient, opened(as_writer(admin)) as store:
        async with holder.transaction():
            await holder.execute("LOCK TABLE custody_pas.records")
            with pytest.raises(StoreUnavailableError):
                await impatient.keep([entry])
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]
    await holder.close()


@pytest.mark.parametrize("buckets", [False, True])
async def test_an_account_takes_as_long_as_it_takes(admin: str, seed: int, *, buckets: bool) -> None:
    desk = Desk(seed)
    holder = await asyncpg.connect(admin)
    async with opened(as_writer(admin), IMPATIENT) as impatient:
        await impatient.keep([desk.arrive(desk.text())])
        async with holder.transaction():
            await holder.execute("LOCK TABLE custody_pas.records")  # counting waits, as if there were much to count
            counting = asyncio.create_task(impatient.tally(TENANT, LOG, buckets=buckets))
            await asyncio.wait([counting], timeout=3 * IMPATIENT.command_timeout_seconds)
            assert not counting.done()
        assert (await counting).kept == 1
    await holder.close()


async def test_connections_that_were_cut_off_are_made_anew(admin: str, seed: int) -> None:
    desk = Desk(seed)
    async with opened(as_writer(admin)) as store:
        await asyncio.gather(*(store.ping() for _ in range(5)))
        await execute(
            admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'custody-records'"
        )
        assert await until_kept(store, desk.arrive(desk.text())) == ["stored"]


async def test_a_cancelled_keep_leaves_nothing_and_the_store_goes_on(admin: str, seed: int) -> None:
    desk = Desk(seed)
    entry = desk.arrive(desk.text())
    holder = await asyncpg.connect(admin)
    async with opened(as_writer(admin)) as store:
        async with holder.transaction():
            await holder.execute("LOCK TABLE custody_pas.records")
            keeping = asyncio.create_task(store.keep([entry]))
            await asyncio.sleep(0.1)
            keeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeping
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]
    await holder.close()


async def test_a_process_that_hangs_in_a_keep_is_waited_for_no_longer_than_a_transaction_may_take(
    admin: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between preparing a statement and running it: no other of the server's timeouts runs there."""
    desk, hangs = Desk(seed), asyncio.Event()
    entry = desk.arrive(desk.text())

    async def keep_and_hang(
        connection: Connection, batch: Sequence[Arrived], now: datetime, *, in_hope: bool
    ) -> Sequence[Answer]:
        await keep_batch(connection, batch, now, in_hope=in_hope)
        await connection.prepare("SELECT $1::integer")
        hangs.set()
        await asyncio.Event().wait()
        return ()

    ((version,),) = await fetch(admin, "SELECT current_setting('server_version_num')::integer / 10000")
    if version < ENDS_OLD_TRANSACTIONS:
        pytest.skip("this server can't tell how old a transaction is")
    brief = PostgresOptions(idle_seconds=1)
    async with opened(as_writer(admin), brief) as hanging, opened(as_writer(admin), IMPATIENT) as store:
        monkeypatch.setattr(keep, "keep_batch", keep_and_hang)
        task = asyncio.create_task(hanging.keep([entry]))
        await hangs.wait()
        monkeypatch.undo()
        assert await until_kept(store, entry) == ["stored"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_address_that_is_none_is_a_setting(seed: int) -> None:
    nothing = f"postgresql://user:{CANARY}@host:port/x"
    for work in (PostgresRecords.open(nothing, clock=Desk(seed).time), migrate(nothing, RECORDS)):
        with pytest.raises(SettingsError) as caught:
            await work
        _says_nothing(caught.value)


async def test_a_server_that_is_not_there_is_an_outage(seed: int) -> None:
    nowhere = f"postgresql://custody:{CANARY}@127.0.0.1:1/custody"
    with pytest.raises(StoreUnavailableError) as caught:
        await PostgresRecords.open(nowhere, clock=Desk(seed).time)
    _says_nothing(caught.value)
    with pytest.raises(BlobsUnavailableError):
        await PostgresBlobs.connect(nowhere)
    with pytest.raises(StoreUnavailableError):
        await migrate(nowhere, RECORDS)


async def test_a_wrong_password_is_an_outage(admin: str, seed: int) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        await PostgresRecords.open(as_writer(admin).replace("only-for-tests", CANARY), clock=Desk(seed).time)
    _says_nothing(caught.value)


async def test_a_closed_store_says_so(admin: str, seed: int) -> None:
    desk = Desk(seed)
    async with opened(as_writer(admin)) as store:
        await store.close()
        with pytest.raises(StoreUnavailableError):
            await store.keep([desk.arrive(desk.text())])
        await store.close()


async def test_a_blobs_place_without_a_tenant_is_unstorable(admin: str) -> None:
    blobs = await PostgresBlobs.connect(as_writer(admin))
    for place in ("", "no-tenant", f"{CANARY}\0/a/1"):
        with pytest.raises(UnstorableError) as caught:
            await blobs.put(place, pieces(b"data"), max_bytes=100)
        _says_nothing(caught.value)
    await blobs.close()


def _says_nothing(error: CustodyError) -> None:
    """Neither the error nor anything it drags along has the canary in it."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(error))
