"""Which benchmarks are run for what is asked, that a long run goes on, and the table of what was found."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmarks import report, running, table
from benchmarks.catalogue import BENCHMARKS, Benchmark, Wanted, steps
from benchmarks.logs import LogKind
from benchmarks.progress import Progress
from tests.unit.benchmarks.test_figures import RESULT

if TYPE_CHECKING:
    from benchmarks.figures import Result
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

ROOT = Path(__file__).parents[3]
QUOTING = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def quoted() -> list[str]:
    """What follows `make bench` in documents."""
    return sorted(
        {one for path in QUOTING for one in re.findall(r'make bench ARGS="([^"]*)"', path.read_text("utf-8"))}
    )


def names_of(what: str, *, long: bool = False) -> list[str]:
    return [one.what for one in steps(Wanted(what=what), long=long)]


def test_one_is_run_where_one_is_asked_for() -> None:
    wanted = Wanted(what="archive", log=LogKind.KAFKA)

    assert steps(wanted) == [wanted]


def test_without_being_asked_the_hot_path_alone_is_measured() -> None:
    assert {"edge", "archive"} <= set(names_of("hot"))
    assert not any(BENCHMARKS[name].long for name in names_of("hot"))


def test_all_are_those_that_are_short_and_need_no_java() -> None:
    assert not {"memory", "growth", "soak", "compression"} & set(names_of("all"))
    assert {"memory", "growth", "soak"} <= set(names_of("all", long=True))


def test_the_full_run_has_every_benchmark_and_each_log_and_no_result_twice() -> None:
    full = steps(Wanted(what="full", runs=7))

    assert {one.what for one in full} == {name for name, one in BENCHMARKS.items() if one.full}
    assert replace(full[0], what="archive", log=LogKind.KAFKA) in full
    assert {one.runs for one in full} == {7}
    assert len({one.command for one in full}) == len(full)


def test_the_command_says_what_is_not_as_usual() -> None:
    assert Wanted(what="edge").command == 'make bench ARGS="edge"'
    wanted = Wanted(what="growth", runs=3, log=LogKind.KAFKA, sizes=(10, 100))
    assert wanted.command == 'make bench ARGS="growth --runs 3 --log kafka --sizes 10,100"'


async def test_what_was_measured_before_an_interruption_is_kept_and_not_measured_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    async def measure(_stage: Stage, wanted: Wanted, _tell: Tell) -> Result:
        ran.append(wanted.what)
        if ran == ["one", "other"]:
            raise KeyboardInterrupt
        return replace(RESULT, name=wanted.what)

    monkeypatch.setattr(running, "BENCHMARKS", dict.fromkeys(("one", "other"), Benchmark(about="", measure=measure)))
    progress = Progress(tmp_path / "cache" / "bench-full.json")
    run = running.Run(machine="2 cores", results=tmp_path, progress=progress, console=Console(file=StringIO()))
    wanted = [Wanted(what="one"), Wanted(what="other")]

    with pytest.raises(KeyboardInterrupt):
        await run.through(stage, wanted)
    kept = report.read(tmp_path)
    documents = await run.through(stage, wanted)

    assert ran == ["one", "other", "other"]
    assert [one["benchmark"] for one in kept] == ["one"]
    assert documents == report.read(tmp_path)
    assert documents[0] == kept[0]
    assert [one["command"] for one in documents] == [one.command for one in wanted]
    assert not progress.path.exists()


def test_the_table_has_each_comparison_and_figure_with_the_command_that_made_it() -> None:
    where = {"machine": "2 cores", "at": "2026-11-27T12:00:00+00:00", "command": 'make bench ARGS="archive"'}

    rates, figures = table.markdown([report.document(RESULT, where=where)]).split("\n\n")

    assert rates.splitlines()[2] == (
        "| a comparison<br>2 cores, 2026-11-27 | 200 records/s, 0.4 MB/s | **0.33** (0.20 - 0.50) of floor "
        '| `make bench ARGS="archive"` |'
    )
    assert figures.splitlines()[2] == '| archive: MiB added | 1.50 | `make bench ARGS="archive"` |'


def test_without_results_the_table_is_empty(tmp_path: Path) -> None:
    assert table.markdown(report.read(tmp_path)) == ""


@pytest.mark.parametrize("arguments", quoted())
def test_what_documents_tell_to_type_is_a_benchmark_and_its_options(arguments: str) -> None:
    what, *options = shlex.split(arguments)
    named = {one.removeprefix("--") for one in options if one.startswith("--")}
    assert what in BENCHMARKS
    assert named <= {one.name for one in fields(Wanted)}
