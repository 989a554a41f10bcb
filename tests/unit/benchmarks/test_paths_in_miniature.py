"""Edge, the way from edge to store, and what each stage costs, in miniature: nothing that was taken may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.costs import bench as costs
from benchmarks.edge import bench as edge
from benchmarks.edge import latency
from benchmarks.end_to_end import bench as end_to_end
from benchmarks.logs import LogKind
from benchmarks.memory.blob import MEBIBYTE
from benchmarks.profile import bench as profile
from benchmarks.rounds import silent
from benchmarks.soak import bench as soak
from tests.unit.benchmarks.miniature import ENTRIES, counts_of

if TYPE_CHECKING:
    from benchmarks.stage import Stage


async def test_the_edge_s_floor_appends_the_very_entries_that_the_edge_appends(stage: Stage) -> None:
    sizes = (
        edge.Size(items_a_body=1, requests=40, connections=4, pool_items=30),
        edge.Size(items_a_body=10, requests=5, connections=2, pool_items=30),
    )

    # With `frozen` clocks and entropy the bytes are compared: another entry would have raised.
    result = await edge.measure(stage, sizes=sizes, runs=1, tell=silent, frozen=True)

    one, ten = result.comparisons
    assert counts_of(one) == {(("requests", 40), ("items", 40))}
    assert counts_of(ten) == {(("requests", 5), ("items", 50))}
    assert one.floors == ("floor",)


async def test_edge_and_floor_are_sent_as_many_requests_at_the_same_rate(stage: Stage) -> None:
    # Each run is held against the log: an entry missing would have raised.
    result = await latency.measure(stage, requests=40, runs=1, tell=silent)

    (comparison,), (found,) = result.comparisons, result.latencies
    assert counts_of(comparison) == {(("requests", 40), ("items", 40))}
    assert {side: [one.count for one in runs] for side, runs in found.runs.items()} == {"edge": [40], "floor": [40]}
    assert result.figures["offered: requests/s"] == result.figures["what it can take of arrivals: requests/s"] / 2


async def test_what_the_edge_took_is_kept_end_to_end(stage: Stage) -> None:
    await check_end_to_end(stage, LogKind.POSTGRES)


@pytest.mark.usefixtures("local_kafka")
async def test_what_the_edge_took_is_kept_end_to_end_on_kafka(stage: Stage) -> None:
    await check_end_to_end(stage, LogKind.KAFKA)


async def check_end_to_end(stage: Stage, on: LogKind) -> None:
    # What was answered with 200 is looked for in both stores: a record missing would have raised.
    result = await end_to_end.measure(stage, entries=1000, runs=1, tell=silent, on=on)

    (comparison,) = result.comparisons
    assert counts_of(comparison) == {(("messages", 100),)}
    assert len(result.latencies) == 2
    for found in result.latencies:
        assert {side: [one.count for one in runs] for side, runs in found.runs.items()} == {
            "custody": [100],
            "floor": [100],
        }
    answered = [value for name, value in result.figures.items() if name.endswith(", %")]
    assert sum(answered) == pytest.approx(100)


async def test_edge_and_archive_as_they_are_run_keep_every_item_of_a_short_soak(stage: Stage) -> None:
    # Every item is counted in the end: one that was not kept would have raised.
    result = await soak.measure(stage, minutes=0.05, tell=silent, trial_seconds=1)

    memory, *lags = result.series
    assert set(memory.lines) == {"edge", "archive"}
    assert all(mebibytes > 20 for line in memory.lines.values() for _, mebibytes in line)
    assert [one.y for one in lags] == ["entries", "seconds"]
    assert result.figures["half load: requests/s"] > 0


def test_memory_is_compared_from_the_second_tenth_of_a_soak_to_the_last() -> None:
    mebibytes = [10, *[20] * 8, 30]
    looks = [
        soak.Look(minute=minute, memory_bytes={"edge": mebibyte * MEBIBYTE}, lag_entries=minute, lag_seconds=0.5)
        for minute, mebibyte in enumerate(mebibytes)
    ]

    found = soak.figures(looks)

    assert found["edge's memory at the end over that after warming up"] == 1.5
    assert (found["lag, median: entries"], found["lag, most: entries"]) == (4.5, 9)


async def test_a_profile_has_every_stage(stage: Stage) -> None:
    result = await profile.measure(stage, entries=ENTRIES, tell=silent)

    assert {name.split(", ")[0] for name in result.figures} == {
        *(f"archive: {one}" for one in profile.ARCHIVE),
        *(f"edge: {one}" for one in profile.EDGE),
    }
    assert all(value > 0 for name, value in result.figures.items() if name.endswith("own us"))


async def test_each_stage_of_a_message_s_life_costs_something_and_a_mix_is_predicted(stage: Stage) -> None:
    # What is fetched, commanded and erased is looked for in the log: one that is missing would have raised.
    result = await costs.measure(stage, entries=ENTRIES, runs=1, tell=silent)

    figures = result.figures
    for kept in ("text", "document", "status", "part", "receipt"):
        for cost in ("worker_microseconds", "cpu_microseconds", "log_bytes", "entry_bytes", "wal_bytes"):
            assert figures[f"{kept}: {cost}"] > 0, (kept, cost)
    assert figures["text: entry_bytes"] < figures["text: log_bytes"]
    assert all(figures[f"{one}: cpu_microseconds"] > 0 for one in ("scan", "fetch", "relay", "erase"))
    assert figures["fetch: entry_bytes"] > 0
    assert figures["relay: entry_bytes"] > 0
    assert 1 < figures["blob_bytes_a_byte"] < 2
    ratios = {name: value for name, value in figures.items() if name.endswith("predicted over measured")}
    assert len(ratios) == 5
    # Bytes do not depend on how busy this machine is.
    assert 0.75 < ratios["log bytes a record: predicted over measured"] < 1.25
    assert figures["predictions off by more than 25%"] in range(6)
