"""When requests are due."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.arrivals import due_seconds


def test_requests_fall_due_one_after_the_other_at_the_rate_on_average() -> None:
    due = due_seconds(20_000, rate=500, seed=1)

    assert due == sorted(due)
    assert due[0] > 0
    assert len(due) / due[-1] == pytest.approx(500, rel=0.03)


def test_they_do_not_come_evenly() -> None:
    gaps = [later - sooner for sooner, later in pairwise(due_seconds(20_000, rate=500, seed=1))]

    # Of a Poisson process' gaps 1 - 1/e are below the average one.
    assert sum(gap < 1 / 500 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.02)


def test_the_same_seed_has_them_come_the_same_again() -> None:
    assert due_seconds(100, rate=50, seed=1) == due_seconds(100, rate=50, seed=1)
    assert due_seconds(100, rate=50, seed=1) != due_seconds(100, rate=50, seed=2)


def test_without_a_rate_all_are_due_at_once() -> None:
    assert due_seconds(3, rate=0, seed=1) == [0, 0, 0]
