"""Rates, spreads and ratios."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.figures import Comparison, Result, Sample, Spread

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
RESULT = Result(name="archive", parameters={"runs": 3}, comparisons=[COMPARISON], figures={"MiB added": 1.5})


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


def test_the_table_has_every_side_with_its_ratio() -> None:
    console = Console(width=120, record=True, file=StringIO())

    report.show(console, RESULT)

    text = console.export_text()
    assert "a comparison" in text
    assert "0.33" in text
    assert "0.20 - 0.50" in text
    assert "MiB added" in text
