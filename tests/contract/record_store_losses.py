"""What every record store promises of entries that the log lost, and of gaps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from broker.core.account import draw
from broker.core.errors import LossRefusedError, OffsetGapError
from broker.core.losses import LOST
from broker.core.model import Kind
from broker.core.ports import Loss, OpenGap, Progress
from broker.core.topics import Stream
from broker.workers.records import loss_record
from tests.contract.record_store import MESSAGES, outcomes, progress_of, tally_of
from tests.contract.record_store_account import account_of
from tests.contract.record_store_targets import keep
from tests.records import LOG, TENANT, Desk

if TYPE_CHECKING:
    from broker.core.model import Record
    from tests.contract.record_store import Bench


def gap_of(desk: Desk, loss: Loss) -> Record:
    """The gap record that a loss leaves."""
    return loss_record(loss, key=desk.key, now=desk.time.now, entropy=desk.random.randbytes)


def lose(desk: Desk, count: int) -> Loss:
    """Entries that arrived and are in no log any more."""
    first = desk.ends[MESSAGES]
    for _ in range(count):
        desk.arrive(desk.text())
    return Loss(log=LOG, place=MESSAGES, first=first, end=desk.ends[MESSAGES])


async def open_gaps(bench: Bench) -> list[OpenGap]:
    return [one async for one in bench.store.gaps(TENANT)]


class LossContract:
    """A gap in the log is refused until somebody accepts it, and then it is one record and a count."""

    async def test_an_accepted_loss_lets_the_partition_go_on_and_is_counted(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text(), desk.text())
        loss = lose(desk, 5)
        after = desk.arrive(desk.text())
        with pytest.raises(OffsetGapError):
            await bench.store.keep([after])
        gap = gap_of(desk, loss)
        await bench.store.accept_loss(loss, gap)
        assert await progress_of(bench) == Progress(start=0, next=7, lost=5, keep_seq=3, last_event_id="")
        assert outcomes(await bench.store.keep([after])) == ["stored"]
        account = await account_of(bench)
        assert (account.accepted, account.kept, account.lost, account.unprocessed) == (8, 3, 5, 0)
        assert account.problems() == ["lost is 5, not 0"]
        assert account.gaps_by_cause == {LOST: 1}

    async def test_one_gap_record_names_the_range(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        loss = lose(desk, 3)
        gap = gap_of(desk, loss)
        await bench.store.accept_loss(loss, gap)
        kept = await bench.store.record(TENANT, gap.envelope.record_id)
        assert kept is not None
        assert kept.record == gap
        assert (kept.record.envelope.kind, kept.record.envelope.type, kept.keep_seq) == (Kind.GAP, LOST, 2)

    async def test_the_same_loss_again_changes_nothing(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        loss = lose(desk, 3)
        await bench.store.accept_loss(loss, gap_of(desk, loss))
        before = await progress_of(bench), await tally_of(bench, buckets=True), await open_gaps(bench)
        desk.time.pass_(minutes=40)
        await bench.store.accept_loss(loss, gap_of(desk, loss))
        await asyncio.gather(*(bench.store.accept_loss(loss, gap_of(desk, loss)) for _ in range(3)))
        assert (await progress_of(bench), await tally_of(bench, buckets=True), await open_gaps(bench)) == before

    async def test_two_who_accept_at_once_accept_it_once(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        loss = lose(desk, 3)
        await asyncio.gather(*(bench.store.accept_loss(loss, gap_of(desk, loss)) for _ in range(4)))
        progress = await progress_of(bench)
        assert progress is not None
        assert (progress.next, progress.lost, (await tally_of(bench)).gaps) == (4, 3, {LOST: 1})

    @pytest.mark.parametrize(("first", "end"), [(1, 4), (0, 4), (3, 4), (2, 2), (2, 1)])
    async def test_a_loss_that_begins_elsewhere_is_refused_and_nothing_is_written(
        self, bench: Bench, first: int, end: int
    ) -> None:
        desk = bench.desk
        await keep(bench, desk.text(), desk.text())
        before = await progress_of(bench), await tally_of(bench, buckets=True)
        loss = Loss(log=LOG, place=MESSAGES, first=first, end=end)
        gap = gap_of(desk, loss)
        with pytest.raises(LossRefusedError, match="at offset 2"):
            await bench.store.accept_loss(loss, gap)
        assert (await progress_of(bench), await tally_of(bench, buckets=True)) == before
        assert await bench.store.record(TENANT, gap.envelope.record_id) is None

    async def test_what_was_lost_before_anything_was_kept_is_accepted_too(self, bench: Bench) -> None:
        desk = bench.desk
        loss = lose(desk, 4)
        later = Loss(log=LOG, place=MESSAGES, first=1, end=4)
        with pytest.raises(LossRefusedError, match="at offset 0"):
            await bench.store.accept_loss(later, gap_of(desk, later))
        assert await progress_of(bench) is None
        await bench.store.accept_loss(loss, gap_of(desk, loss))
        await keep(bench, desk.text())
        assert await progress_of(bench) is not None
        account = await account_of(bench)
        assert (account.accepted, account.kept, account.lost, account.unprocessed) == (5, 1, 4, 0)
        assert account.problems() == ["lost is 4, not 0"]

    async def test_what_was_lost_and_comes_back_is_a_replay_and_not_kept(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        late = desk.arrive(desk.text())
        loss = Loss(log=LOG, place=MESSAGES, first=1, end=2)
        await bench.store.accept_loss(loss, gap_of(desk, loss))
        assert outcomes(await bench.store.keep([late])) == ["replayed"]
        assert draw(await tally_of(bench), desk.bounds()).problems() == ["lost is 1, not 0"]


class GapContract:
    """Every open gap is listed, by cause, with the record that says so."""

    async def test_nothing_is_missing_at_first(self, bench: Bench) -> None:
        assert await open_gaps(bench) == []

    async def test_gaps_of_every_cause_are_listed(self, bench: Bench) -> None:
        desk = bench.desk
        told, never_seen = desk.gap("undelivered"), desk.status()
        await keep(bench, told, never_seen)
        desk.time.pass_(minutes=1)
        dead = desk.die(desk.text())
        await bench.store.keep([dead])
        loss = lose(desk, 2)
        lost = gap_of(desk, loss)
        await bench.store.accept_loss(loss, lost)
        unseen = never_seen.envelope.relations[0].record_id
        found = await open_gaps(bench)
        assert [(one.cause, one.record_id, one.stream) for one in found] == [
            ("dead", dead.record.envelope.record_id, Stream.MESSAGES),
            (LOST, lost.envelope.record_id, Stream.MESSAGES),
            ("outbound_unseen", unseen, Stream.STATUSES),
            ("undelivered", told.envelope.record_id, Stream.MESSAGES),
        ]
        assert {one.tenant for one in found} == {TENANT}
        assert found[0].at == dead.record.arrival.received_at
        counted = (await tally_of(bench)).gaps
        assert {one.cause: 1 for one in found} == dict(counted)

    async def test_a_gap_that_is_closed_is_listed_no_more(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        dead = desk.die(record)
        await keep(bench, desk.status(record))
        await bench.store.keep([dead])
        assert [one.cause for one in await open_gaps(bench)] == ["dead", "outbound_unseen"]
        await bench.store.keep([desk.arrive(record, redrive_of=dead)])
        assert await open_gaps(bench) == []

    async def test_of_one_cause_the_oldest_comes_first_and_other_tenants_are_left_out(self, bench: Bench) -> None:
        desk, other = bench.desk, Desk(2, tenant="other")
        told = []
        for _ in range(3):
            told.append(desk.gap())
            await keep(bench, told[-1])
            desk.time.pass_(minutes=1)
        await bench.store.keep([other.arrive(other.gap())])
        assert [one.record_id for one in await open_gaps(bench)] == [one.envelope.record_id for one in told]
