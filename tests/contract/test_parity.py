"""Two stores of different kinds that hold the same, and what is found where they do not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
import pytest_asyncio

from backends.memory import MemoryBlobs, MemoryRecords
from backends.memory.rows import MemoryTables
from backends.postgres.blobs import PostgresBlobs
from backends.postgres.records import PostgresRecords
from backends.postgres.tables import PostgresTables
from broker import parity
from broker.commands.parity import _compared, _Saved, as_document
from broker.core.errors import BlobsUnavailableError, StoreUnavailableError
from broker.core.model import Record
from broker.core.parity import Difference
from broker.parity import Found, Side, Wanted, Watcher, compare
from tests.kept import Traffic
from tests.records import TENANT, Desk, target_of
from tests.stores import as_writer, execute, store_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers import SharedPostgres

SEED = 11


@dataclass
class Pair:
    """The same traffic in a Postgres and in memory."""

    dsn: str
    postgres: PostgresTables
    postgres_blobs: PostgresBlobs
    memory: MemoryTables
    memory_blobs: MemoryBlobs
    photos: list[Record]

    @property
    def photo(self) -> str:
        return self.photos[0].envelope.record_id

    @asynccontextmanager
    async def sides(self) -> AsyncIterator[tuple[Side, Side]]:
        async with self.postgres.snapshot() as left, self.memory.snapshot() as right:
            yield Side(snapshot=left, blobs=self.postgres_blobs), Side(snapshot=right, blobs=self.memory_blobs)

    async def found(self, wanted: Wanted | None = None) -> Found:
        found = Found(tenant=TENANT)
        async with self.sides() as (left, right):
            await compare(left, right, wanted or Wanted(), found, Watcher())
        return found

    async def change(self, statement: str, *arguments: object) -> None:
        assert (await execute(self.dsn, statement, *arguments)).endswith(" 1")


@pytest_asyncio.fixture
async def pair(postgres_server: SharedPostgres) -> AsyncIterator[Pair]:
    async with store_database(postgres_server) as dsn:
        desk, other = Desk(SEED), Desk(SEED)
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time)
        tables = await PostgresTables.open(as_writer(dsn))
        blobs = await PostgresBlobs.connect(as_writer(dsn))
        beside, beside_blobs = MemoryRecords(other.time), MemoryBlobs()
        traffic = Traffic(desk)
        await traffic.keep(store, blobs)
        await Traffic(other).keep(beside, beside_blobs)
        yield Pair(dsn, tables, blobs, MemoryTables(beside), beside_blobs, traffic.photos)
        for one in (tables, blobs, store):
            await one.close()


async def test_the_same_traffic_gives_the_same_roots(pair: Pair) -> None:
    found = await pair.found()
    assert (found.is_same, found.is_done, found.first, found.conversations) == (True, True, [], {})
    assert found.blobs == 2 * 2 * 2  # two photos with their bytes, two rounds, two sides
    for stand in found.kinds.values():
        assert stand.left == stand.right
        assert stand.left.rows > 0


async def test_one_byte_of_a_blob_is_found_and_named(pair: Pair) -> None:
    await pair.change(
        "UPDATE custody_blobs.blobs SET data = overlay(data placing 'X'::bytea from 3) WHERE place = $1",
        f"{TENANT}/{pair.photo}/1",
    )
    found = await pair.found()
    (only,) = found.first
    assert (only.tenant, only.kind, only.key, only.what) == (TENANT, "blobs", (pair.photo, 1), ("altered_left",))
    assert only.conversation == pair.photos[0].envelope.conversation
    assert (await pair.found(Wanted(quick=True))).is_same  # that is the store's word, and it does not know


async def test_a_missing_blob_is_found_and_named(pair: Pair) -> None:
    del pair.memory_blobs.data[f"{TENANT}/{pair.photo}/1"]
    for quick in (False, True):
        (only,) = (await pair.found(Wanted(quick=quick))).first
        assert (only.kind, only.key, only.what) == ("blobs", (pair.photo, 1), ("missing_right",))


async def test_a_record_taken_away_is_found_and_named(pair: Pair) -> None:
    await pair.change("DELETE FROM custody_pas.records WHERE record_id = $1", pair.photo)
    found = await pair.found()
    (only,) = found.first
    conversation = pair.photos[0].envelope.conversation
    assert only == Difference(
        tenant=TENANT, kind="records", conversation=conversation, key=(pair.photo,), what=("only_right",)
    )
    ours, theirs = found.conversations[conversation] or ("", "")
    assert ours != theirs
    assert found.kinds["records"].left != found.kinds["records"].right
    assert found.kinds["targets"].left == found.kinds["targets"].right


@pytest.mark.parametrize("column", ["envelope", "arrival", "content"])
async def test_an_altered_record_is_found_and_named(pair: Pair, column: str) -> None:
    await pair.change(
        f"UPDATE custody_pas.records SET {column} = overlay({column} placing 'X'::bytea from 12) WHERE record_id = $1",
        pair.photo,
    )
    (only,) = (await pair.found()).first
    assert (only.kind, only.key, only.what) == ("records", (pair.photo,), (column, "altered_left"))


async def test_a_target_in_another_state_is_found_and_named(pair: Pair) -> None:
    target_id = target_of(pair.photos[0])
    await pair.change("UPDATE custody_pas.targets SET state = 'erased' WHERE target_id = $1", target_id)
    found = await pair.found()
    (only,) = found.first
    assert (only.kind, only.key, only.what) == ("targets", (target_id,), ("state",))
    assert str(only).startswith(f"target {target_id} of {only.conversation}: state")


async def test_a_result_taken_away_is_found_by_its_part(pair: Pair) -> None:
    await pair.change("DELETE FROM custody_pas.part_results WHERE origin_id = $1", pair.photo)
    kinds = [(one.kind, one.key, one.what) for one in (await pair.found()).first]
    assert kinds == [("parts", (pair.photo, 1), ("state", "size", "sha256"))]


async def test_all_are_counted_and_the_first_are_named(pair: Pair) -> None:
    await execute(pair.dsn, "UPDATE custody_pas.targets SET object_id = 'x'")
    found = await pair.found(Wanted(first=2))
    assert found.differences == found.kinds["targets"].left.rows > 2
    assert len(found.first) == 2


async def test_records_of_a_time_and_their_parts_alone(pair: Pair) -> None:
    last = pair.photos[-1]
    found = await pair.found(Wanted(since=last.arrival.received_at))
    whole = await pair.found()
    assert found.is_same
    assert 0 < found.kinds["records"].left.rows < whole.kinds["records"].left.rows
    assert 0 < found.kinds["parts"].left.rows < whole.kinds["parts"].left.rows
    assert found.kinds["targets"] == whole.kinds["targets"]


async def test_one_conversation_with_its_digest(pair: Pair) -> None:
    conversation = pair.photos[0].envelope.conversation
    found = await pair.found(Wanted(conversation=conversation))
    ours, theirs = found.conversations[conversation] or ("", "x")
    assert ours == theirs
    whole = await pair.found()
    assert 0 < found.kinds["records"].left.rows < whole.kinds["records"].left.rows


async def test_differences_are_shown_where_the_moment_is_over_before_the_digests(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.change("DELETE FROM custody_pas.records WHERE record_id = $1", pair.photos[0].envelope.record_id)

    async def too_late(*_: object) -> None:
        raise StoreUnavailableError("the snapshot is too old")

    monkeypatch.setattr("broker.parity._roots", too_late)
    found = await _commanded(pair, monkeypatch)
    assert found.is_done
    assert found.first
    assert found.conversations == {pair.photos[0].envelope.conversation: None}
    assert as_document(found)["conversations"] == {pair.photos[0].envelope.conversation: None}


async def test_a_later_moment_is_taken_for_the_digests(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair.change("DELETE FROM custody_pas.records WHERE record_id = $1", pair.photo)
    in_time, late = parity._roots, [StoreUnavailableError("the snapshot is too old")]

    async def roots(*arguments: Any) -> object:  # noqa: ANN401 - as it takes them
        if late:
            raise late.pop()
        return await in_time(*arguments)

    monkeypatch.setattr("broker.parity._roots", roots)
    found = await _commanded(pair, monkeypatch)
    ours, theirs = found.conversations[pair.photos[0].envelope.conversation] or ("", "")
    assert ours != theirs


async def test_a_store_that_stays_away_is_an_outage(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr("broker.parity.amount", away)
    with pytest.raises(StoreUnavailableError):
        await _commanded(pair, monkeypatch)


async def _commanded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Found:
    """What `custody parity` finds of these two stores."""

    async def opened(_: object, store: object) -> object:
        return store

    monkeypatch.setattr("broker.commands.stores.opened", opened)
    left = SimpleNamespace(tables=pair.postgres, blobs=pair.postgres_blobs)
    right = SimpleNamespace(tables=pair.memory, blobs=pair.memory_blobs)
    saved = _Saved(None, [])
    await _compared(cast("Any", SimpleNamespace(left=left, right=right)), TENANT, Wanted(), saved)
    return saved.found[TENANT]


async def test_it_goes_on_from_wherever_it_was_cut_off(pair: Pair) -> None:
    target_id = target_of(pair.photos[0])
    await pair.change("UPDATE custody_pas.targets SET state = 'erased' WHERE target_id = $1", target_id)
    saved: list[bytes] = []
    whole = Found(tenant=TENANT)
    async with pair.sides() as (left, right):
        await compare(left, right, Wanted(), whole, Watcher(save=lambda: saved.append(msgspec.json.encode(whole))))
        assert len(saved) > 4
        for data in saved:
            again = msgspec.json.decode(data, type=Found)
            await compare(left, right, Wanted(), again, Watcher())
            assert again == whole


async def test_a_blob_that_could_not_be_read_at_first_is_counted_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, read = [BlobsUnavailableError("cut off")], pair.memory_blobs.open

    def cut_off_once(place: str) -> AsyncIterator[bytes]:
        if cuts:
            raise cuts.pop()
        return read(place)

    monkeypatch.setattr(MemoryBlobs, "open", lambda _, place: cut_off_once(place))
    found = Found(tenant=TENANT)
    async with pair.sides() as (left, right):
        with pytest.raises(BlobsUnavailableError):
            await compare(left, right, Wanted(), found, Watcher())
        await compare(left, right, Wanted(), found, Watcher())
    assert (found.is_same, found.blobs) == (True, 8)
