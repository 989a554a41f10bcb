"""What is made of the answers of an overloaded edge."""

from __future__ import annotations

import pytest

from benchmarks.digests import NotTheSameError
from benchmarks.edge.orders import UNANSWERED, Hits
from benchmarks.end_to_end import overload


def hits(*answers: tuple[int, int], unexplained: int = 0) -> Hits:
    """Each with its status, and its wait in milliseconds."""
    return Hits(
        started_at=0,
        seconds=1,
        cpu_seconds=0,
        sent_bytes=0,
        statuses=[status for status, _ in answers],
        wait_microseconds=[wait * 1000 for _, wait in answers],
        late_microseconds=[0] * len(answers),
        unexplained=unexplained,
    )


def test_shares_are_of_all_that_were_due() -> None:
    found = overload.shares(hits((200, 1), (503, 1), (200, 1), (UNANSWERED, 1)))

    assert found == {"200, %": 50, "503, %": 25, "429, %": 0, "refused or unanswered, %": 25}


def test_goodput_counts_what_was_taken_while_requests_still_came() -> None:
    found = hits((200, 100), (503, 100), (200, 1900), (200, 2100), (200, 1))

    assert overload.answered_in_time(found, [0, 0, 0, 0, 2]) == 2


def test_other_answers_than_those_of_an_overload_are_no_figure() -> None:
    overload.check(hits((200, 1), (503, 1), (429, 1), (UNANSWERED, 1)))
    with pytest.raises(NotTheSameError, match="500"):
        overload.check(hits((200, 1), (500, 1)))
    with pytest.raises(NotTheSameError, match="when to come again"):
        overload.check(hits((503, 1), unexplained=1))
