"""Where a member stands in a partition."""

from __future__ import annotations

from broker.core.topics import TopicPartition
from broker.log.postgres.cursors import Cursor, to_give_back


def cursor(number: int = 0, *, at: int | None = None, in_hand: int = 0, paused: bool = False) -> Cursor:
    one = Cursor(place=TopicPartition("custody.acme.messages.v1", number), partition_id=number, epoch=1)
    if at is not None:
        one.start(at)
        one.advance(at, at + in_hand)
    one.paused = paused
    return one


def test_it_is_idle_until_entries_are_handed_out_and_again_when_they_are_committed() -> None:
    one = cursor(at=5)
    assert one.idle
    assert one.advance(5, 8)
    assert not one.idle
    one.commit(7)
    assert not one.idle
    one.commit(8)
    assert one.idle


def test_what_was_fetched_while_it_was_paused_or_moved_is_not_handed_out() -> None:
    one = cursor(at=5)
    one.paused = True
    assert not one.advance(5, 8)
    one.paused = False
    one.start(2)
    assert not one.advance(5, 8)
    assert one.position == 2


def test_a_commit_from_before_its_start_is_a_former_owners() -> None:
    one = cursor(at=20, in_hand=5)
    assert not one.covers(10)
    assert one.covers(20)
    one.start(8)
    assert one.covers(10)


def test_idle_cursors_are_given_back_first_and_paused_ones_never() -> None:
    busy, idle, paused = cursor(1, at=0, in_hand=3), cursor(2, at=4), cursor(3, at=0, paused=True)
    assert to_give_back(1, [busy, idle, paused]) == ([idle], [])
    assert to_give_back(2, [busy, idle, paused]) == ([idle], [busy])
    assert to_give_back(3, [busy, idle, paused]) == ([idle], [busy])
    assert to_give_back(0, [busy]) == ([], [])
