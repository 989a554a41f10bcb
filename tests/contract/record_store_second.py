"""What every record store promises while it is the second of two that are written: another store's relay commands."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from broker.core.model import ErasureOutcome
from tests.records import TENANT, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.model import Record
    from broker.core.ports import ClaimedTarget
    from tests.contract.record_store import Bench


async def keep(bench: Bench, *records: Record) -> None:
    for one in records:
        await bench.store.keep([bench.desk.arrive(one)])


async def claim(bench: Bench, limit: int = 10) -> Sequence[ClaimedTarget]:
    return await bench.store.claim_due(now=bench.desk.time.now, limit=limit, lease=timedelta(minutes=5))


async def states(bench: Bench) -> list[str]:
    return [one.state async for one in bench.store.targets(TENANT)]


class SecondStoreContract:
    """Receipts for commands that this store did not make."""

    @pytest.mark.parametrize(
        ("outcome", "after"),
        [
            (ErasureOutcome.ERASED, "erased"),
            (ErasureOutcome.BLOCKED, "blocked"),
            (ErasureOutcome.RETRY, "due"),
            (ErasureOutcome.UNANSWERED, "due"),
        ],
    )
    @pytest.mark.parametrize("in_one_batch", [True, False])
    async def test_a_receipt_for_a_command_of_another_store_counts(
        self, bench: Bench, outcome: str, after: str, in_one_batch: bool
    ) -> None:
        desk, photo = bench.desk, bench.desk.image()
        receipt = desk.receipt(target_of(photo), outcome, attempt=3)
        if in_one_batch:
            await bench.store.keep([desk.arrive(one) for one in (photo, desk.kept(photo), receipt)])
        else:
            await keep(bench, photo, desk.kept(photo), receipt)
        desk.time.pass_(minutes=20)
        assert await states(bench) == [after]
        if after == "due":
            (claimed,) = await claim(bench)
            assert claimed.command.attempt == 4

    @pytest.mark.parametrize("outcome", [ErasureOutcome.ERASED, ErasureOutcome.BLOCKED, ErasureOutcome.RETRY])
    async def test_the_order_in_which_they_come_makes_no_difference(self, bench: Bench, outcome: str) -> None:
        desk = bench.desk
        first, second, third = desk.image(), desk.image(), desk.image()
        for photo in (first, second, third):
            result, receipt = desk.kept(photo), desk.receipt(target_of(photo), outcome)
            orders = {
                first.envelope.record_id: (photo, result, receipt),
                second.envelope.record_id: (receipt, photo, result),
                third.envelope.record_id: (photo, receipt, result),
            }
            await keep(bench, *orders[photo.envelope.record_id])
        assert len(set(await states(bench))) == 1
        desk.time.pass_(hours=1)
        assert {one.command.attempt for one in await claim(bench)} == (
            {2} if outcome == ErasureOutcome.RETRY else set()
        )

    @pytest.mark.parametrize("outcome", [ErasureOutcome.RETRY, ErasureOutcome.UNANSWERED])
    @pytest.mark.parametrize("in_one_batch", [True, False])
    async def test_a_target_waits_for_its_bytes_though_its_receipt_came_first(
        self, bench: Bench, outcome: str, in_one_batch: bool
    ) -> None:
        desk, photo = bench.desk, bench.desk.image()
        receipt = desk.receipt(target_of(photo), outcome)
        if in_one_batch:
            await bench.store.keep([desk.arrive(one) for one in (receipt, photo)])
        else:
            await keep(bench, receipt, photo)
        assert await states(bench) == ["waiting"]
        await keep(bench, desk.kept(photo))
        assert await states(bench) == ["due"]

    async def test_a_receipt_that_was_heard_is_not_heard_again(self, bench: Bench) -> None:
        desk = bench.desk
        photo = desk.image("media-1")
        await keep(bench, desk.receipt(target_of(photo), ErasureOutcome.BLOCKED), photo, desk.kept(photo))
        assert await bench.store.unblock(TENANT, [target_of(photo)]) == 1
        await keep(bench, desk.image("media-1", caption="the same again"))
        assert await states(bench) == ["due"]

    async def test_no_target_is_claimed_where_none_is_wanted(self, bench: Bench) -> None:
        desk, photo = bench.desk, bench.desk.image()
        lost = desk.image()
        await keep(bench, photo, desk.kept(photo), lost, desk.lost(lost, reason="too_large"))
        assert list(await claim(bench, 0)) == []
        desk.time.pass_(days=8)
        assert list(await claim(bench, 0)) == []
        assert sorted(await states(bench)) == ["due", "expired"]
