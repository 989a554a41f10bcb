"""The archive's benchmarks in miniature: worker and floors write the same, and a benchmark notices when they do not."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

import bson
import pytest

from benchmarks.archive import bench as archive
from benchmarks.archive.reference import digests
from benchmarks.archive.turns import FLOORS, Turns
from benchmarks.archive_mongo import bench as archive_mongo
from benchmarks.archive_mongo.small import document
from benchmarks.compression import bench as compression
from benchmarks.digests import NotTheSameError
from benchmarks.logs import LogKind, filled_log
from benchmarks.rounds import silent
from benchmarks.stage import Kind
from tests.unit.benchmarks.miniature import ENTRIES, counts_of

if TYPE_CHECKING:
    from benchmarks.figures import Result
    from benchmarks.stage import Stage


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


async def test_several_workers_share_the_partitions(stage: Stage) -> None:
    # Every run is held against the rows of the first one, which two workers wrote, and the floors' against them.
    result = await archive.measure(stage, entries=ENTRIES, runs=1, tell=silent, processes=2)

    assert result.parameters["workers"] == 2


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


@pytest.mark.usefixtures("local_kafka")
async def test_on_kafka_the_archive_s_floors_write_the_very_rows_that_the_worker_wrote(stage: Stage) -> None:
    result = await archive.measure(stage, entries=ENTRIES, runs=1, tell=silent, on=LogKind.KAFKA)

    (comparison,) = result.comparisons
    assert result.name == "archive-kafka"
    assert comparison.floors == ("floor", "floor + reading", "floor + reading + notices")
    rows = cast("dict[str, int]", result.parameters["rows"])
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


@pytest.mark.usefixtures("local_kafka")
async def test_each_way_of_packing_appends_the_same_entries() -> None:
    result = await compression.measure(entries=ENTRIES, runs=1, tell=silent)

    (comparison,) = result.comparisons
    assert set(comparison.samples) == set(compression.WAYS)
    assert len(counts_of(comparison)) == 1
    assert all(result.figures[f"{way}: packed so many times smaller"] > 1 for way in ("gzip", "lz4", "zstd"))
