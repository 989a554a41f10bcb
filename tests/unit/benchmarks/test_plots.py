"""That what was measured is drawn: `make plots` installs what it takes, and the tests do without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import report
from benchmarks.figures import Result, Series
from tests.unit.benchmarks.test_figures import COMPARISON

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("matplotlib", reason="make plots installs it")

WHERE = {
    "machine": "2 cores",
    "at": "2026-11-27T12:00:00+00:00",
    "versions": {"postgres": "18.6", "python": "3.11.7"},
}
SERIES = Series(title="memory over time", x="minutes", y="MiB", lines={"edge": [(0, 80), (1, 81)], "archive": [(0, 0)]})
RESULT = Result(name="soak", parameters={}, comparisons=[COMPARISON], series=[SERIES])


def test_bars_and_lines_are_drawn_with_their_units_machine_and_day(tmp_path: Path) -> None:
    from benchmarks import plots  # noqa: PLC0415 - it needs matplotlib

    paths = list(plots.draw_all([report.document(RESULT, where=WHERE)], tmp_path))

    assert [path.name for path in paths] == ["soak.png", "soak.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    text = paths[1].read_text()
    for said in ("a comparison", "records/s", "worker / this: 0.33", "memory over time", "MiB", "2 cores, 2026-11-27"):
        assert said in text


def test_the_same_results_are_drawn_as_the_same_file(tmp_path: Path) -> None:
    from benchmarks import plots  # noqa: PLC0415 - likewise

    document = report.document(RESULT, where=WHERE)
    first = [path.read_bytes() for path in plots.draw(document, tmp_path)]

    assert [path.read_bytes() for path in plots.draw(document, tmp_path)] == first


def test_there_is_nothing_to_draw_of_figures_alone(tmp_path: Path) -> None:
    from benchmarks import plots  # noqa: PLC0415 - likewise

    figures = Result(name="memory", parameters={}, figures={"MiB added": 1.5})

    assert list(plots.draw_all([report.document(figures, where=WHERE)], tmp_path)) == []
