"""Copying from one store to another, on real databases: complete, resumed, refused, and never overwriting."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.records import PostgresRecords
from backends.postgres.tables import PostgresTables
from broker.blob_copies import Throttle
from broker.copying import Copied, Copier
from broker.core.errors import StoreUnavailableError
from broker.core.ports import BlobStore
from broker.core.ports.tables import TableStore
from broker.core.tables import PROGRESS
from broker.parity import Found, Side, Wanted, Watcher, compare
from tests.kept import Traffic, all_rows, everything
from tests.records import TENANT, Desk, Time, target_of
from tests.stores import as_writer, execute, fetch, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.ports.tables import TableSnapshot
    from broker.core.tables import Row, Table
    from tests.servers import SharedPostgres


@dataclass
class Store:
    dsn: str
    records: PostgresRecords
    tables: TableStore
    blobs: BlobStore


@dataclass
class Pair:
    traffic: Traffic
    left: Store
    right: Store

    async def copy(self, right: TableStore | None = None, *, blobs_only: bool = False) -> Copied:
        async with self.left.tables.snapshot() as snapshot:
            copier = Copier(
                left=snapshot,
                left_blobs=self.left.blobs,
                right=right or self.right.tables,
                right_blobs=self.right.blobs,
                throttle=Throttle(1e9),
            )
            if not blobs_only:
                if await copier.refuse_ahead(TENANT):
                    return copier.done
                await copier.rows(TENANT)
                await self.right.tables.renumber()
            await copier.blobs(TENANT)
            return copier.done

    async def differences(self) -> list[str]:
        found = Found(tenant=TENANT)
        async with self.left.tables.snapshot() as left, self.right.tables.snapshot() as right:
            sides = Side(snapshot=left, blobs=self.left.blobs), Side(snapshot=right, blobs=self.right.blobs)
            await compare(*sides, Wanted(), found, Watcher())
        return [str(one) for one in found.first]


@asynccontextmanager
async def store(server: SharedPostgres, clock: Time) -> AsyncIterator[Store]:
    async with store_database(server) as dsn:
        records = await PostgresRecords.open(as_writer(dsn), clock=clock)
        tables, blobs = await PostgresTables.open(as_writer(dsn)), await PostgresBlobs.connect(as_writer(dsn))
        yield Store(dsn, records, tables, blobs)
        for one in (records, tables, blobs):
            await one.close()


@pytest_asyncio.fixture
async def pair(postgres_server: SharedPostgres, seed: int) -> AsyncIterator[Pair]:
    traffic = Traffic(Desk(seed))
    clock = traffic.desk.time
    async with store(postgres_server, clock) as left, store(postgres_server, clock) as right:
        await traffic.keep(left.records, left.blobs)
        yield Pair(traffic, left, right)


async def test_a_copy_holds_the_same_and_is_gone_on_with(pair: Pair) -> None:
    done = await pair.copy()
    assert (done.refused, done.blobs["copied"]) == (0, 4)
    assert sum(done.inserted.values()) == sum(map(len, (await all_rows(pair.left.tables)).values()))
    assert await pair.differences() == []
    desk = pair.traffic.desk
    batch = [desk.arrive(desk.text()), desk.arrive(desk.image())]
    for one in (pair.left, pair.right):
        await one.records.keep(batch)
    assert await everything(pair.right.records, TENANT) == await everything(pair.left.records, TENANT)


async def test_copying_again_does_nothing(pair: Pair) -> None:
    await pair.copy()
    before = await all_rows(pair.right.tables)
    done = await pair.copy()
    assert (done.refused, sum(done.inserted.values()), sum(done.updated.values())) == (0, 0, 0)
    assert done.blobs.keys() == {"there"}
    assert await all_rows(pair.right.tables) == before


async def test_a_later_copy_brings_what_came_and_what_changed_meanwhile(pair: Pair) -> None:
    await pair.copy()
    await pair.traffic.keep(pair.left.records, pair.left.blobs, rounds=1)
    done = await pair.copy()
    assert done.refused == 0
    assert done.inserted["records"] > 0
    assert done.updated["progress"] > 0
    assert await pair.differences() == []
    assert await all_rows(pair.right.tables) == await all_rows(pair.left.tables)


async def test_what_is_written_while_it_is_copied_is_left_for_the_next_time(pair: Pair) -> None:
    desk = pair.traffic.desk
    late = [desk.arrive(desk.text(thread="4915"))]

    async def meanwhile() -> None:
        if late:
            await pair.left.records.keep([late.pop()])

    done = await pair.copy(_Watched(pair.right.tables, meanwhile))
    assert done.refused == 0
    assert len(await pair.differences()) == 1
    assert (await pair.copy()).inserted["records"] == 1
    assert await pair.differences() == []


async def test_cut_off_anywhere_it_is_completed_by_the_next_run(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    cuts = 0
    for _ in range(50):
        try:
            await pair.copy(_failing(pair.right.tables, chance.randrange(4)))
            break
        except StoreUnavailableError:
            cuts += 1
            async with pair.right.tables.snapshot() as snapshot:
                assert await snapshot.count(PROGRESS, TENANT) == 0  # it says that all else is there
    assert cuts > 0
    assert await pair.differences() == []
    assert await all_rows(pair.right.tables) == await all_rows(pair.left.tables)


async def test_a_store_that_is_further_on_is_not_written_to(pair: Pair) -> None:
    await pair.copy()
    desk = pair.traffic.desk
    await pair.right.records.keep([desk.arrive(desk.text())])
    before = await all_rows(pair.right.tables)
    done = await pair.copy()
    assert [one.what for one in done.first] == [("ahead",)]
    assert await all_rows(pair.right.tables) == before


async def test_progress_is_never_set_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair.copy()
    desk = pair.traffic.desk
    await pair.right.records.keep([desk.arrive(desk.text())])
    before = await all_rows(pair.right.tables)

    async def seen_at_one(_: Copier, __: str) -> bool:
        return False

    monkeypatch.setattr(Copier, "refuse_ahead", seen_at_one)  # as where it is kept into right after that look
    done = await pair.copy()
    assert ("ahead",) in [one.what for one in done.first]
    after = await all_rows(pair.right.tables)
    assert {key: rows for key, rows in after.items() if key[0] == "progress"} == {
        key: rows for key, rows in before.items() if key[0] == "progress"
    }


async def test_what_only_the_right_store_has_or_says_otherwise_is_named_and_stays(pair: Pair) -> None:
    await pair.copy()
    photo, pair_photo = (one.envelope.record_id for one in pair.traffic.photos[:2])
    await execute(pair.left.dsn, "DELETE FROM custody_pas.records WHERE record_id = $1", photo)
    await execute(pair.right.dsn, "UPDATE custody_pas.records SET type = 'x' WHERE record_id = $1", pair_photo)
    before = await all_rows(pair.right.tables)
    done = await pair.copy()
    named = {(one.table, one.key, one.what) for one in done.first}
    assert named == {("records", (photo,), ("only_right",)), ("records", (pair_photo,), ("type",))}
    assert await all_rows(pair.right.tables) == before


async def test_what_may_change_is_changed(pair: Pair) -> None:
    await pair.copy()
    target_id = target_of(pair.traffic.photos[0])
    await execute(pair.right.dsn, "UPDATE custody_pas.targets SET state = 'blocked' WHERE target_id = $1", target_id)
    assert (await pair.copy()).updated == {"targets": 1}
    assert await pair.differences() == []


@pytest.mark.parametrize("column", ["envelope", "arrival", "content"])
async def test_an_altered_record_is_not_passed_on(pair: Pair, column: str) -> None:
    photo = pair.traffic.photos[0].envelope.record_id
    await execute(
        pair.left.dsn,
        f"UPDATE custody_pas.records SET {column} = overlay({column} placing 'X'::bytea from 12) WHERE record_id = $1",
        photo,
    )
    (refused,) = (await pair.copy()).first
    assert (refused.table, refused.key, refused.what[:2]) == ("records", (photo,), ("altered_left", column))
    assert await fetch(pair.right.dsn, "SELECT FROM custody_pas.records WHERE record_id = $1", photo) == []


async def test_an_altered_or_missing_blob_is_not_passed_on(pair: Pair) -> None:
    first, second = (await fetch(pair.left.dsn, "SELECT place FROM custody_blobs.blobs ORDER BY place"))[:2]
    await execute(pair.left.dsn, "UPDATE custody_blobs.blobs SET data = 'another' WHERE place = $1", first["place"])
    await execute(pair.left.dsn, "DELETE FROM custody_blobs.blobs WHERE place = $1", second["place"])
    done = await pair.copy()
    assert {(one.key, one.what) for one in done.first} == {
        ((first["place"],), ("altered_left",)),
        ((second["place"],), ("missing_left",)),
    }
    assert done.blobs["copied"] == 2


async def test_another_blob_at_that_place_is_named_and_stays(pair: Pair) -> None:
    place = f"{TENANT}/{pair.traffic.photos[0].envelope.record_id}/1"

    async def other() -> AsyncIterator[bytes]:
        yield b"another"

    await pair.right.blobs.put(place, other(), max_bytes=100)
    (refused,) = (await pair.copy()).first
    assert (refused.table, refused.key, refused.what) == ("blobs", (place,), ("differs",))
    assert [chunk async for chunk in pair.right.blobs.open(place)] == [b"another"]


async def test_blobs_alone(pair: Pair) -> None:
    done = await pair.copy(blobs_only=True)
    assert done.blobs == {"copied": 4}
    assert await all_rows(pair.right.tables) == {}


@dataclass
class _Watched:
    """A store for which something is done before each insert."""

    inner: TableStore
    before: Callable[[], Awaitable[None]]

    def snapshot(self) -> AbstractAsyncContextManager[TableSnapshot]:
        return self.inner.snapshot()

    async def insert(self, table: Table, rows: Sequence[Row]) -> int:
        await self.before()
        return await self.inner.insert(table, rows)

    async def update(self, table: Table, rows: Sequence[Row]) -> int:
        return await self.inner.update(table, rows)

    async def renumber(self) -> None:
        await self.inner.renumber()

    async def close(self) -> None:
        await self.inner.close()


def _failing(inner: TableStore, writes: int) -> TableStore:
    """A store that is gone after some writes."""
    left = [None] * writes

    async def count() -> None:
        if not left:
            raise StoreUnavailableError("cut off")
        left.pop()

    return _Watched(inner, count)
