from __future__ import annotations

import pytest

from broker.core.errors import LogChangedError
from broker.core.ports import Bounds
from broker.core.topics import TopicPartition
from broker.log.kafka.cursors import Cursor, start_of

PLACE = TopicPartition("custody.acme.messages.v1", 3)


def cursor(position: int, *known: int | None) -> Cursor:
    return Cursor(place=PLACE, position=position, known=frozenset(known))


@pytest.mark.parametrize(
    ("committed", "wanted", "first", "expected"),
    [
        (None, None, 7, 7),
        (9, None, 7, 9),
        (None, 8, 7, 8),
        (9, 8, 7, 8),
        (8, 9, 7, 8),
        (3, None, 7, 7),
        (None, 0, 7, 7),
        (20, 20, 7, 20),
    ],
)
def test_a_reader_starts_at_the_lower_one_and_never_at_the_end_by_itself(
    committed: int | None, wanted: int | None, first: int, expected: int
) -> None:
    assert start_of(PLACE, committed=committed, wanted=wanted, bounds=Bounds(first=first, end=20)) == expected


@pytest.mark.parametrize(("committed", "wanted"), [(21, None), (None, 21), (30, 21)])
def test_a_start_past_the_end_is_named(committed: int | None, wanted: int | None) -> None:
    with pytest.raises(LogChangedError, match=r"custody\.acme\.messages\.v1\[3\] ends at 20"):
        start_of(PLACE, committed=committed, wanted=wanted, bounds=Bounds(first=0, end=20))


def test_an_ownership_goes_on_while_the_groups_offset_stands_where_it_was_left() -> None:
    one = cursor(5, None)
    assert one.goes_on(None)
    assert not one.goes_on(5)
    one.committing(8)
    assert one.goes_on(None)  # the answer has not come: either may be so
    assert one.goes_on(8)
    one.committed(8)
    assert one.goes_on(8)
    assert not one.goes_on(None)


def test_a_refused_commit_leads_back_to_the_last_one() -> None:
    one = cursor(5, None)
    one.position = 9
    one.go_back()
    assert one.position == 5
    one.committed(7)
    one.position = 12
    one.go_back()
    assert one.position == 7


def test_a_commit_below_its_ownership_is_not_its_own() -> None:
    one = cursor(5, 5)
    assert not one.covers(4)
    assert one.covers(5)
    one.seek(2)
    assert one.covers(2)


def test_stale_entries_are_not_handed_out_and_holes_are_passed() -> None:
    one = cursor(5, 5)
    assert not one.accepts(4)
    assert one.accepts(5)
    assert one.accepts(6)
