from __future__ import annotations

import pytest

from connectors.simulator import DeliveryConfig
from connectors.simulator.retry import delay_seconds, retry_after

CONFIG = DeliveryConfig(retry_first_seconds=1.0, retry_factor=2.0, retry_longest_seconds=100.0)


def test_waits_double_up_to_the_longest() -> None:
    waits = [delay_seconds(CONFIG, attempt=attempt, retry_after_seconds=None, jitter=0.0) for attempt in range(1, 10)]

    assert waits == [1, 2, 4, 8, 16, 32, 64, 100, 100]


def test_jitter_shortens_by_a_quarter_at_most() -> None:
    assert delay_seconds(CONFIG, attempt=3, retry_after_seconds=None, jitter=0.999) == pytest.approx(3.0, rel=0.01)


def test_attempts_without_end_do_not_overflow() -> None:
    assert delay_seconds(CONFIG, attempt=10**6, retry_after_seconds=None, jitter=0.0) == 100.0


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 1.0), (30.0, 30.0), (10_000.0, 100.0)])
def test_a_longer_retry_after_is_honoured_within_the_longest_wait(asked: float, expected: float) -> None:
    assert delay_seconds(CONFIG, attempt=1, retry_after_seconds=asked, jitter=0.0) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, expected: float | None) -> None:
    assert retry_after(header, now=10.0) == expected
