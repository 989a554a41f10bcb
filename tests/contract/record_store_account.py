"""What every record store promises of the account: it closes, and it does not when a row is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from broker.core.account import draw, of_bucket, total
from broker.core.model import ErasureOutcome
from broker.core.ports import DeadEntry
from broker.core.topics import Stream, topic_name
from tests.contract.record_store import MESSAGES, outcomes, tally_of
from tests.contract.record_store_targets import claim, keep
from tests.records import LOG, TENANT, Desk, target_of, where

if TYPE_CHECKING:
    from broker.core.account import Account
    from tests.contract.record_store import Bench


async def account_of(bench: Bench) -> Account:
    """The account as it stands, held against the log's offsets; every bucket's sums hold as well."""
    tally = await tally_of(bench, buckets=True)
    account = draw(tally, bench.desk.bounds())
    by_day = total(of_bucket(one) for one in tally.buckets)
    for one in map(of_bucket, tally.buckets):
        assert one.accepted == one.kept + one.duplicates + one.variants + one.dead
        assert one.targets == one.erased + one.already_gone + one.residue + one.expired + one.open
    for name in ("kept", "duplicates", "variants", "dead", "gaps", "parts", "parts_kept", "parts_lost"):
        assert getattr(by_day, name) == getattr(account, name), name
    assert by_day.accepted == account.accepted - account.unprocessed - account.lost
    return account


async def everything(bench: Bench) -> None:
    """A little of all there is, erased at the provider where it was kept."""
    desk = bench.desk
    first = desk.image("media-1", native="wamid.1", caption="The windscreen")
    variant = desk.image("media-2", native="wamid.1", caption="The windscreen, again")
    album = desk.image("media-3", "media-4")
    text = desk.text()
    await keep(bench, first, variant, album, text, text, desk.status(text), desk.gap())
    desk.time.pass_(minutes=20)
    await keep(
        bench, desk.kept(first), desk.kept(variant), desk.kept(album, 1), desk.lost(album, 2, reason="too_large")
    )
    await bench.store.keep([desk.die(desk.text()), desk.arrive(desk.status())])
    receipts = [desk.receipt(one.command.target_id, ErasureOutcome.ERASED) for one in await claim(bench)]
    await keep(bench, *receipts)


class AccountContract:
    """Counted from rows, in one snapshot."""

    async def test_nothing_is_an_account_that_closes(self, bench: Bench) -> None:
        account = await account_of(bench)
        assert (account.accepted, account.problems()) == (0, [])

    async def test_tenants_whose_accounts_have_one_name_are_counted_apart_in_one_batch(self, bench: Bench) -> None:
        other = Desk(2, tenant="other", account=bench.desk.sealer.account)
        text = other.text()
        batch = [bench.desk.arrive(bench.desk.text()), other.arrive(text), other.arrive(text)]
        await bench.store.keep(batch)
        counted = [
            [(one.entries, one.kept, one.duplicates) for one in tally.buckets]
            for tally in [await bench.store.tally(tenant, LOG, buckets=True) for tenant in (TENANT, "other")]
        ]
        assert counted == [[(1, 1, 0)], [(2, 1, 1)]]

    async def test_a_little_of_everything_closes(self, bench: Bench) -> None:
        await everything(bench)
        account = await account_of(bench)
        assert account.problems() == []
        assert (account.accepted, account.kept, account.duplicates, account.variants) == (9, 6, 1, 1)
        assert (account.dead, account.unprocessed, account.lost) == (1, 0, 0)
        assert dict(account.gaps_by_cause) == {"dead": 1, "undelivered": 1, "outbound_unseen": 1}
        assert (account.parts, account.parts_kept, account.parts_lost) == (4, 3, 1)
        assert (account.targets, account.erased, account.residue, account.open) == (4, 3, 1, 0)

    async def test_a_record_taken_away_by_hand_shows(self, bench: Bench) -> None:
        await everything(bench)
        text = bench.desk.text()
        await keep(bench, text)
        assert (await account_of(bench)).problems() == []
        await bench.forget_record(text.envelope.record_id)
        assert draw(await tally_of(bench), bench.desk.bounds()).problems() != []

    async def test_a_record_with_parts_taken_away_by_hand_shows(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo))
        (claimed,) = await claim(bench)
        await keep(bench, desk.receipt(claimed.command.target_id, ErasureOutcome.ERASED))
        assert (await account_of(bench)).problems() == []
        await bench.forget_record(photo.envelope.record_id)
        tally = await tally_of(bench)
        assert (tally.parts, tally.parts_kept, tally.targets) == (0, 0, 0)
        problems = draw(tally, desk.bounds()).problems()
        assert [one.split()[0] for one in problems] == ["accepted", "targets"]

    async def test_a_target_taken_away_by_hand_shows(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo, reason="too_large"))
        assert (await account_of(bench)).problems() == []
        await bench.forget_target(target_of(photo))
        tally = await tally_of(bench, buckets=True)
        assert [one.split()[0] for one in draw(tally, desk.bounds()).problems()] == ["targets"]
        assert of_bucket(tally.buckets[0]).problems() != []

    async def test_a_result_taken_away_by_hand_shows(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo, reason="too_large"))
        await bench.forget_results(photo.envelope.record_id)
        assert [one.split()[0] for one in (await account_of(bench)).problems()] == ["parts_open"]

    async def test_what_is_not_processed_yet_is_counted_by_the_log_alone(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        desk.arrive(desk.text())
        account = await account_of(bench)
        assert (account.accepted, account.kept, account.unprocessed) == (2, 1, 1)

    async def test_an_entry_set_aside_is_a_dead_letter_and_a_gap(self, bench: Bench) -> None:
        desk = bench.desk
        entry = desk.die(desk.text())
        (answer,) = await bench.store.keep([entry])
        assert (answer.outcome, answer.keep_seq) == ("dead", 1)
        account = await account_of(bench)
        assert (account.kept, account.dead, dict(account.gaps_by_cause)) == (0, 1, {"dead": 1})
        gap_id = entry.record.envelope.record_id
        assert await bench.store.record(TENANT, gap_id) is not None
        assert list(await bench.store.dead_letters(TENANT)) == [
            DeadEntry(
                tenant=TENANT,
                topic=MESSAGES.topic,
                partition=0,
                offset=0,
                gap_record_id=gap_id,
                code="unstorable",
                attempts=1,
                at=desk.time.now,
                state="open",
            )
        ]
        assert list(await bench.store.dead_letters("other")) == []
        assert len(await bench.store.dead_letters()) == 1

    async def test_a_dead_letter_tried_again_settles_once_and_the_account_closes_throughout(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        dead = desk.die(record)
        await bench.store.keep([dead, desk.arrive(desk.text())])
        assert (await account_of(bench)).problems() == []
        desk.time.pass_(minutes=40)
        assert outcomes(await bench.store.keep([desk.die(record, redrive_of=dead)])) == ["dead"]
        account = await account_of(bench)
        assert (account.problems(), account.accepted, account.dead, account.gaps) == ([], 2, 1, 1)
        (letter,) = await bench.store.dead_letters(TENANT)
        assert letter.at == desk.time.now
        assert letter.gap_record_id == dead.record.envelope.record_id
        assert outcomes(await bench.store.keep([desk.arrive(record, redrive_of=dead)])) == ["stored"]
        account = await account_of(bench)
        assert (account.problems(), account.accepted, account.kept, account.dead, account.gaps) == ([], 2, 2, 0, 0)
        assert outcomes(await bench.store.keep([desk.arrive(record, redrive_of=dead)])) == ["duplicate"]
        assert outcomes(await bench.store.keep([desk.die(record, redrive_of=dead)])) == ["dead"]
        assert await account_of(bench) == account
        assert list(await bench.store.dead_letters(TENANT)) == []
        (settled,) = await bench.store.dead_letters(TENANT, settled=True)
        assert settled.state == "settled"

    async def test_a_dead_letter_that_turns_out_a_duplicate_counts_as_one(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        dead = desk.die(record)
        await bench.store.keep([dead, desk.arrive(record)])
        await bench.store.keep([desk.arrive(record, redrive_of=dead)])
        account = await account_of(bench)
        assert (account.problems(), account.accepted, account.kept, account.duplicates) == ([], 2, 1, 1)

    async def test_a_second_try_that_differs_is_a_variant_and_the_account_closes(self, bench: Bench) -> None:
        desk = bench.desk
        record, read_otherwise = desk.text("At nine", native="wamid.1"), desk.text("At ten", native="wamid.1")
        dead = desk.die(record)
        await bench.store.keep([dead])
        tries = [desk.arrive(record, redrive_of=dead), desk.arrive(read_otherwise, redrive_of=dead)]
        assert outcomes(await bench.store.keep(tries)) == ["stored", "variant"]
        account = await account_of(bench)
        assert (account.problems(), account.kept, account.variants, account.dead) == ([], 1, 1, 0)

    async def test_replaying_dead_letters_and_redrives_changes_nothing(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        dead = desk.die(record)
        batch = [dead, desk.arrive(record, redrive_of=dead), desk.arrive(record, redrive_of=dead)]
        await bench.store.keep(batch)
        before = await account_of(bench)
        await bench.store.keep(batch)
        assert await account_of(bench) == before
        assert before.problems() == []

    async def test_dead_results_are_gaps_and_stand_outside_the_sum(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await bench.store.keep([desk.arrive(photo), desk.die(desk.kept(photo))])
        account = await account_of(bench)
        assert (account.dead, dict(account.gaps_by_cause)) == (0, {"dead": 1})
        assert [one.split()[0] for one in account.problems()] == ["parts_open", "open"]

    async def test_a_status_of_a_message_nobody_kept_is_a_gap_until_it_comes(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        await keep(bench, desk.status(record), desk.status(record, "read"))
        assert dict((await account_of(bench)).gaps_by_cause) == {"outbound_unseen": 1}
        await keep(bench, record)
        assert dict((await account_of(bench)).gaps_by_cause) == {}

    async def test_other_tenants_and_logs_are_left_out(self, bench: Bench) -> None:
        other = Desk(2, tenant="other")
        await bench.store.keep([other.arrive(other.image()), other.die(other.text()), other.arrive(other.status())])
        assert (await account_of(bench)).gaps == 0
        assert (await bench.store.tally("other", "another log")).kept == 0
        theirs = await bench.store.tally("other", LOG)
        assert (theirs.kept, theirs.dead, theirs.parts, theirs.targets) == (2, 1, 1, 1)
        assert {place.topic for place in theirs.progress} == {
            topic_name("other", stream) for stream in (Stream.MESSAGES, Stream.STATUSES)
        }

    @pytest.mark.parametrize("minutes", [0, 14, 15, 44])
    async def test_buckets_are_quarters_of_an_hour_by_account(self, bench: Bench, minutes: int) -> None:
        desk = bench.desk
        start = desk.time.now
        desk.time.pass_(minutes=minutes)
        await keep(bench, desk.text(), desk.text())
        (bucket,) = (await tally_of(bench, buckets=True)).buckets
        assert (bucket.account, bucket.entries, bucket.kept) == (desk.sealer.account, 2, 2)
        assert (bucket.start - start).total_seconds() / 60 == minutes // 15 * 15

    async def test_the_place_of_a_dead_letter_is_its_entrys(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.text())
        dead = desk.die(desk.text())
        await bench.store.keep([dead])
        (letter,) = await bench.store.dead_letters()
        assert ((letter.topic, letter.partition), letter.offset) == ((where(dead)[0].topic, 0), where(dead)[1])
