"""`python -m benchmarks`: measures, prints a table, and writes JSON beside it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from benchmarks import machine, report
from benchmarks.archive import bench as archive
from benchmarks.archive_mongo import bench as archive_mongo
from benchmarks.backlog import bench as backlog
from benchmarks.compression import bench as compression
from benchmarks.edge import bench as edge
from benchmarks.logs import LogKind
from benchmarks.memory import bench as memory
from benchmarks.moving import bench as moving
from benchmarks.photos import bench as photos
from benchmarks.rounds import shown
from benchmarks.stage import SERVER_SETTINGS, staged
from broker.core.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.figures import Result
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

_WIDTH = 120
_HERE = Path(__file__).parent
_PROGRESS = _HERE.parent / ".cache" / "bench-memory.json"


class Which(StrEnum):
    """What to measure."""

    ARCHIVE = "archive"
    ARCHIVE_MONGO = "archive-mongo"
    BACKLOG = "backlog"
    COMPRESSION = "compression"
    EDGE = "edge"
    MEMORY = "memory"
    MOVING = "moving"
    PEERS = "peers"
    PHOTOS = "photos"
    ALL = "all"


What = Annotated[
    Which,
    typer.Argument(
        help="archive, archive-mongo, backlog, compression (of a log on Kafka), edge, memory (long; it goes on where "
        "it was stopped), moving (copy and parity, at a tenth of the entries and at all), peers (sinks that others "
        "wrote; it needs Java and Maven), photos, or all of those that need no Java."
    ),
]
Runs = Annotated[int, typer.Option("--runs", min=1, help="How often each side has its turn, after one to warm up.")]
Entries = Annotated[int, typer.Option("--entries", min=1000, help="Log entries in a run, about.")]
On = Annotated[LogKind, typer.Option("--log", help="What the log is on, for archive and backlog.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]
Long = Annotated[bool, typer.Option("--long", help="With all: the demos of the memory benchmark too.")]
Machine = Annotated[str | None, typer.Option("--machine", metavar="WORDS", help="What to call this machine.")]
Folder = Annotated[
    Path, typer.Option("--results", metavar="DIR", show_default="benchmarks/results", help="Where the JSON goes.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for."""

    what: Which
    runs: int
    entries: int
    long: bool
    log: LogKind

    def includes(self, one: Which) -> bool:
        """Whether this benchmark is to run."""
        return self.what in (one, Which.ALL)


def main(  # noqa: PLR0913 - each is an option of the command line
    what: What = Which.ALL,
    *,
    runs: Runs = 5,
    entries: Entries = 50_000,
    log: On = LogKind.POSTGRES,
    as_json: Json = False,
    long: Long = False,
    named: Machine = None,
    results: Folder = _HERE / "results",
) -> None:
    """Measure Custody next to floors in the same run: bare clients that do the same work.

    Take the ratios: they hold on a noisy machine too, since the sides take turns.
    """
    wanted = Wanted(what=what, runs=runs, entries=entries, long=long, log=log)
    try:
        found = asyncio.run(_measured(wanted, named or machine.described()))
    except CustodyError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    for _, document in found:
        report.write(results, document)
    if as_json:
        print(json.dumps([document for _, document in found], indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for result, _ in found:
        report.show(console, result)


async def _measured(wanted: Wanted, named: str) -> list[tuple[Result, dict[str, Any]]]:
    with shown(Console(stderr=True)) as tell:
        async with staged() as stage:
            where = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": named,
                "versions": {**machine.versions(), "postgres": await stage.version()},
                "server_settings": SERVER_SETTINGS,
            }
            return [(one, report.document(one, where=where)) async for one in _results(wanted, stage, tell)]


async def _results(wanted: Wanted, stage: Stage, tell: Tell) -> AsyncIterator[Result]:
    if wanted.includes(Which.ARCHIVE):
        yield await archive.measure(stage, entries=wanted.entries, runs=wanted.runs, tell=tell, on=wanted.log)
    if wanted.includes(Which.ARCHIVE_MONGO):
        yield await archive_mongo.measure(stage, entries=wanted.entries, runs=wanted.runs, tell=tell)
    if wanted.includes(Which.BACKLOG):
        yield await backlog.measure(stage, entries=wanted.entries, tell=tell, on=wanted.log)
    if wanted.what is Which.COMPRESSION:
        yield await compression.measure(entries=wanted.entries, runs=wanted.runs, tell=tell)
    if wanted.includes(Which.EDGE):
        yield await edge.measure(stage, sizes=edge.sizes(wanted.entries), runs=wanted.runs, tell=tell)
    if wanted.includes(Which.MEMORY):
        demos = memory.DEMO_SIZES if wanted.long or wanted.what is Which.MEMORY else ()
        yield await memory.measure(stage, tell=tell, progress=_PROGRESS, demos=demos)
    if wanted.includes(Which.MOVING):
        yield await moving.measure(stage, entries=moving.sizes(wanted.entries), tell=tell)
    if wanted.what is Which.PEERS:
        from benchmarks.peers import bench as peers  # noqa: PLC0415 - Kafka's clients come along, for those who use it

        yield await peers.measure(stage, entries=wanted.entries, runs=wanted.runs, tell=tell)
    if wanted.includes(Which.PHOTOS):
        yield await photos.measure(stage, runs=wanted.runs, tell=tell)


if __name__ == "__main__":
    typer.run(main)
