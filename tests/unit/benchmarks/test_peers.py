"""The archive worker beside its peers: each has to come to what was sent, as a look from outside finds it.

The connectors themselves are left to the benchmark: they would have to be fetched.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from benchmarks.digests import NotTheSameError
from benchmarks.logs import LogKind, filled_log, open_log
from benchmarks.peers import bench
from benchmarks.peers.connect import ARTIFACTS, DEBEZIUM_VERSION, MONGODB_VERSION, fetched
from benchmarks.peers.tables import Found, Table, postgres_entries, postgres_records
from benchmarks.peers.watch import ProcessMeter, pause
from broker.log.kafka.local import LocalKafkaError
from broker.log.kafka.local.libraries import KAFKA_VERSION
from tests.kafka_servers import refuse_without_local_kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.stage import Stage

ENTRIES = 240


@pytest.fixture
async def turns(stage: Stage) -> AsyncIterator[bench.Turns]:
    refuse_without_local_kafka()
    async with filled_log(stage, LogKind.KAFKA, ENTRIES) as (at, volume):
        log = await open_log(at)
        yield bench.Turns(at=at, log=log, volume=volume, sent=bench._sent(ENTRIES))
        await log.close()


async def test_the_archive_and_a_plain_handler_come_to_the_very_entries_that_were_sent(
    stage: Stage, turns: bench.Turns
) -> None:
    archive = turns.side("archive", partial(bench._archive, turns.at, 2), partial(postgres_records, stage))
    plain = turns.side("plain", partial(bench._plain, turns.at), partial(postgres_entries, stage, "bytea"))

    # Each holds the ids that are there, and the plain handler's bytes, against those sent: others would have raised.
    ours, theirs = await archive(), await plain()

    assert ours.counts == theirs.counts == {"rows": turns.volume.entries}
    assert turns.volume.entries == len(turns.sent) > ENTRIES  # identities come on top
    assert min(ours.peak_memory_bytes, theirs.peak_memory_bytes, ours.data_bytes) > 0
    assert list(turns.starts) == ["archive: seconds until it reads", "plain: seconds until it reads"]


async def test_a_side_that_came_to_other_rows_is_found_out(turns: bench.Turns) -> None:
    first, *others = ids = sorted(turns.sent)
    size = turns.volume.data_bytes

    await turns.check("all", holding(Found(ids, size)))
    for wrong in (Found(others, size), Found([*others, others[0]], size), Found([first, *ids], size), Found(ids, 1)):
        with pytest.raises(NotTheSameError):
            await turns.check("wrong", holding(wrong))


def holding(found: Found) -> Table:
    async def count() -> int:
        return len(found.ids)

    async def look() -> Found:
        return found

    return Table(uri="", count=count, found=look)


def test_it_looks_the_more_often_the_nearer_the_end_is() -> None:
    assert pause(10.0, 0, 1000) == pause(1.0, 999, 1000) < pause(1.0, 800, 1000) < pause(1.0, 500, 1000)
    assert pause(60.0, 1, 1000) == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="what /proc tells")
def test_what_another_process_spends_is_read_from_outside() -> None:
    meter = ProcessMeter([os.getpid()])
    spent = meter.spent()
    while spent.cpu_seconds == 0:
        spent = meter.spent()

    assert 0 < spent.cpu_seconds < 10
    assert spent.peak_memory_bytes > 2**20


def test_the_versions_told_of_are_those_fetched() -> None:
    pom = ARTIFACTS.pom.read_text()

    for artifact, version in (
        ("connect-runtime", KAFKA_VERSION),
        ("debezium-connector-jdbc", DEBEZIUM_VERSION),
        ("mongo-kafka-connect", MONGODB_VERSION),
    ):
        assert re.search(rf"<artifactId>{artifact}</artifactId>\s*<version>{re.escape(version)}</version>", pom)


async def test_without_maven_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(ARTIFACTS.variable, str(tmp_path / "cache" / "libs"))

    with pytest.raises(LocalKafkaError, match=r"Kafka Connect's libraries .* no Maven to fetch them: install it"):
        await fetched()
