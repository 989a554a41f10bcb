"""Backlog, growth and memory in miniature: drained within a limit, and gone on with after an interruption."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.workers import drain
from benchmarks.backlog import bench as backlog
from benchmarks.children import ChildFailedError
from benchmarks.figures import Sample
from benchmarks.growth import bench as growth
from benchmarks.growth.filling import count, filling
from benchmarks.logs import LogKind, filled_log
from benchmarks.memory import demo
from benchmarks.memory.blob import MEBIBYTE
from benchmarks.rounds import silent
from benchmarks.stage import Kind
from tests.unit.benchmarks.miniature import ENTRIES, counts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

ROOT = Path(__file__).parents[3]


async def test_a_backlog_is_drained_within_a_limit_that_the_kernel_enforces(stage: Stage) -> None:
    result = await backlog.measure(stage, entries=ENTRIES, tell=silent)

    drained = [name for name in result.figures if name.endswith("peak MiB")]
    assert len(drained) == 2
    assert all(result.figures[name] < 256 for name in drained)
    with pytest.raises(ChildFailedError):
        await backlog.measure(stage, entries=ENTRIES, tell=silent, memory_bytes=MEBIBYTE)


@pytest.mark.usefixtures("local_kafka")
async def test_a_backlog_on_kafka_is_drained_within_the_same_limit(stage: Stage) -> None:
    result = await backlog.measure(stage, entries=ENTRIES, tell=silent, on=LogKind.KAFKA)

    assert (result.name, result.figures["the worker's limit: MiB"]) == ("backlog-kafka", 256)
    drained = [name for name in result.figures if name.endswith("peak MiB")]
    assert len(drained) == 2
    assert all(result.figures[name] < 256 for name in drained)


def test_the_rates_of_the_tenths_are_told_from_the_times_they_ended_at() -> None:
    assert backlog.step_rates([2.0, 3.0, 7.0], 100) == [50, 100, 25]


@pytest.mark.usefixtures("local_kafka")
def test_the_command_takes_the_log_as_a_choice(tmp_path: Path) -> None:
    command = ["make", "-s", "bench", f'ARGS=backlog --log kafka --entries 1000 --json --results "{tmp_path}"']
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CUSTODY_", "MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = json.loads(done.stdout)
    assert found["parameters"]["log"] == "kafka"
    assert found["figures"]["the worker's limit: MiB"] == 256
    assert json.loads((tmp_path / "backlog-kafka.json").read_text()) == found


async def test_demos_that_were_measured_before_an_interruption_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    async def run(messages: int) -> dict[str, Any]:
        ran.append(messages)
        if ran.count(100) == 1 and messages == 100:
            raise KeyboardInterrupt
        return {"peak_memory_bytes": {"workers": messages}, "seconds": 1.0, "accepted": messages, "closed": True}

    monkeypatch.setattr(demo, "_demo", run)
    progress = tmp_path / "cache" / "progress.json"
    sizes: Sequence[int] = (10, 100)

    with pytest.raises(KeyboardInterrupt):
        await demo.peak_memory(sizes, progress=progress)
    found = await demo.peak_memory(sizes, progress=progress)

    assert ran == [10, 100, 100]
    assert {messages: one["peak_memory_bytes"]["workers"] for messages, one in found.items()} == {10: 10, 100: 100}
    assert not progress.exists()


async def test_stores_of_each_size_keep_the_same_entries_and_report_all_they_have(stage: Stage, tmp_path: Path) -> None:
    # Every run's records are counted, and so are those of the report: another number would have raised.
    load = growth.Load(entries=100, runs=1, on=LogKind.POSTGRES)
    progress = tmp_path / "progress.json"

    before = await checkpoints(stage)
    result = await growth.measure(stage, load, sizes=(300, 1200), tell=silent, progress=progress)

    async with asyncio.timeout(60):  # the server counts one a little after it is done
        while await checkpoints(stage) < before + 3 + 1 + 4:  # noqa: ASYNC110 - for each database, to settle, each early turn
            await asyncio.sleep(0.1)
    settled, early = result.comparisons
    assert early.title == f"{settled.title}, right after a checkpoint"
    for comparison in (settled, early):
        assert len(counts_of(comparison)) == 1
        small, large = (int(comparison.samples[side][0].counts["records"]) for side in comparison.samples)
        assert small == large >= 100
    logged = [value for name, value in result.figures.items() if name.endswith("own log")]
    assert len(logged) == 4
    assert all(logged)  # how much is the server's affair, which vacuums when it likes
    rates, reports = result.series
    (smaller, _), (larger, _) = rates.lines["median"]
    assert smaller < 900 < larger
    assert [records for records, _ in reports.lines["median"]] == [smaller, larger]
    assert not progress.exists()


async def checkpoints(stage: Stage) -> int:
    connection = await asyncpg.connect(stage.server.dsn())
    try:
        return int(await connection.fetchval("SELECT num_requested FROM pg_stat_checkpointer"))
    finally:
        await connection.close()


async def test_copies_in_a_grown_store_are_as_what_the_worker_kept_under_ids_of_their_own(stage: Stage) -> None:
    async with stage.fresh(Kind.RECORDS) as place, filled_log(stage, LogKind.POSTGRES, ENTRIES) as (log, volume):
        orders = WorkerOrders(log=log, records_dsn=place.dsn, group="growth")
        await drain(orders, entries=volume.entries)

        told: list[tuple[int, int]] = []
        async with filling(place, 5 * volume.entries, lambda done, of: told.append((done, of))) as filler:
            await filler.fill(but=filler.last)
            assert await count(place) == 4 * volume.entries
            await filler.fill()
            assert await count(place) == 5 * volume.entries
        assert told == [(times * volume.entries, 5 * volume.entries) for times in (4, 5)]

        connection = await asyncpg.connect(place.admin_dsn)
        try:
            ids = await connection.fetch("SELECT record_id, row_number FROM custody_pas.records ORDER BY row_number")
            kept = await connection.fetch("SELECT state, count(*) FROM custody_pas.part_states GROUP BY state")
            targets = await connection.fetch("SELECT state, count(*) FROM custody_pas.targets GROUP BY state")
            receipts = await connection.fetchval(
                "SELECT count(*) FROM custody_pas.receipts JOIN custody_pas.targets "
                "USING (tenant, target_id) WHERE state = 'erased'"
            )
        finally:
            await connection.close()
    parts = ENTRIES // 5
    assert all(re.fullmatch(r"rec_[a-z2-7]{32}", one) for one, _ in ids)
    assert len({number for _, number in ids}) == len(ids)
    assert dict(map(tuple, kept)) == {None: parts, "kept": 4 * parts}
    assert dict(map(tuple, targets)) == {"waiting": parts, "erased": 4 * parts}
    assert receipts == 4 * parts


async def test_a_pair_that_was_measured_before_an_interruption_is_not_measured_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = Sample(seconds=1, counts={"records": 9}, data_bytes=9, cpu_seconds=1, peak_memory_bytes=9)
    measured: list[int] = []

    async def pair(_stage: Stage, _load: growth.Load, sizes: tuple[int, int], _tell: Tell) -> list[growth.Grown]:
        measured.append(sizes[1])
        if measured == [100, 1000]:
            raise KeyboardInterrupt
        return [
            growth.Grown(
                records=size,
                samples=[sample],
                early=[sample],
                effort=growth.Effort(wal_bytes=1, read_microseconds=0),
                early_effort=growth.Effort(wal_bytes=2, read_microseconds=1),
                report_seconds=[0.5],
                disk_bytes=1,
            )
            for size in sizes
        ]

    monkeypatch.setattr(growth, "_pair", pair)
    load = growth.Load(entries=9, runs=1, on=LogKind.POSTGRES)
    progress = tmp_path / "progress.json"

    with pytest.raises(KeyboardInterrupt):
        await growth.measure(stage, load, sizes=(10, 100, 1000), tell=silent, progress=progress)
    result = await growth.measure(stage, load, sizes=(10, 100, 1000), tell=silent, progress=progress)

    assert measured == [100, 1000, 1000]
    assert [one.subject for one in result.comparisons] == ["100 records"] * 2 + ["1,000 records"] * 2
    assert not progress.exists()
