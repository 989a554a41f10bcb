"""Prepares a topic, then lets the worker and its floors take turns at it, each into an empty store."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.archive.reference import digests
from benchmarks.archive.turns import BATCH_ROWS, WORKER, Turns
from benchmarks.figures import Comparison, Result
from benchmarks.logs import LogKind, filled_log
from benchmarks.machine import cores
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind, Place, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from benchmarks.digests import Digest
    from benchmarks.rounds import Tell


@dataclass(slots=True)
class PostgresStores:
    """See `Stores`."""

    stage: Stage
    floor_role: str = "archive.floor"
    mongodb: bool = False

    def fresh(self) -> AbstractAsyncContextManager[Place]:
        return self.stage.fresh(Kind.RECORDS)

    async def digests(self, place: Place) -> Mapping[str, Digest]:
        return await digests(place.admin_dsn)


async def measure(
    stage: Stage,
    *,
    entries: int,
    runs: int,
    tell: Tell,
    on: LogKind = LogKind.POSTGRES,
    processes: int | None = None,
) -> Result:
    """Drains about `entries` entries in every run, with one worker a core unless told otherwise."""
    processes = processes or cores()
    async with AsyncExitStack() as exits:
        tell("archive: preparing entries", 0, 0)
        log, volume = await exits.enter_async_context(filled_log(stage, on, entries))
        stores = PostgresStores(stage)
        turns = Turns(stores=stores, log=log, volume=volume, exits=exits, processes=processes)
        sides = {WORKER: turns.worker, **turns.floors()}
        samples = await interleaved("archive", sides, runs=runs, tell=tell)
    rows = {table: found[0] for table, found in turns.wanted.items()}
    size = volume.data_bytes // volume.entries
    title = f"archive: log on {on} to store, {volume.entries:,} records of {size:,} bytes, {processes} workers"
    return Result(
        name=on.named("archive"),
        parameters={
            "entries": volume.entries,
            "log": on,
            "runs": runs,
            "floor_batch_rows": BATCH_ROWS,
            "rows": rows,
            "workers": processes,
        },
        comparisons=[Comparison(title=title, subject=WORKER, samples=samples)],
    )
