"""Two stores written at once keep the promises of one, come to the same, and wait for the one that is down."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backends.memory import MemoryBlobs, MemoryRecords
from backends.memory.blobs import CHUNK_BYTES
from backends.memory.rows import MemoryTables
from broker.core.errors import BlobExistsError, BlobsUnavailableError, ObjectGoneError, StoreUnavailableError
from broker.core.ports import NOTHING_KEPT, Loss, Progress
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.dual import DualBlobs, DualRecords, behind
from broker.parity import Found, Side, Wanted, Watcher, compare
from broker.workers.records import loss_record
from tests.contract.blob_store import PLACE, BlobBench, BlobContract, pieces
from tests.contract.record_store import Bench, KeepContract
from tests.contract.record_store_account import AccountContract
from tests.contract.record_store_losses import GapContract, LossContract
from tests.contract.record_store_second import SecondStoreContract
from tests.contract.record_store_succession import SuccessionContract
from tests.contract.record_store_targets import ReceiptContract, TargetContract
from tests.kept import both, copy_rows
from tests.records import LOG, TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.model import Record
    from broker.core.ports import Answer, Arrived, BlobInfo

MESSAGES = TopicPartition(topic_name(TENANT, Stream.MESSAGES), 0)


@dataclass
class DualBench:
    desk: Desk
    main: MemoryRecords = field(init=False)
    other: MemoryRecords = field(init=False)
    store: DualRecords = field(init=False)

    def __post_init__(self) -> None:
        self.main, self.other = MemoryRecords(self.desk.time), MemoryRecords(self.desk.time)
        self.store = both(self.main, self.other)

    async def forget_record(self, record_id: str) -> None:
        for one in (self.main, self.other):
            del one.tables.records[TENANT, record_id]

    async def forget_target(self, target_id: str) -> None:
        for one in (self.main, self.other):
            del one.tables.targets[TENANT, target_id]

    async def forget_results(self, record_id: str) -> None:
        for one in (self.main, self.other):
            for key in [key for key in one.tables.results if key[:2] == (TENANT, record_id)]:
                del one.tables.results[key]


@pytest.fixture
def bench(seed: int) -> Bench:
    return DualBench(Desk(seed))


class TestDualKeeps(KeepContract):
    pass


class TestDualTargets(TargetContract):
    pass


class TestDualReceipts(ReceiptContract):
    pass


class TestDualAccount(AccountContract):
    pass


class TestDualLosses(LossContract):
    pass


class TestDualGaps(GapContract):
    pass


class TestDualSuccession(SuccessionContract):
    pass


class TestDualAsSecond(SecondStoreContract):
    pass


async def differences(main: MemoryRecords, other: MemoryRecords) -> list[str]:
    found, blobs = Found(tenant=TENANT), MemoryBlobs()
    async with MemoryTables(main).snapshot() as left, MemoryTables(other).snapshot() as right:
        sides = Side(snapshot=left, blobs=blobs), Side(snapshot=right, blobs=blobs)
        await compare(*sides, Wanted(first=100), found, Watcher())
    return [str(one) for one in found.first if one.kind != "blobs"]  # none was put anywhere


class _Flaky(MemoryRecords):
    """A store that is down now and then: before it wrote a batch, or after."""

    chance = random.Random(0)

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        fate = self.chance.randrange(4)
        if fate == 0:
            raise StoreUnavailableError("down")
        answers = await MemoryRecords.keep(self, batch)
        if fate == 1:
            raise StoreUnavailableError("kept, and nobody was told")
        return answers


class _DownRecords(MemoryRecords):
    """A store that keeps nothing."""

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:  # noqa: ARG002 - as the seam has it
        raise StoreUnavailableError("down")

    async def keep_act(self, record: Record) -> None:  # noqa: ARG002 - likewise
        raise StoreUnavailableError("down")


async def test_what_the_main_store_is_seen_to_have_the_other_one_has_too(seed: int) -> None:
    desk = Desk(seed)
    main = MemoryRecords(desk.time)
    store = both(main, _DownRecords(desk.time))
    with pytest.raises(StoreUnavailableError):
        await store.keep([desk.arrive(desk.text())])
    with pytest.raises(StoreUnavailableError):
        await store.keep_act(desk.act())
    assert [one async for one in main.records(TENANT)] == []


@pytest.mark.parametrize("put_in", ["main", "other"])
async def test_a_part_is_kept_once_its_bytes_are_in_both(seed: int, put_in: str) -> None:
    desk = Desk(seed)
    blobs = DualBlobs(MemoryBlobs(), MemoryBlobs())
    store = both(MemoryRecords(desk.time), MemoryRecords(desk.time), blobs)
    photo = desk.image()
    place = f"{TENANT}/{photo.envelope.record_id}/1"
    alone = blobs.main if put_in == "main" else blobs.other
    await alone.put(place, pieces(b"by one that wrote to one store"), max_bytes=100)
    result = desk.kept(photo, data=b"by one that wrote to one store")
    await store.keep([desk.arrive(photo), desk.arrive(result)])
    assert await blobs.main.stat(place) is not None
    assert await blobs.other.stat(place) is not None


@pytest.mark.parametrize(("here", "there"), [(b"a ph0to", None), (b"a photo", b"another")])
async def test_a_part_is_not_kept_while_a_store_has_other_bytes_than_were_fetched(
    seed: int, here: bytes, there: bytes | None
) -> None:
    desk = Desk(seed)
    blobs = DualBlobs(MemoryBlobs(), MemoryBlobs())
    main, other = MemoryRecords(desk.time), MemoryRecords(desk.time)
    photo = desk.image()
    place = f"{TENANT}/{photo.envelope.record_id}/1"
    await blobs.main.put(place, pieces(here), max_bytes=100)
    if there is not None:
        await blobs.other.put(place, pieces(there), max_bytes=100)
    result = desk.arrive(desk.kept(photo, data=b"a photo"))
    with pytest.raises(BlobsUnavailableError, match="take away what is wrong"):
        await both(main, other, blobs).keep([result])
    assert [one async for one in other.records(TENANT)] == []
    await main.keep([result])
    assert [one.outcome for one in await both(main, other, blobs).keep([result])] == ["stored"], "parity names it"


async def test_a_part_waits_while_its_bytes_can_not_be_brought_over(seed: int) -> None:
    desk = Desk(seed)
    blobs = DualBlobs(MemoryBlobs(), _Down())
    main = MemoryRecords(desk.time)
    photo = desk.image()
    await blobs.main.put(f"{TENANT}/{photo.envelope.record_id}/1", pieces(b"a photo"), max_bytes=100)
    with pytest.raises(BlobsUnavailableError):
        await both(main, MemoryRecords(desk.time), blobs).keep([desk.arrive(desk.kept(photo, data=b"a photo"))])
    assert [one async for one in main.records(TENANT)] == []


@pytest.mark.parametrize("is_main", [True, False])
async def test_a_store_that_is_down_now_and_then_comes_to_the_same(seed: int, is_main: bool) -> None:
    desk, chance = Desk(seed), random.Random(seed)
    flaky, steady = _Flaky(desk.time), MemoryRecords(desk.time)
    _Flaky.chance = chance
    store = both(flaky, steady) if is_main else both(steady, flaky)

    async def keep(*entries: Arrived) -> None:
        for _ in range(100):
            try:
                await store.keep(entries)
            except StoreUnavailableError:
                continue
            return
        pytest.fail("it never came back")

    for _ in range(20):
        photo = desk.image(chance.choice(["media-1", "media-2", "media-3"]))
        await keep(desk.arrive(photo), desk.arrive(desk.text()))
        await keep(desk.arrive(desk.kept(photo) if chance.random() < 0.7 else desk.lost(photo)))
        desk.time.pass_(minutes=chance.randrange(30))
        claimed = await store.claim_due(now=desk.time.now, limit=2, lease=timedelta(minutes=5))
        for one in claimed:
            outcome = chance.choice(["erased", "absent", "retry", "unanswered", "blocked"])
            await keep(desk.arrive(desk.receipt(one.command.target_id, outcome, attempt=one.command.attempt)))
    assert await differences(steady, flaky) == []


async def test_the_one_that_is_behind_says_where_to_go_on(seed: int) -> None:
    desk = Desk(seed)
    main, other = MemoryRecords(desk.time), MemoryRecords(desk.time)
    store = both(main, other)
    entries = [desk.arrive(desk.text()) for _ in range(4)]
    await main.keep(entries[:3])
    progress = (await store.progress(LOG, [MESSAGES.topic]))[MESSAGES]
    assert (progress.next, progress.beside and progress.beside.next) == (0, 3)
    await other.keep(entries[:1])
    progress = (await store.progress(LOG, [MESSAGES.topic]))[MESSAGES]
    assert (progress.next, progress.last_event_id) == (1, entries[0].event_id)
    answers = await store.keep(entries[1:])
    assert [one.outcome for one in answers] == ["stored"] * 3
    assert await differences(main, other) == []
    assert behind(NOTHING_KEPT, Progress(start=0, next=2)).next == 0


async def test_a_copy_is_brought_up_by_the_log_whatever_the_order(seed: int) -> None:
    """The second store begins with a copy; what main did since comes to it from the log, partition by partition."""
    desk, chance = Desk(seed), random.Random(seed)
    main, other = MemoryRecords(desk.time), MemoryRecords(desk.time)
    await main.keep([desk.arrive(desk.text()), desk.arrive(desk.image())])
    await copy_rows(MemoryTables(main), MemoryTables(other))
    since: list[Arrived] = []

    async def keep(entry: Arrived) -> None:
        since.append(entry)
        await main.keep([entry])

    for outcome in ("erased", "blocked", "retry", "unanswered"):
        photo = desk.image()
        await keep(desk.arrive(photo))
        await keep(desk.arrive(desk.kept(photo)))
        (one,) = await main.claim_due(now=desk.time.now, limit=1, lease=timedelta(hours=5))
        await keep(desk.arrive(desk.receipt(one.command.target_id, outcome)))
    store = both(main, other)
    while since:
        place = chance.choice(sorted({_place(one) for one in since}))
        entry = next(one for one in since if _place(one) == place)
        since.remove(entry)
        await store.keep([entry])
    assert await differences(main, other) == []


def _place(entry: Arrived) -> str:
    position = entry.record.arrival.position
    assert position
    return position.topic


async def test_a_loss_is_accepted_by_each_from_where_it_stands(seed: int) -> None:
    desk = Desk(seed)
    main, other = MemoryRecords(desk.time), MemoryRecords(desk.time)
    entries = [desk.arrive(desk.text()) for _ in range(6)]
    await main.keep(entries[:4])
    await other.keep(entries[:2])
    store = both(main, other)
    loss = Loss(log=LOG, place=MESSAGES, first=2, end=5)
    await store.accept_loss(loss, loss_record(loss, key=desk.key, now=desk.time.now, entropy=desk.random.randbytes))
    lost = [(await one.progress(LOG, [MESSAGES.topic]))[MESSAGES] for one in (main, other)]
    assert [(one.next, one.lost) for one in lost] == [(5, 1), (5, 3)]
    assert [one.outcome for one in await store.keep(entries[5:])] == ["stored"]


@dataclass
class DualBlobBench:
    main: MemoryBlobs = field(default_factory=MemoryBlobs)
    other: MemoryBlobs = field(default_factory=MemoryBlobs)
    chunk_bytes: int = CHUNK_BYTES

    @property
    def blobs(self) -> DualBlobs:
        return DualBlobs(self.main, self.other)


class TestDualBlobs(BlobContract):
    @pytest.fixture
    def bench(self) -> BlobBench:
        return DualBlobBench()


class _Down(MemoryBlobs):
    """A blob store that takes nothing."""

    async def put(self, *_: Any, **__: Any) -> BlobInfo:  # noqa: ANN401 - whatever it is
        raise BlobsUnavailableError("down")


async def test_a_blob_is_in_both_or_nobody_is_told_of_it() -> None:
    here = DualBlobBench()
    with pytest.raises(BlobsUnavailableError):
        await DualBlobs(here.main, _Down()).put(PLACE, pieces(b"a photo"), max_bytes=100)
    with pytest.raises(BlobsUnavailableError):
        await DualBlobs(here.main, _Down()).stat(PLACE)
    assert here.other.data == {}
    info = await here.blobs.stat(PLACE)
    assert info is not None
    assert here.other.data == here.main.data == {PLACE: b"a photo"}


async def test_what_the_main_one_has_already_is_brought_to_the_other() -> None:
    here = DualBlobBench()
    await here.main.put(PLACE, pieces(b"a photo"), max_bytes=100)
    with pytest.raises(BlobExistsError):
        await here.blobs.put(PLACE, pieces(b"a photo"), max_bytes=100)
    assert here.other.data == {PLACE: b"a photo"}


async def test_another_blob_in_the_other_store_is_not_taken_for_the_same() -> None:
    here = DualBlobBench()
    await here.other.put(PLACE, pieces(b"another"), max_bytes=100)
    with pytest.raises(BlobsUnavailableError, match="differs"):
        await here.blobs.put(PLACE, pieces(b"a photo"), max_bytes=100)


async def test_what_only_the_other_one_has_is_brought_to_the_main_one_by_who_asks_for_it() -> None:
    here = DualBlobBench()
    await here.other.put(PLACE, pieces(b"a photo"), max_bytes=100)
    assert await here.blobs.stat(PLACE) == await here.main.stat(PLACE) != None  # noqa: E711 - both are something
    assert here.main.data == here.other.data == {PLACE: b"a photo"}


async def test_what_only_the_other_one_has_is_read_from_there() -> None:
    here = DualBlobBench()
    await here.other.put(PLACE, pieces(b"a photo"), max_bytes=100)
    assert b"".join([chunk async for chunk in here.blobs.open(PLACE)]) == b"a photo"
    with pytest.raises(ObjectGoneError):
        assert [chunk async for chunk in here.blobs.open("acme/rec_none/1")]
