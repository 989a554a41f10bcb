"""Costs from what was measured, into the file and back; and what the model predicts of a mix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks import report, running
from benchmarks.catalogue import BENCHMARKS, RESULTS, Benchmark, Wanted
from benchmarks.costs import guide, prediction, shipping, webhooks
from benchmarks.costs.prediction import Mixed
from benchmarks.costs.webhooks import Taken
from benchmarks.figures import Result
from tests.unit.benchmarks.test_figures import RESULT
from tests.unit.broker.sizing.known import COSTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

WHERE = {"machine": "2 cores", "at": "2026-11-27T12:00:00+00:00", "command": 'make bench ARGS="costs"'}


def document(entries: int) -> Mapping[str, object]:
    figures = dict(shipping.figures([COSTS, replace(COSTS, blob_bytes_a_byte=1.3), COSTS]))
    return report.document(
        Result(name="costs", parameters={"entries": entries, "part_bytes": 60_000}, figures=figures), where=WHERE
    )


def test_costs_go_through_a_result_and_come_back_with_where_they_were_measured() -> None:
    found = shipping.costs_of(document(50_000))

    assert (found.machine, found.at, found.command, found.note) == (*WHERE.values(), "")
    assert found.blob_bytes_a_byte == 1.1
    for section, source in shipping.SOURCES.items():
        assert getattr(found, section) == replace(getattr(COSTS, section), source=source)


def test_costs_of_a_run_in_miniature_say_so() -> None:
    assert "in miniature, with 1,000 entries" in shipping.costs_of(document(1000)).note


def taken(items: int, seconds: float, server_seconds: float) -> Taken:
    return Taken(items_a_body=items, requests=1000, seconds=seconds, server_seconds=server_seconds)


def test_a_request_and_an_item_are_told_apart_by_bodies_of_two_sizes() -> None:
    # 1 item takes 150 us, 10 take 600 us: 50 us for each, and 100 us for the request.
    found = webhooks.costs_of(taken(1, 0.15, 0.03), taken(10, 0.6, 0.12), "here")

    assert found.request_microseconds == pytest.approx(100)
    assert found.item_microseconds == pytest.approx(50)
    assert found.server_request_microseconds == pytest.approx(20)
    assert found.server_item_microseconds == pytest.approx(10)


def test_noise_makes_nothing_cost_less_than_nothing() -> None:
    found = webhooks.costs_of(taken(1, 0.5, 0.01), taken(10, 0.4, 0.5), "here")

    assert found.item_microseconds == 0
    assert found.request_microseconds == pytest.approx(500)
    assert found.server_request_microseconds == 0


def test_a_mix_is_predicted_from_the_costs_of_its_kinds() -> None:
    # Of 1,000 entries 700 are texts, 200 documents, 100 statuses: 70 + 40 + 5 ms of one worker.
    found = prediction.predicted(Mixed(messages=900, documents=200, statuses=100, items_a_body=4), COSTS)

    assert found.archive_records_per_second == pytest.approx(1000 / 0.115)
    assert found.store_bytes_a_record == pytest.approx((700 * 2000 + 200 * 4000 + 100 * 1000) / 1000)
    assert found.log_bytes_a_record == pytest.approx((700 * 2500 + 200 * 3000 + 100 * 1200) / 1000)
    assert found.server_cpu_microseconds_a_record == pytest.approx((700 * 80 + 200 * 150 + 100 * 40) / 1000)
    assert found.edge_requests_per_second == pytest.approx(1 / 300e-6)


def test_the_guide_gets_outputs_and_rows_anew_and_nothing_else() -> None:
    asked: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> str:
        asked.append(arguments)
        return "a table  \nof it\n"

    text = (
        "Before\n\n```sh\ncustody size --json\n```\n\n```text\nold\n```\n\n```sh\nmake it\n```\nAfter `--numbers 1`\n"
    )

    assert guide.renewed(text, run) == text.replace("old", "a table\nof it")
    assert asked == [["size", "--json"]]


async def test_what_comes_with_custody_is_written_from_results_that_are_kept_and_from_no_others(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped: list[Mapping[str, object]] = []

    async def measure(_stage: Stage, _wanted: Wanted, _tell: Tell) -> Result:
        return RESULT

    benchmark = Benchmark(about="", measure=measure, ship=shipped.append)
    monkeypatch.setattr(running, "BENCHMARKS", {"one": benchmark})
    monkeypatch.setattr(running, "RESULTS", tmp_path / "kept")

    await running.Run(machine="2 cores", results=tmp_path / "elsewhere").through(stage, [Wanted(what="one")])
    assert shipped == []
    documents = await running.Run(machine="2 cores", results=tmp_path / "kept").through(stage, [Wanted(what="one")])
    assert shipped == documents


def test_costs_alone_come_with_custody_and_results_lie_where_they_are_committed() -> None:
    assert [name for name, one in BENCHMARKS.items() if one.ship] == ["costs"]
    assert (RESULTS / "archive.json").exists()
