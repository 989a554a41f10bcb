"""What the log lost, by its bounds and the first entry it still gives."""

from __future__ import annotations

import pytest

from broker.core.losses import loss_at
from broker.core.ports import Bounds, Loss, Progress
from broker.core.topics import TopicPartition
from tests.records import LOG

PLACE = TopicPartition("custody.acme.messages.v1", 0)


def lost(next_: int, bounds: Bounds, following: int | None) -> tuple[int, int] | None:
    found = loss_at(PLACE, log=LOG, progress=Progress(start=0, next=next_), bounds=bounds, following=following)
    assert found is None or found == Loss(log=LOG, place=PLACE, first=found.first, end=found.end)
    return None if found is None else (found.first, found.end)


@pytest.mark.parametrize(
    ("next_", "bounds", "following", "expected"),
    [
        (4, Bounds(first=9, end=20), 9, (4, 9)),
        (4, Bounds(first=0, end=20), 7, (4, 7)),
        (4, Bounds(first=9, end=9), None, (4, 9)),
        (4, Bounds(first=0, end=20), 4, None),
        (4, Bounds(first=4, end=20), 4, None),
        (4, Bounds(first=0, end=4), None, None),
        (9, Bounds(first=9, end=9), None, None),
        (4, Bounds(first=0, end=3), None, None),
    ],
    ids=[
        "retention passed it",
        "a hole in the middle",
        "nothing is left",
        "all there",
        "just there",
        "all kept",
        "all kept and gone",
        "the log went back",
    ],
)
def test_what_is_missing_from_progress_on_is_lost(
    next_: int, bounds: Bounds, following: int | None, expected: tuple[int, int] | None
) -> None:
    assert lost(next_, bounds, following) == expected


def test_a_log_that_gives_nothing_although_it_has_entries_lost_nothing() -> None:
    assert lost(4, Bounds(first=9, end=20), None) is None
