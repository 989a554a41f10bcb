"""The account: sums that close, and that stop closing when anything is missing."""

from dataclasses import replace

import pytest

from broker.core.account import Account, draw, total
from broker.core.ports import Bounds, Progress, Tally
from broker.core.topics import TopicPartition

PLACE = TopicPartition("custody.acme.messages.v1", 0)
CLOSED = Tally(
    progress={PLACE: Progress(start=0, next=10, duplicates=2, redriven=1)},
    kept=5,
    variants=1,
    dead=1,
    gaps={"provider_dropped": 1, "dead": 1},
    parts=3,
    parts_kept=2,
    parts_lost={"gone": 1},
    targets=3,
    target_states={"erased": 1, "already_gone": 1, "residue": 1},
)
BOUNDS = {PLACE: Bounds(first=0, end=10)}


def test_a_settled_account_has_no_problems() -> None:
    account = draw(CLOSED, BOUNDS)
    assert account.accepted == 9
    assert account.problems() == []


@pytest.mark.parametrize(
    "tampered",
    [
        replace(CLOSED, kept=4),
        replace(CLOSED, variants=0),
        replace(CLOSED, dead=0),
        replace(CLOSED, parts_kept=1),
        replace(CLOSED, targets=4),
        replace(CLOSED, target_states={"erased": 1, "already_gone": 1}),
        replace(CLOSED, target_states={"erased": 1, "already_gone": 1, "due": 1}),
        replace(CLOSED, progress={}),
    ],
    ids=["record", "variant", "dead", "part", "named", "target", "open", "progress"],
)
def test_anything_missing_shows(tampered: Tally) -> None:
    assert draw(tampered, BOUNDS).problems()


def test_entries_past_progress_are_unprocessed() -> None:
    account = draw(CLOSED, {PLACE: Bounds(first=0, end=12)})
    assert account.unprocessed == 2
    assert account.problems() == ["unprocessed is 2, not 0"]


def test_a_partition_nobody_kept_from_counts_from_0_whatever_of_it_is_left() -> None:
    other = TopicPartition("custody.acme.messages.v1", 1)
    account = draw(CLOSED, {**BOUNDS, other: Bounds(first=4, end=6)})
    assert (account.accepted, account.unprocessed) == (15, 6)


def test_accounts_add_up() -> None:
    account = draw(CLOSED, BOUNDS)
    both = total([account, account])
    assert both.accepted == 18
    assert both.gaps_by_cause == {"provider_dropped": 2, "dead": 2}
    assert total([]) == Account()
