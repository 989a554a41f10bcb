"""Photos, documents, moving and erasing in miniature: every side moves the very same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from benchmarks.erase import bench as erase
from benchmarks.media import bench as media
from benchmarks.memory import bench as memory
from benchmarks.memory.blob import MEBIBYTE
from benchmarks.moving import bench as moving
from benchmarks.photos import bench as photos
from benchmarks.rounds import silent
from tests.unit.benchmarks.miniature import ENTRIES, counts_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.stage import Stage


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
