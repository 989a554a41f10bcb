"""What every record store promises of parts, targets and receipts: kept before erased, and each object once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from broker.core.model import ErasureOutcome
from tests.contract.record_store import outcomes, tally_of
from tests.records import MEDIA_LIFE, TENANT, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.model import Record
    from broker.core.ports import ClaimedTarget, KeptPart
    from tests.contract.record_store import Bench

LEASE = timedelta(minutes=5)


async def keep(bench: Bench, *records: Record) -> None:
    """Keeps records as one batch."""
    await bench.store.keep([bench.desk.arrive(one) for one in records])


async def claim(bench: Bench, limit: int = 100) -> Sequence[ClaimedTarget]:
    return await bench.store.claim_due(now=bench.desk.time.now, limit=limit, lease=LEASE)


async def states(bench: Bench) -> dict[str, str]:
    """The state of each target, by target id."""
    return {one.target_id: one.state async for one in bench.store.targets(TENANT)}


async def state(bench: Bench) -> str:
    """The state of the one target there is."""
    (only,) = (await states(bench)).values()
    return only


async def kept_parts(bench: Bench) -> list[KeptPart]:
    parts = [one async for one in bench.store.kept_parts(TENANT)]
    return sorted(parts, key=lambda one: (one.record_id, one.number))


async def commanded(bench: Bench) -> Record:
    """A photo whose bytes are kept and whose erasure was commanded once."""
    photo = bench.desk.image()
    await keep(bench, photo, bench.desk.kept(photo))
    assert len(await claim(bench)) == 1
    return photo


class TargetContract:
    """From waiting to erased, and everything that may come between."""

    async def test_a_target_waits_until_its_bytes_are_kept(self, bench: Bench) -> None:
        photo = bench.desk.image("media-1")
        await keep(bench, photo)
        assert await state(bench) == "waiting"
        assert list(await claim(bench)) == []
        await keep(bench, bench.desk.kept(photo))
        assert await state(bench) == "due"
        (claimed,) = await claim(bench)
        command = claimed.command
        assert (command.tenant, command.target_id, command.object_kind) == (TENANT, target_of(photo), "media")
        assert (command.account, command.provider) == (photo.envelope.account, photo.envelope.provider)
        assert (command.object_id, command.attempt) == ("media-1", 1)
        assert (command.part_record_ids, command.commanded_at) == ((photo.envelope.record_id,), bench.desk.time.now)
        assert claimed.conversation == photo.envelope.conversation
        assert await state(bench) == "commanded"

    @pytest.mark.parametrize("in_one_batch", [True, False])
    async def test_a_result_may_come_before_its_record(self, bench: Bench, in_one_batch: bool) -> None:
        photo = bench.desk.image()
        result = bench.desk.kept(photo)
        if in_one_batch:
            await keep(bench, result, photo)
        else:
            await keep(bench, result)
            await keep(bench, photo)
        assert await state(bench) == "due"

    async def test_a_kept_part_tells_where_its_bytes_are_and_since_when(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo)
        now = desk.time.pass_(minutes=1)
        await keep(bench, desk.kept(photo, data=b"some bytes"))
        (part,) = await kept_parts(bench)
        assert (part.record_id, part.number, part.target_id) == (photo.envelope.record_id, 1, target_of(photo))
        assert (part.size, part.kept_at, part.shared) == (10, now, False)
        assert part.place == f"{TENANT}/{photo.envelope.record_id}/1"

    async def test_a_variant_has_parts_of_its_own(self, bench: Bench) -> None:
        desk = bench.desk
        first = desk.image("media-1", native="wamid.1", caption="The windscreen")
        other = desk.image("media-2", native="wamid.1", caption="The other one")
        await keep(bench, first, other)
        await keep(bench, desk.kept(other))
        assert await states(bench) == {target_of(first): "waiting", target_of(other): "due"}
        (part,) = await kept_parts(bench)
        assert part.record_id != first.envelope.record_id
        (claimed,) = await claim(bench)
        assert claimed.command.part_record_ids == (part.record_id,)

    async def test_each_part_of_a_record_is_due_by_itself(self, bench: Bench) -> None:
        desk, album = bench.desk, bench.desk.image("media-1", "media-2")
        await keep(bench, album, desk.kept(album, 2))
        assert await states(bench) == {target_of(album, 1): "waiting", target_of(album, 2): "due"}

    async def test_two_records_of_one_object_share_its_bytes(self, bench: Bench) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-1")
        await keep(bench, first, second)
        assert await state(bench) == "waiting"
        await keep(bench, desk.kept(first))
        assert await state(bench) == "due"
        parts = await kept_parts(bench)
        assert {one.place for one in parts} == {f"{TENANT}/{first.envelope.record_id}/1"}
        assert {one.record_id: one.shared for one in parts} == {
            first.envelope.record_id: False,
            second.envelope.record_id: True,
        }
        (claimed,) = await claim(bench)
        assert set(claimed.command.part_record_ids) == {first.envelope.record_id, second.envelope.record_id}

    async def test_the_first_result_that_kept_the_bytes_counts(self, bench: Bench) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-1")
        await keep(bench, first, second, desk.kept(first))
        await keep(bench, desk.kept(second))
        assert {one.place for one in await kept_parts(bench)} == {f"{TENANT}/{first.envelope.record_id}/1"}
        assert (await tally_of(bench)).parts_kept == 2

    async def test_a_record_that_names_an_erased_object_gets_the_bytes_kept_before(self, bench: Bench) -> None:
        desk = bench.desk
        first = desk.image("media-1")
        await keep(bench, first, desk.kept(first))
        await claim(bench)
        await keep(bench, desk.receipt(target_of(first), ErasureOutcome.ERASED))
        await keep(bench, desk.image("media-1"))
        assert await state(bench) == "erased"
        assert [one.place for one in await kept_parts(bench)] == [f"{TENANT}/{first.envelope.record_id}/1"] * 2

    @pytest.mark.parametrize("reason", ["gone", "expired"])
    async def test_bytes_kept_for_another_part_make_good_a_loss(self, bench: Bench, reason: str) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-1")
        await keep(bench, first, second, desk.lost(second, reason=reason), desk.kept(first))
        tally = await tally_of(bench)
        assert (tally.parts, tally.parts_kept, dict(tally.parts_lost)) == (2, 2, {})
        assert await state(bench) == "due"

    async def test_bytes_that_were_not_those_announced_stay_lost(self, bench: Bench) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-1")
        await keep(bench, first, second, desk.lost(second, reason="digest_mismatch"), desk.kept(first))
        tally = await tally_of(bench)
        assert (tally.parts_kept, dict(tally.parts_lost)) == (1, {"digest_mismatch": 1})
        assert await state(bench) == "due"

    async def test_what_is_kept_later_overrides_a_loss(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo, reason="too_large"))
        assert dict((await tally_of(bench)).parts_lost) == {"too_large": 1}
        await keep(bench, desk.kept(photo))
        tally = await tally_of(bench)
        assert (tally.parts_kept, dict(tally.parts_lost)) == (1, {})

    async def test_a_lost_part_leaves_residue_until_the_providers_day(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo, reason="too_large"))
        assert await state(bench) == "residue"
        desk.time.now += MEDIA_LIFE - timedelta(seconds=1)
        await claim(bench)
        assert await state(bench) == "residue"
        desk.time.pass_(seconds=1)
        await claim(bench)
        assert await state(bench) == "expired"

    async def test_what_is_gone_is_gone_only_with_a_witness(self, bench: Bench) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-2")
        await keep(bench, first, second, desk.lost(first, witnessed=True), desk.lost(second))
        assert await states(bench) == {target_of(first): "already_gone", target_of(second): "blocked"}

    async def test_a_person_unblocks(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo))
        assert await bench.store.unblock("other", [target_of(photo)]) == 0
        assert await bench.store.unblock(TENANT, [target_of(photo), "tgt_none"]) == 1
        assert await bench.store.unblock(TENANT, [target_of(photo)]) == 0

    async def test_what_was_never_kept_is_not_erased_though_a_person_unblocks_it(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo))
        await bench.store.unblock(TENANT, [target_of(photo)])
        assert list(await claim(bench)) == []
        assert await state(bench) == "residue"

    @pytest.mark.parametrize(
        ("reason", "witnessed", "before"),
        [("too_large", False, "residue"), ("gone", True, "already_gone"), ("gone", False, "blocked")],
    )
    async def test_a_lost_part_that_is_kept_after_all_is_kept_and_erased(
        self, bench: Bench, reason: str, witnessed: bool, before: str
    ) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo, reason=reason, witnessed=witnessed))
        assert await state(bench) == before
        (lost,) = [one async for one in bench.store.unkept_parts(TENANT)]
        assert (lost.record_id, lost.number, lost.target_id) == (photo.envelope.record_id, 1, target_of(photo))
        assert (lost.state, lost.reason, lost.media_kind, lost.since) == ("lost", reason, "image", desk.time.now)
        await keep(bench, desk.kept(photo))
        assert await state(bench) == "due"
        assert [one async for one in bench.store.unkept_parts(TENANT)] == []
        assert len(await kept_parts(bench)) == 1
        (claimed,) = await claim(bench)
        assert claimed.command.part_record_ids == (photo.envelope.record_id,)
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.ERASED))
        assert await state(bench) == "erased"

    async def test_a_part_without_a_result_is_open(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo)
        (part,) = [one async for one in bench.store.unkept_parts(TENANT)]
        assert (part.record_id, part.number) == (photo.envelope.record_id, 1)
        assert (part.state, part.reason, part.since) == ("open", "", desk.time.now)

    async def test_a_loss_that_comes_again_changes_nothing(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo))
        await keep(bench, desk.lost(photo, reason="expired"))
        assert await state(bench) == "due"
        assert (await tally_of(bench)).parts_kept == 1
        assert [one async for one in bench.store.unkept_parts(TENANT)] == []

    async def test_what_was_commanded_is_not_commanded_again_for_another_part_that_is_kept(self, bench: Bench) -> None:
        desk, photo = bench.desk, await commanded(bench)
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.BLOCKED))
        (named,) = [one.object_id async for one in bench.store.targets(TENANT)]
        await keep(bench, desk.image(named))
        assert len(await kept_parts(bench)) == 2
        assert await state(bench) == "blocked"

    async def test_a_person_takes_what_is_blocked_for_gone(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.lost(photo))
        assert await bench.store.accept_gone("other", [target_of(photo)]) == 0
        assert await bench.store.accept_gone(TENANT, [target_of(photo), "tgt_none"]) == 1
        assert await state(bench) == "already_gone"
        assert await bench.store.accept_gone(TENANT, [target_of(photo)]) == 0
        assert list(await claim(bench)) == []

    async def test_nothing_is_taken_for_gone_while_a_part_that_names_it_is_open(self, bench: Bench) -> None:
        desk = bench.desk
        photo, again = desk.image("media-1"), desk.image("media-1")
        await keep(bench, photo, desk.lost(photo))
        await keep(bench, again)
        assert await bench.store.accept_gone(TENANT, [target_of(photo)]) == 0
        assert await state(bench) == "blocked"
        await keep(bench, desk.lost(again))
        assert await bench.store.accept_gone(TENANT, [target_of(photo)]) == 1

    @pytest.mark.parametrize("reason", ["too_large", "kept"])
    async def test_only_what_is_blocked_is_taken_for_gone(self, bench: Bench, reason: str) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo) if reason == "kept" else desk.lost(photo, reason=reason))
        before = await state(bench)
        assert await bench.store.accept_gone(TENANT, [target_of(photo)]) == 0
        assert await state(bench) == before

    async def test_nothing_is_due_before_the_wait_after_the_keep(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        patient = desk.arrive(photo, policy=desk.policy(photo, erase_after_seconds=3600))
        await bench.store.keep([patient, desk.arrive(desk.kept(photo))])
        assert await state(bench) == "due"
        desk.time.pass_(seconds=3599)
        assert list(await claim(bench)) == []
        desk.time.pass_(seconds=1)
        assert len(await claim(bench)) == 1

    async def test_the_first_policy_that_named_an_object_holds(self, bench: Bench) -> None:
        desk = bench.desk
        first, second = desk.image("media-1"), desk.image("media-1")
        await bench.store.keep([desk.arrive(first, policy=desk.policy(first, erase_after_seconds=3600))])
        await keep(bench, second, desk.kept(first))
        assert list(await claim(bench)) == []

    async def test_claims_are_limited_and_take_the_longest_due_first(self, bench: Bench) -> None:
        desk = bench.desk
        photos = []
        for _ in range(5):
            photos.append(desk.image())
            await keep(bench, photos[-1], desk.kept(photos[-1]))
            desk.time.pass_(seconds=1)
        first, rest = await claim(bench, 2), await claim(bench)
        assert [one.command.target_id for one in (*first, *rest)] == [target_of(one) for one in photos]
        assert list(await claim(bench)) == []

    async def test_two_relays_at_once_never_claim_one_target(self, bench: Bench) -> None:
        desk = bench.desk
        photos = [desk.image() for _ in range(40)]
        await keep(bench, *photos, *(desk.kept(one) for one in photos))
        claims = await asyncio.gather(*(claim(bench, 15) for _ in range(4)))
        ids = [one.command.target_id for some in claims for one in some]
        assert len(ids) == len(set(ids))
        assert len(ids) + len(await claim(bench)) == 40

    async def test_a_lease_that_is_over_is_claimed_again(self, bench: Bench) -> None:
        await commanded(bench)
        bench.desk.time.now += LEASE - timedelta(seconds=1)
        assert list(await claim(bench)) == []
        bench.desk.time.pass_(seconds=1)
        (again,) = await claim(bench)
        assert again.command.attempt == 2

    async def test_a_claim_looks_once_more_whether_everything_is_kept(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo))
        await bench.forget_results(photo.envelope.record_id)
        assert list(await claim(bench)) == []
        assert await state(bench) == "waiting"

    async def test_a_claim_looks_once_more_whether_the_record_is_there(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo))
        await bench.forget_record(photo.envelope.record_id)
        assert list(await claim(bench)) == []

    async def test_what_stays_open_well_past_the_providers_day_is_expired(self, bench: Bench) -> None:
        desk = bench.desk
        await keep(bench, desk.image())
        desk.time.now += MEDIA_LIFE + timedelta(hours=23)
        await claim(bench)
        assert await state(bench) == "waiting"
        desk.time.pass_(hours=1)
        await claim(bench)
        assert await state(bench) == "expired"

    async def test_what_is_kept_is_commanded_also_past_the_deadline_that_we_reckon(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        await keep(bench, photo, desk.kept(photo))
        desk.time.now += MEDIA_LIFE + timedelta(hours=23, minutes=58)
        assert len(await claim(bench)) == 1
        desk.time.pass_(minutes=4)
        await claim(bench)
        assert await state(bench) == "commanded"
        desk.time.pass_(minutes=4)
        await claim(bench)
        assert await state(bench) == "commanded"

    async def test_a_record_and_its_result_kept_at_once_leave_no_target_waiting(self, bench: Bench) -> None:
        desk = bench.desk
        for _ in range(25):
            photos = [desk.image() for _ in range(4)]
            entries = [desk.arrive(one) for one in photos]
            results = [desk.arrive(desk.kept(one)) for one in photos]
            answers = await asyncio.gather(bench.store.keep(entries), bench.store.keep(results))
            assert outcomes(answers[0]) == ["stored"] * 4
        assert set((await states(bench)).values()) == {"due"}


class ReceiptContract:
    """What the provider's answers make of a target."""

    @pytest.mark.parametrize(
        ("outcome", "witnessed", "after"),
        [
            (ErasureOutcome.ERASED, False, "erased"),
            (ErasureOutcome.ABSENT, True, "already_gone"),
            (ErasureOutcome.ABSENT, False, "blocked"),
            (ErasureOutcome.BLOCKED, False, "blocked"),
            (ErasureOutcome.RETRY, False, "due"),
            (ErasureOutcome.UNANSWERED, False, "due"),
        ],
    )
    async def test_each_outcome_has_its_state(self, bench: Bench, outcome: str, witnessed: bool, after: str) -> None:
        photo = await commanded(bench)
        await keep(bench, bench.desk.receipt(target_of(photo), outcome, witnessed=witnessed))
        assert await state(bench) == after

    async def test_the_providers_wish_to_wait_is_heeded(self, bench: Bench) -> None:
        photo = await commanded(bench)
        desk = bench.desk
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.RETRY, retry_after_seconds=60))
        desk.time.pass_(seconds=59)
        assert list(await claim(bench)) == []
        desk.time.pass_(seconds=1)
        (again,) = await claim(bench)
        assert again.command.attempt == 2

    @pytest.mark.parametrize(
        ("first", "after"),
        [
            (ErasureOutcome.UNANSWERED, "erased"),
            (ErasureOutcome.RETRY, "already_gone"),
        ],
    )
    async def test_absent_is_ours_only_after_a_command_nobody_answered(
        self, bench: Bench, first: str, after: str
    ) -> None:
        photo = await commanded(bench)
        desk = bench.desk
        await keep(bench, desk.receipt(target_of(photo), first))
        desk.time.pass_(minutes=1)
        assert len(await claim(bench)) == 1
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.ABSENT, attempt=2, witnessed=True))
        assert await state(bench) == after

    async def test_absent_after_a_lease_that_ran_out_is_ours(self, bench: Bench) -> None:
        photo = await commanded(bench)
        bench.desk.time.now += LEASE
        assert len(await claim(bench)) == 1
        await keep(bench, bench.desk.receipt(target_of(photo), ErasureOutcome.ABSENT, attempt=2))
        assert await state(bench) == "erased"

    @pytest.mark.parametrize("refusal", [ErasureOutcome.BLOCKED, ErasureOutcome.ABSENT])
    async def test_absent_after_a_refusal_and_a_person_is_not_ours(self, bench: Bench, refusal: str) -> None:
        photo = await commanded(bench)
        desk = bench.desk
        await keep(bench, desk.receipt(target_of(photo), refusal))
        assert await bench.store.unblock(TENANT, [target_of(photo)]) == 1
        assert len(await claim(bench)) == 1
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.ABSENT, attempt=2, witnessed=True))
        assert await state(bench) == "already_gone"

    async def test_a_late_receipt_of_the_first_command_settles_it(self, bench: Bench) -> None:
        photo = await commanded(bench)
        bench.desk.time.now += LEASE
        await claim(bench)
        await keep(bench, bench.desk.receipt(target_of(photo), ErasureOutcome.ERASED, attempt=1))
        await keep(bench, bench.desk.receipt(target_of(photo), ErasureOutcome.ABSENT, attempt=2))
        assert await state(bench) == "erased"

    async def test_what_is_erased_stays_erased(self, bench: Bench) -> None:
        photo = await commanded(bench)
        desk = bench.desk
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.ERASED))
        for attempt, outcome in enumerate(ErasureOutcome, 2):
            await keep(bench, desk.receipt(target_of(photo), outcome, attempt=attempt))
        assert await state(bench) == "erased"
        assert list(await claim(bench)) == []

    async def test_receipts_of_one_batch_count_in_order(self, bench: Bench) -> None:
        photo = await commanded(bench)
        desk = bench.desk
        late = desk.receipt(target_of(photo), ErasureOutcome.UNANSWERED)
        final = desk.receipt(target_of(photo), ErasureOutcome.ERASED, attempt=2)
        await keep(bench, late, final)
        assert await state(bench) == "erased"

    async def test_a_receipt_for_no_target_is_kept_and_moves_nothing(self, bench: Bench) -> None:
        receipt = bench.desk.receipt("tgt_none", ErasureOutcome.ERASED)
        await keep(bench, receipt)
        assert await bench.store.record(TENANT, receipt.envelope.record_id) is not None
        assert await states(bench) == {}
