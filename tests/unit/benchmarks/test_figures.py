"""Rates, latencies, spreads and ratios."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.figures import Comparison, Latency, Quantiles, Result, Sample, Spread, quantile

if TYPE_CHECKING:
    from pathlib import Path


def sample(seconds: float, records: int = 1000) -> Sample:
    return Sample(
        seconds=seconds, counts={"records": records}, data_bytes=2_000_000, cpu_seconds=0.5, peak_memory_bytes=2**20
    )


COMPARISON = Comparison(
    title="a comparison",
    subject="worker",
    samples={"worker": [sample(4.0), sample(5.0), sample(9.0)], "floor": [sample(2.0), sample(1.0), sample(3.0)]},
)
LATENCY = Latency(
    title="webhook to 200",
    subject="edge",
    runs={
        "edge": [Quantiles.of([0.002] * 9 + [0.010]), Quantiles.of([0.004] * 9 + [0.008])],
        "floor": [Quantiles.of([0.001] * 9 + [0.005]), Quantiles.of([0.001] * 9 + [0.002])],
    },
)
RESULT = Result(
    name="archive",
    parameters={"runs": 3},
    comparisons=[COMPARISON],
    latencies=[LATENCY],
    figures={"MiB added": 1.5},
)


def test_a_rate_is_what_was_done_by_the_time_it_took() -> None:
    one = sample(4.0)

    assert one.rate("records") == 250
    assert one.bytes_per_second == 500_000
    assert one.cpu_microseconds == 500


def test_ratios_are_taken_pair_by_pair_not_of_the_medians() -> None:
    assert COMPARISON.floors == ("floor",)
    assert COMPARISON.ratios("floor") == (0.5, 0.2, 3 / 9)


def test_a_spread_has_the_middle_of_an_even_number_between_the_two() -> None:
    assert Spread.of([4, 1, 3, 2]) == Spread(minimum=1, median=2.5, maximum=4)


def test_a_quantile_is_a_value_that_was_seen_and_that_enough_do_not_exceed() -> None:
    hundred = [float(value) for value in range(1, 101)]

    assert [quantile(hundred, share) for share in (0, 0.5, 0.9, 0.99, 0.999, 1)] == [1, 50, 90, 99, 100, 100]
    assert [quantile([7.0], share) for share in (0, 0.5, 1)] == [7, 7, 7]
    assert [quantile([1.0, 2.0, 3.0], share) for share in (0.3, 0.5, 0.9)] == [1, 2, 3]


def test_quantiles_are_in_milliseconds_whatever_the_order_of_the_waits() -> None:
    found = Quantiles.of([0.004, 0.001, 0.003, 0.002])

    assert found == Quantiles(count=4, median=2, p90=4, p99=4, p999=4, maximum=4)
    assert found.tail == 2


def test_ratios_of_latencies_are_taken_run_by_run() -> None:
    assert LATENCY.ratios("floor", "median") == (2, 4)
    assert LATENCY.ratios("floor", "maximum") == (2, 4)


def test_sides_that_did_different_work_have_no_ratio() -> None:
    uneven = Comparison(title="", subject="worker", samples={"worker": [sample(1)], "floor": [sample(1, records=999)]})

    with pytest.raises(ValueError, match="not the same work"):
        uneven.ratios("floor")


def test_the_document_has_every_run_and_where_it_was_made(tmp_path: Path) -> None:
    path = report.write(tmp_path / "results", report.document(RESULT, where={"machine": "2 cores, shared"}))

    found = json.loads(path.read_text())
    assert path.name == "archive.json"
    assert found["machine"] == "2 cores, shared"
    sides = found["comparisons"][0]["sides"]
    assert sides["worker"]["records_per_second"] == {"minimum": 111.1111, "median": 200.0, "maximum": 250.0}
    assert sides["floor"]["subject_ratio"] == {
        "minimum": 0.2,
        "median": 0.3333,
        "maximum": 0.5,
        "pairs": [0.5, 0.2, 0.3333],
    }
    assert [run["seconds"] for run in sides["floor"]["runs"]] == [2.0, 1.0, 3.0]
    assert found["figures"] == {"MiB added": 1.5}
    waits = found["latencies"][0]["sides"]
    assert waits["edge"]["p99_milliseconds"] == {"minimum": 8.0, "median": 9.0, "maximum": 10.0}
    assert waits["edge"]["p99_over_median"] == {"minimum": 2.0, "median": 3.5, "maximum": 5.0}
    assert waits["floor"]["subject_ratio"]["median"] == {"minimum": 2.0, "median": 3.0, "maximum": 4.0}
    assert [run["count"] for run in waits["floor"]["runs"]] == [10, 10]


def test_the_table_has_every_side_with_its_ratio() -> None:
    console = Console(width=120, record=True, file=StringIO())

    report.show(console, RESULT)

    text = console.export_text()
    assert "a comparison" in text
    assert "0.33" in text
    assert "0.20 - 0.50" in text
    assert "MiB added" in text
    assert "webhook to 200" in text
    assert "3.0 x" in text
