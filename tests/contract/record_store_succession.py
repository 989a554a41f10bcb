"""What every record store promises of a log that takes another one's place: nothing twice, nothing skipped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from broker.core.account import draw
from broker.core.errors import AdoptionRefusedError, LogChangedError
from broker.core.ports import Adoption, Bounds, Progress
from broker.workers.records import end_unknown_record
from tests.contract.record_store import MESSAGES, outcomes, progress_of
from tests.contract.record_store_account import account_of
from tests.contract.record_store_targets import keep
from tests.records import LOG, TENANT, Desk

if TYPE_CHECKING:
    from broker.core.account import Account
    from tests.contract.record_store import Bench

NEW = "the log after the move"
TAKES_OVER = Adoption(tenant=TENANT, log=NEW, predecessor=LOG, starts={MESSAGES: 0})


def moved(bench: Bench) -> Desk:
    """The same desk, writing to the new log from now on."""
    bench.desk.log = NEW
    bench.desk.ends.clear()
    return bench.desk


async def new_account(bench: Bench) -> Account:
    tally = await bench.store.tally(TENANT, NEW, buckets=True)
    places = {MESSAGES: Bounds(first=0, end=0)} | dict(bench.desk.bounds())
    return draw(tally, places)


class SuccessionContract:
    async def test_what_was_kept_from_another_log_is_told_until_one_takes_its_place(self, bench: Bench) -> None:
        topics = [MESSAGES.topic]
        assert await bench.store.other_logs(NEW, topics) == {}
        await keep(bench, bench.desk.text())
        assert await bench.store.other_logs(NEW, topics) == {MESSAGES.topic: frozenset({LOG})}
        assert await bench.store.other_logs(LOG, topics) == {}
        assert await bench.store.other_logs(NEW, ["custody.other.messages.v1"]) == {}
        await bench.store.adopt(TAKES_OVER)
        assert await bench.store.other_logs(NEW, topics) == {}

    async def test_the_new_log_is_kept_from_its_first_entry_and_the_old_one_no_more(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text(), desk.text())
        late = desk.arrive(desk.text())
        await bench.store.adopt(replace(TAKES_OVER, starts={MESSAGES: 3}))
        assert (await bench.store.progress(NEW, [MESSAGES.topic]))[MESSAGES] == Progress(start=3, next=3)
        old = await progress_of(bench)
        assert old is not None
        assert (old.next, old.successor) == (2, NEW)
        with pytest.raises(LogChangedError):
            await bench.store.keep([late])
        assert await progress_of(bench) == old

    async def test_partitions_of_the_old_log_that_nothing_was_kept_of_are_closed_as_well(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        await bench.store.adopt(TAKES_OVER)
        for late in (desk.arrive(desk.text(), partition=1), desk.arrive(desk.status())):
            with pytest.raises(LogChangedError):
                await bench.store.keep([late])
        assert len(await bench.store.progress(LOG, [MESSAGES.topic])) == 1
        account = draw(await bench.store.tally(TENANT, NEW), {MESSAGES: Bounds(first=0, end=0)})
        assert (account.accepted, account.kept) == (1, 1)

    async def test_mirrored_entries_are_kept_once_and_the_account_closes_over_both_logs(self, bench: Bench) -> None:
        desk = bench.desk
        kept, unread = [desk.text() for _ in range(4)], [desk.text() for _ in range(2)]
        await keep(bench, *kept, kept[0])
        before = await account_of(bench)
        assert (before.accepted, before.kept, before.duplicates) == (5, 4, 1)
        await bench.store.adopt(TAKES_OVER)
        desk = moved(bench)
        answers = await bench.store.keep([desk.arrive(one) for one in (*kept[2:], *unread, desk.text())])
        assert outcomes(answers) == ["duplicate", "duplicate", "stored", "stored", "stored"]
        account = await new_account(bench)
        assert (account.accepted, account.kept, account.duplicates, account.unprocessed) == (10, 7, 3, 0)
        assert account.problems() == []

    async def test_the_account_by_day_has_both_logs(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text(), desk.text())
        await bench.store.adopt(TAKES_OVER)
        desk = moved(bench)
        await bench.store.keep([desk.arrive(desk.text())])
        tally = await bench.store.tally(TENANT, NEW, buckets=True)
        assert [(one.entries, one.kept) for one in tally.buckets] == [(3, 3)]

    async def test_a_loss_in_the_old_log_stays_in_the_account(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        unknown = end_unknown_record(
            LOG, MESSAGES, first=1, successor=NEW, key=desk.key, now=desk.time.now, entropy=desk.random.randbytes
        )
        await bench.store.adopt(replace(TAKES_OVER, gaps=(unknown,)))
        moved(bench)
        account = await new_account(bench)
        assert (account.accepted, account.kept, account.lost) == (1, 1, 0)
        assert account.gaps_by_cause == {"lost": 1}
        assert [one.record_id async for one in bench.store.gaps(TENANT)] == [unknown.envelope.record_id]

    async def test_the_end_of_a_log_may_be_unknown_twice_and_is_one_gap(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        unknown = end_unknown_record(
            LOG, MESSAGES, first=1, successor=NEW, key=desk.key, now=desk.time.now, entropy=desk.random.randbytes
        )
        there = replace(TAKES_OVER, gaps=(unknown,))
        back = replace(TAKES_OVER, log=LOG, predecessor=NEW)
        await bench.store.adopt(there)
        first = await bench.store.record(TENANT, unknown.envelope.record_id)
        desk.time.pass_(hours=1)
        await bench.store.adopt(back)
        again = end_unknown_record(
            LOG, MESSAGES, first=1, successor=NEW, key=desk.key, now=desk.time.now, entropy=desk.random.randbytes
        )
        await bench.store.adopt(replace(there, gaps=(again,)))
        assert await bench.store.record(TENANT, unknown.envelope.record_id) == first
        assert [one.record_id async for one in bench.store.gaps(TENANT)] == [unknown.envelope.record_id]
        assert (await bench.store.progress(LOG, [MESSAGES.topic]))[MESSAGES].keep_seq == 2

    async def test_dead_letters_at_one_place_of_two_logs_have_an_order(self, bench: Bench) -> None:
        desk = bench.desk
        for name in [LOG, *(f"log {number}" for number in range(5))]:
            if name != LOG:
                await bench.store.adopt(replace(TAKES_OVER, log=name, predecessor=desk.log))
                desk.log = name
                desk.ends.clear()
            await bench.store.keep([desk.die(desk.text())])
        gaps = [one.gap_record_id for one in await bench.store.dead_letters(TENANT)]
        assert len(gaps) == 6
        assert gaps == sorted(gaps)

    async def test_the_same_adoption_again_changes_nothing(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        await bench.store.adopt(TAKES_OVER)
        desk = moved(bench)
        await bench.store.keep([desk.arrive(desk.text())])
        before = await new_account(bench)
        await bench.store.adopt(TAKES_OVER)
        assert await new_account(bench) == before

    async def test_a_log_may_be_succeeded_again_and_the_first_may_come_back(self, bench: Bench) -> None:
        desk, third = bench.desk, "the third log"
        await keep(bench, desk.text(), desk.text())
        ends = dict(desk.ends)
        await bench.store.adopt(TAKES_OVER)
        desk = moved(bench)
        await bench.store.keep([desk.arrive(desk.text())])
        await bench.store.adopt(replace(TAKES_OVER, log=third, predecessor=NEW))
        tally = await bench.store.tally(TENANT, third)
        assert (tally.kept, sum(one.next - one.start for one in tally.before)) == (3, 3)
        await bench.store.adopt(replace(TAKES_OVER, log=LOG, predecessor=third))
        desk.log = LOG
        desk.ends.clear()
        desk.ends.update(ends)
        assert outcomes(await bench.store.keep([desk.arrive(desk.text())])) == ["stored"]
        account = draw(await bench.store.tally(TENANT, LOG), desk.bounds())
        assert (account.accepted, account.kept, account.problems()) == (4, 4, [])

    @pytest.mark.parametrize(
        "wrong",
        [
            replace(TAKES_OVER, predecessor="a log that nobody knows"),
            replace(TAKES_OVER, tenant="other"),
            replace(TAKES_OVER, log=LOG),
        ],
        ids=["log", "tenant", "itself"],
    )
    async def test_what_can_not_be_is_refused_and_nothing_is_written(self, bench: Bench, wrong: Adoption) -> None:
        await keep(bench, bench.desk.text())
        before = await progress_of(bench)
        with pytest.raises(AdoptionRefusedError):
            await bench.store.adopt(wrong)
        assert await progress_of(bench) == before

    async def test_a_log_whose_place_is_taken_is_not_taken_again_by_another(self, bench: Bench) -> None:
        await keep(bench, bench.desk.text())
        await bench.store.adopt(TAKES_OVER)
        with pytest.raises(AdoptionRefusedError):
            await bench.store.adopt(replace(TAKES_OVER, log="a third"))

    async def test_one_tenants_move_leaves_the_others_where_they_are(self, bench: Bench) -> None:
        desk, other = bench.desk, Desk(2, tenant="other")
        await keep(bench, desk.text())
        await bench.store.keep([other.arrive(other.text())])
        await bench.store.adopt(TAKES_OVER)
        assert outcomes(await bench.store.keep([other.arrive(other.text())])) == ["stored"]
        assert (await bench.store.tally("other", NEW)).kept == 0
        assert (await bench.store.tally("other", LOG)).kept == 2
