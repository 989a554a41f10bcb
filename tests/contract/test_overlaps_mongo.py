"""Two stores on MongoDB that keep overlapping batches at once end as if one had come after the other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest_asyncio

from backends.mongo.connections import MongoOptions
from backends.mongo.records import MongoRecords
from broker.core.account import draw, of_bucket, total
from broker.core.model import ErasureOutcome
from broker.core.topics import Stream, TopicPartition, topic_name
from tests.contract.record_store_targets import LEASE
from tests.mongo_servers import as_writer
from tests.mongo_stores import DRIVERS, mongo_database
from tests.records import LOG, TENANT, Desk, target_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from backends.mongo.drivers import DriverName
    from tests.mongo_servers import SharedMongo

ROUNDS = 15
MESSAGES = topic_name(TENANT, Stream.MESSAGES)


class Pair:
    """Two stores, as two workers have them, and the desk that both serve."""

    def __init__(self, desk: Desk, first: MongoRecords, second: MongoRecords) -> None:
        self.desk = desk
        self.first = first
        self.second = second

    async def states(self) -> dict[str, str]:
        return {one.target_id: one.state async for one in self.first.targets(TENANT)}

    async def problems(self) -> list[str]:
        """What keeps the account from closing; every sum by day as well."""
        tally = await self.first.tally(TENANT, LOG, buckets=True)
        account, by_day = draw(tally, self.desk.bounds()), total(of_bucket(one) for one in tally.buckets)
        assert (by_day.kept, by_day.duplicates, by_day.accepted) == (account.kept, account.duplicates, account.accepted)
        return account.problems()


@pytest_asyncio.fixture(params=DRIVERS)
async def pair(mongo_server: SharedMongo, seed: int, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    desk, driver = Desk(seed), request.param
    async with (
        mongo_database(mongo_server) as uri,
        _opened(uri, desk, driver) as one,
        _opened(uri, desk, driver) as two,
    ):
        yield Pair(desk, one, two)


@asynccontextmanager
async def _opened(uri: str, desk: Desk, driver: DriverName) -> AsyncIterator[MongoRecords]:
    store = await MongoRecords.open(as_writer(uri), clock=desk.time, options=MongoOptions(driver=driver))
    try:
        yield store
    finally:
        await store.close()


async def test_the_same_records_in_two_partitions_at_once_are_kept_once_each(pair: Pair) -> None:
    desk = pair.desk
    for _ in range(ROUNDS):
        records = [desk.text() for _ in range(8)]
        left = [desk.arrive(one) for one in records]
        right = [desk.arrive(one, partition=1) for one in reversed(records)]
        answers = await asyncio.gather(pair.first.keep(left), pair.second.keep(right))
        found = sorted((one.record_id, one.outcome) for some in answers for one in some)
        wanted = [(one.envelope.record_id, outcome) for one in records for outcome in ("duplicate", "stored")]
        assert found == sorted(wanted)
    assert await pair.problems() == []


async def test_other_content_under_one_id_in_two_partitions_at_once_is_one_record_and_one_variant(pair: Pair) -> None:
    desk = pair.desk
    for number in range(ROUNDS):
        nine, ten = (desk.text(body, native=f"wamid.{number}") for body in ("At nine", "At ten"))
        answers = await asyncio.gather(
            pair.first.keep([desk.arrive(nine)]), pair.second.keep([desk.arrive(ten, partition=1)])
        )
        assert sorted(one.outcome for some in answers for one in some) == ["stored", "variant"]
    assert await pair.problems() == []


async def test_one_batch_kept_by_two_at_once_has_the_same_answers(pair: Pair) -> None:
    desk = pair.desk
    for _ in range(ROUNDS):
        batch = [desk.arrive(desk.text()) for _ in range(8)]
        one, other = await asyncio.gather(pair.first.keep(batch), pair.second.keep(batch))
        assert list(one) == list(other)
        assert {answer.outcome for answer in one} == {"stored"}
    place = TopicPartition(MESSAGES, 0)
    progress = (await pair.first.progress(LOG, [MESSAGES]))[place]
    assert (progress.next, progress.keep_seq, progress.duplicates) == (8 * ROUNDS, 8 * ROUNDS, 0)
    assert await pair.problems() == []


async def test_a_part_and_its_result_kept_by_two_at_once_leave_no_target_waiting(pair: Pair) -> None:
    desk = pair.desk
    for _ in range(ROUNDS):
        photos = [desk.image() for _ in range(4)]
        entries = [desk.arrive(one) for one in photos]
        results = [desk.arrive(desk.kept(one)) for one in photos]
        await asyncio.gather(pair.first.keep(entries), pair.second.keep(results))
    assert set((await pair.states()).values()) == {"due"}


async def test_the_last_result_and_a_second_claim_at_once_leave_nothing_waiting(pair: Pair) -> None:
    """A part came while its target was commanded; its result comes just as the lease is over."""
    desk = pair.desk
    for number in range(ROUNDS):
        first, again = desk.image(f"media-{number}"), desk.image(f"media-{number}")
        await pair.first.keep([desk.arrive(one) for one in (first, desk.kept(first))])
        assert len(await pair.first.claim_due(now=desk.time.now, limit=10, lease=LEASE)) == 1
        await pair.first.keep([desk.arrive(again)])
        desk.time.now += LEASE
        late = pair.second.keep([desk.arrive(desk.kept(again))])
        await asyncio.gather(pair.first.claim_due(now=desk.time.now, limit=10, lease=LEASE), late)
        assert (await pair.states())[target_of(first)] in {"due", "commanded"}
        await pair.first.keep([desk.arrive(desk.receipt(target_of(first), ErasureOutcome.ERASED))])


async def test_two_relays_at_once_claim_each_target_once(pair: Pair) -> None:
    desk = pair.desk
    photos = [desk.image() for _ in range(40)]
    await pair.first.keep([desk.arrive(one) for photo in photos for one in (photo, desk.kept(photo))])
    claims = await asyncio.gather(
        *(store.claim_due(now=desk.time.now, limit=15, lease=LEASE) for store in (pair.first, pair.second) * 2)
    )
    ids = [one.command.target_id for some in claims for one in some]
    rest = await pair.first.claim_due(now=desk.time.now, limit=100, lease=LEASE)
    assert len(ids) == len(set(ids))
    assert len(ids) + len(rest) == 40


async def test_a_record_that_is_there_is_found_however_many_new_ones_came_before(pair: Pair) -> None:
    """A store that has seen nothing twice for long inserts in the hope that all is new, and looks again."""
    desk = pair.desk
    text, photo = desk.text(), desk.image()
    await pair.first.keep([desk.arrive(text), desk.arrive(photo)])
    again = [desk.arrive(desk.text()), desk.arrive(text), desk.arrive(photo), desk.arrive(desk.status(text))]
    answers = await pair.second.keep(again)
    assert [one.outcome for one in answers] == ["stored", "duplicate", "duplicate", "stored"]
    assert [one.outcome for one in await pair.second.keep(again)] == ["stored", "replayed", "replayed", "stored"]
    assert [one async for one in pair.first.gaps(TENANT)] == []
