"""Each benchmark in miniature: subject and floor do the same work, and a benchmark notices when they do not."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import bson
import pytest

from benchmarks.archive import bench as archive
from benchmarks.archive.orders import WorkerOrders
from benchmarks.archive.reference import digests
from benchmarks.archive.turns import FLOORS, Turns
from benchmarks.archive.workers import drain
from benchmarks.archive_mongo import bench as archive_mongo
from benchmarks.archive_mongo.small import document
from benchmarks.backlog import bench as backlog
from benchmarks.children import ChildFailedError
from benchmarks.compression import bench as compression
from benchmarks.costs import bench as costs
from benchmarks.digests import NotTheSameError
from benchmarks.edge import bench as edge
from benchmarks.edge import latency
from benchmarks.end_to_end import bench as end_to_end
from benchmarks.erase import bench as erase
from benchmarks.figures import Sample
from benchmarks.growth import bench as growth
from benchmarks.growth.filling import fill_up
from benchmarks.logs import LogKind, filled_log
from benchmarks.media import bench as media
from benchmarks.memory import bench as memory
from benchmarks.memory import demo
from benchmarks.memory.blob import MEBIBYTE
from benchmarks.moving import bench as moving
from benchmarks.photos import bench as photos
from benchmarks.profile import bench as profile
from benchmarks.rounds import silent
from benchmarks.soak import bench as soak
from benchmarks.stage import Kind
from tests.kafka_servers import missing_for_local_kafka
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Comparison, Result
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

ENTRIES = 240
ROOT = Path(__file__).parents[3]


def counts_of(comparison: Comparison) -> set[tuple[tuple[str, int], ...]]:
    return {tuple(one.counts.items()) for samples in comparison.samples.values() for one in samples}


async def test_the_archive_s_floors_write_the_very_rows_that_the_worker_wrote(stage: Stage) -> None:
    # Every run is held against the first one's rows, by count and digest: another row would have raised.
    result = await archive.measure(stage, entries=ENTRIES, runs=1, tell=silent)

    (comparison,) = result.comparisons
    assert comparison.subject == "worker"
    assert comparison.floors == ("floor", "floor + reading", "floor + reading + notices")
    rows = cast("dict[str, int]", result.parameters["rows"])
    assert rows["records"] > ENTRIES  # identities come on top
    assert rows["parts"] == rows["targets"] == ENTRIES // 5
    assert rows["unseen"] == ENTRIES // 30
    assert rows["progress"] > 1
    assert counts_of(comparison) == {(("records", rows["records"]),)}


@pytest.mark.usefixtures("mongo_here")
async def test_on_mongodb_a_bare_client_inserts_the_very_documents_that_were_kept(stage: Stage) -> None:
    # Every turn is held against the first one's documents: another one would have raised.
    result = await archive_mongo.measure(stage, entries=ENTRIES, runs=1, tell=silent)

    check_on_mongodb(result)
    _, by_motor = result.comparisons
    assert by_motor.floors == (archive_mongo.ORDERED, "floor")
    assert counts_of(by_motor) == counts_of(result.comparisons[0])


@pytest.mark.usefixtures("mongo_here", "local_kafka")
async def test_a_bare_client_reads_kafka_and_inserts_the_very_documents_that_were_kept(stage: Stage) -> None:
    result = await archive_mongo.measure(
        stage, entries=ENTRIES, runs=1, tell=silent, on=LogKind.KAFKA, drivers=["pymongo"]
    )

    assert result.name == "archive-mongo-kafka"
    check_on_mongodb(result)


def check_on_mongodb(result: Result) -> None:
    documents = cast("dict[str, int]", result.parameters["documents"])
    assert documents["records"] > ENTRIES  # identities come on top
    assert documents["parts"] == documents["targets"] == ENTRIES // 5
    assert documents["unseen"] == ENTRIES // 30
    assert documents["progress"] > 1
    assert documents["tallies"] == 1
    by_pymongo, *_ = result.comparisons
    assert by_pymongo.subject == "worker"
    assert by_pymongo.floors == (archive_mongo.ORDERED, *FLOORS, archive_mongo.SMALL)
    assert counts_of(by_pymongo) == {(("records", documents["records"]),)}
    assert {one.data_bytes for one in by_pymongo.samples[archive_mongo.SMALL]} == {490 * documents["records"]}


def test_a_small_document_has_the_bytes_it_is_to_have() -> None:
    assert {len(bson.encode(document(number))) for number in (0, 9, 50_000)} == {490}


async def test_a_run_that_wrote_other_rows_is_found_out(stage: Stage) -> None:
    async with AsyncExitStack() as exits:
        log, volume = await exits.enter_async_context(filled_log(stage, LogKind.POSTGRES, ENTRIES))
        turns = Turns(stores=archive.PostgresStores(stage), log=log, volume=volume, exits=exits)
        await turns.worker()
        assert turns.reference is not None
        await stage.execute(
            "UPDATE custody_pas.parts SET mime = 'image/png' WHERE (record_id, number) = "
            "(SELECT record_id, number FROM custody_pas.parts LIMIT 1)",
            place=turns.reference,
        )

        with pytest.raises(NotTheSameError, match="not the rows of the first run: parts"):
            await turns.check(turns.reference)
        with pytest.raises(NotTheSameError, match="parts"):
            await turns.floor(reads=False, publishes=False)()  # it copied the row that was changed


async def test_an_empty_store_has_digests_too(stage: Stage) -> None:
    async with stage.fresh(Kind.RECORDS) as one, stage.fresh(Kind.RECORDS) as other:
        found = await digests(one.admin_dsn)

        assert found == await digests(other.admin_dsn)
        assert {rows for rows, _ in found.values()} == {0}


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


async def test_a_profile_has_every_stage(stage: Stage) -> None:
    result = await profile.measure(stage, entries=ENTRIES, tell=silent)

    assert {name.split(", ")[0] for name in result.figures} == {
        *(f"archive: {one}" for one in profile.ARCHIVE),
        *(f"edge: {one}" for one in profile.EDGE),
    }
    assert all(value > 0 for name, value in result.figures.items() if name.endswith("own us"))


async def test_several_workers_share_the_partitions(stage: Stage) -> None:
    # Every run is held against the rows of the first one, which two workers wrote, and the floors' against them.
    result = await archive.measure(stage, entries=ENTRIES, runs=1, tell=silent, processes=2)

    assert result.parameters["workers"] == 2


async def test_edge_and_floor_are_sent_as_many_requests_at_the_same_rate(stage: Stage) -> None:
    # Each run is held against the log: an entry missing would have raised.
    result = await latency.measure(stage, requests=40, runs=1, tell=silent)

    (comparison,), (found,) = result.comparisons, result.latencies
    assert counts_of(comparison) == {(("requests", 40), ("items", 40))}
    assert {side: [one.count for one in runs] for side, runs in found.runs.items()} == {"edge": [40], "floor": [40]}


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


async def test_what_the_edge_took_is_kept_end_to_end(stage: Stage) -> None:
    await check_end_to_end(stage, LogKind.POSTGRES)


async def test_a_backlog_is_drained_within_a_limit_that_the_kernel_enforces(stage: Stage) -> None:
    result = await backlog.measure(stage, entries=ENTRIES, tell=silent)

    drained = [name for name in result.figures if name.endswith("peak MiB")]
    assert len(drained) == 2
    assert all(result.figures[name] < 256 for name in drained)
    with pytest.raises(ChildFailedError):
        await backlog.measure(stage, entries=ENTRIES, tell=silent, memory_bytes=MEBIBYTE)


@pytest.fixture
def local_kafka() -> None:
    if missing := missing_for_local_kafka():
        unavailable(missing)


@pytest.mark.usefixtures("local_kafka")
async def test_on_kafka_the_archive_s_floors_write_the_very_rows_that_the_worker_wrote(stage: Stage) -> None:
    result = await archive.measure(stage, entries=ENTRIES, runs=1, tell=silent, on=LogKind.KAFKA)

    (comparison,) = result.comparisons
    assert result.name == "archive-kafka"
    assert comparison.floors == ("floor", "floor + reading", "floor + reading + notices")
    rows = cast("dict[str, int]", result.parameters["rows"])
    assert counts_of(comparison) == {(("records", rows["records"]),)}


@pytest.mark.usefixtures("local_kafka")
async def test_what_the_edge_took_is_kept_end_to_end_on_kafka(stage: Stage) -> None:
    await check_end_to_end(stage, LogKind.KAFKA)


@pytest.mark.usefixtures("local_kafka")
async def test_a_backlog_on_kafka_is_drained_within_the_same_limit(stage: Stage) -> None:
    result = await backlog.measure(stage, entries=ENTRIES, tell=silent, on=LogKind.KAFKA)

    assert (result.name, result.figures["the worker's limit: MiB"]) == ("backlog-kafka", 256)
    drained = [name for name in result.figures if name.endswith("peak MiB")]
    assert len(drained) == 2
    assert all(result.figures[name] < 256 for name in drained)


@pytest.mark.usefixtures("local_kafka")
async def test_each_way_of_packing_appends_the_same_entries() -> None:
    result = await compression.measure(entries=ENTRIES, runs=1, tell=silent)

    (comparison,) = result.comparisons
    assert set(comparison.samples) == set(compression.WAYS)
    assert len(counts_of(comparison)) == 1
    assert all(result.figures[f"{way}: packed so many times smaller"] > 1 for way in ("gzip", "lz4", "zstd"))


def test_the_rates_of_the_tenths_are_told_from_the_times_they_ended_at() -> None:
    assert backlog.step_rates([2.0, 3.0, 7.0], 100) == [50, 100, 25]


async def test_a_document_comes_out_of_the_blob_store_as_it_went_in(stage: Stage, tmp_path: Path) -> None:
    # The child compares the digests of what went in and came out.
    result = await memory.measure(
        stage, tell=silent, progress=tmp_path / "progress.json", document_bytes=3 * MEBIBYTE + 1
    )

    assert set(result.figures) == {
        f"document of 3 MiB{where}, {what}"
        for where in ("", " on S3")
        for what in ("in: MiB of memory added", "in and out: MiB of memory added", "in: MiB/s", "out: MiB/s")
    }


@pytest.mark.usefixtures("s3_here")
async def test_as_many_photos_go_into_each_store_as_by_a_bare_client(stage: Stage) -> None:
    result = await photos.measure(stage, photos=20, runs=1, tell=silent)

    assert [one.floors for one in result.comparisons] == [("put_object",), ("INSERT",)]
    assert all(counts_of(one) == {(("photos", 20),)} for one in result.comparisons)


@pytest.mark.usefixtures("mongo_here", "s3_here")
async def test_all_that_is_kept_is_copied_and_compared_at_each_size(stage: Stage) -> None:
    # Of each command it is held against what is there how many records and photos it went through.
    result = await moving.measure(stage, entries=(ENTRIES, 2 * ENTRIES), tell=silent)

    records = cast("list[int]", result.parameters["records"])
    assert [count > 0 for count in cast("list[int]", result.parameters["photos"])] == [True, True]
    assert ENTRIES < records[0] < records[1]  # identities come on top
    assert [name for name in result.figures if " over peak at " in name] == [
        f"{command}, peak at {records[1]:,} over peak at {records[0]:,}" for command in ("copy", "parity")
    ]


async def test_the_erase_worker_and_a_bare_client_delete_the_very_same_objects(stage: Stage) -> None:
    # The provider counts what it is asked, and the receipts are read: another object, or none, would have raised.
    result = await erase.measure(stage, targets=40, runs=1, tell=silent)

    (comparison,) = result.comparisons
    assert (comparison.subject, comparison.floors) == ("worker", ("aiohttp",))
    assert counts_of(comparison) == {(("targets", 40),)}


@pytest.mark.usefixtures("s3_here")
async def test_the_media_worker_and_a_bare_client_move_the_very_same_objects(stage: Stage) -> None:
    # The provider counts what it is asked, and the results are read: another object, or none, would have raised.
    sizes = (media.Size(parts=20, part_bytes=1000), media.Size(parts=2, part_bytes=MEBIBYTE))

    result = await media.measure(stage, runs=1, tell=silent, sizes=sizes)

    assert [one.subject for one in result.comparisons] == ["worker"] * 4
    assert [counts_of(one) for one in result.comparisons] == [{(("parts", count),)} for count in (20, 20, 2, 2)]


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


async def test_stores_of_each_size_keep_the_same_entries_and_report_all_they_have(stage: Stage, tmp_path: Path) -> None:
    # Every run's records are counted, and so are those of the report: another number would have raised.
    load = growth.Load(entries=100, runs=1, on=LogKind.POSTGRES)
    progress = tmp_path / "progress.json"

    result = await growth.measure(stage, load, sizes=(300, 1200), tell=silent, progress=progress)

    (comparison,) = result.comparisons
    assert len(counts_of(comparison)) == 1
    small, large = (int(comparison.samples[side][0].counts["records"]) for side in comparison.samples)
    assert small == large >= 100
    rates, reports = result.series
    (smaller, _), (larger, _) = rates.lines["median"]
    assert smaller < 600 < larger
    assert [records for records, _ in reports.lines["median"]] == [smaller, larger]
    assert not progress.exists()


async def test_copies_in_a_grown_store_are_as_what_the_worker_kept_under_ids_of_their_own(stage: Stage) -> None:
    async with stage.fresh(Kind.RECORDS) as place, filled_log(stage, LogKind.POSTGRES, ENTRIES) as (log, volume):
        orders = WorkerOrders(log=log, records_dsn=place.dsn, group="growth")
        await drain(orders, entries=volume.entries)

        assert await fill_up(stage, place, 5 * volume.entries, lambda _done, _of: None) == 5 * volume.entries

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
            growth.Grown(records=size, samples=[sample], wal_bytes=1, report_seconds=[0.5], disk_bytes=1)
            for size in sizes
        ]

    monkeypatch.setattr(growth, "_pair", pair)
    load = growth.Load(entries=9, runs=1, on=LogKind.POSTGRES)
    progress = tmp_path / "progress.json"

    with pytest.raises(KeyboardInterrupt):
        await growth.measure(stage, load, sizes=(10, 100, 1000), tell=silent, progress=progress)
    result = await growth.measure(stage, load, sizes=(10, 100, 1000), tell=silent, progress=progress)

    assert measured == [100, 1000, 1000]
    assert [one.subject for one in result.comparisons] == ["100 records", "1,000 records"]
    assert not progress.exists()


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
