"""`python -m benchmarks`: measures, prints a table, and writes JSON beside it; draws and lists what was measured."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from benchmarks import machine, report, table
from benchmarks.catalogue import BENCHMARKS, CACHE, FULL, HOT, RESULTS, SETS, Wanted, steps
from benchmarks.logs import LogKind
from benchmarks.progress import Progress
from benchmarks.running import Run
from benchmarks.stage import staged
from broker.core.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH = 120
_CACHES = "bench-*.json"
_DEFAULT = Wanted(what=HOT)
_SIZES = ",".join(map(str, _DEFAULT.sizes))
_SHOWN: Mapping[str, str] = {
    "plot": "draw what was measured, as PNG and SVG beside it (make plots)",
    "table": "print what was measured as a table in Markdown",
}


def _known(what: str) -> str:
    names = (*BENCHMARKS, *SETS, *_SHOWN)
    if what not in names:
        raise typer.BadParameter(f"{what!r} is none of {', '.join(names)}")
    return what


def _sizes(typed: str) -> str:
    sizes = set(typed.split(","))
    if len(sizes) == 1 or not all(one.isdecimal() and int(one) for one in sizes):
        raise typer.BadParameter("several numbers of records, for example 100000,1000000")
    return typed


_HELP = "; ".join(
    f"{name}: {about}"
    for name, about in ({name: one.about for name, one in BENCHMARKS.items()} | dict(SETS) | dict(_SHOWN)).items()
)
What = Annotated[str, typer.Argument(callback=_known, metavar="WHAT", help=_HELP)]
Runs = Annotated[int, typer.Option("--runs", min=1, help="How often each side has its turn, after one to warm up.")]
Entries = Annotated[int, typer.Option("--entries", min=1000, help="Log entries in a run, about.")]
On = Annotated[LogKind, typer.Option("--log", help="What the log is on, for those that run on either.")]
Sizes = Annotated[str, typer.Option("--sizes", callback=_sizes, help="Records in the stores of growth.")]
Minutes = Annotated[float, typer.Option("--minutes", min=1, help="How long soak sends.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]
Long = Annotated[bool, typer.Option("--long", help="With all: those that take long, too.")]
Anew = Annotated[bool, typer.Option("--anew", help="Forget what was measured before an interruption.")]
Machine = Annotated[str | None, typer.Option("--machine", metavar="WORDS", help="What to call this machine.")]
Folder = Annotated[
    Path, typer.Option("--results", metavar="DIR", show_default="benchmarks/results", help="Where the JSON goes.")
]


def main(  # noqa: PLR0913 - each is an option of the command line
    what: What = _DEFAULT.what,
    *,
    runs: Runs = _DEFAULT.runs,
    entries: Entries = _DEFAULT.entries,
    log: On = _DEFAULT.log,
    sizes: Sizes = _SIZES,
    minutes: Minutes = _DEFAULT.minutes,
    as_json: Json = False,
    long: Long = False,
    anew: Anew = False,
    named: Machine = None,
    results: Folder = RESULTS,
) -> None:
    """Measure Custody next to floors in the same run: bare clients that do the same work.

    Take the ratios: they hold on a noisy machine too, since the sides take turns.
    """
    if what in _SHOWN:
        _show(what, results)
        return
    wanted = Wanted(
        what=what,
        runs=runs,
        entries=entries,
        log=log,
        sizes=tuple(map(int, sizes.split(","))),
        minutes=minutes,
    )
    if anew:
        for path in CACHE.glob(_CACHES):
            path.unlink()
    run = Run(
        machine=named or machine.described(),
        results=results,
        progress=Progress(CACHE / "bench-full.json") if what == FULL else None,
        console=None if as_json else Console(width=None if sys.stdout.isatty() else _WIDTH),
    )
    try:
        documents = asyncio.run(_measured(run, steps(wanted, long=long)))
    except CustodyError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(documents, indent=2))


async def _measured(run: Run, wanted: Sequence[Wanted]) -> Sequence[Mapping[str, Any]]:
    async with staged() as stage:
        return await run.through(stage, wanted)


def _show(what: str, results: Path) -> None:
    documents = report.read(results)
    if what == "table":
        print(table.markdown(documents))
        return
    from benchmarks import plots  # noqa: PLC0415 - matplotlib is there for those who ask for plots

    for path in plots.draw_all(documents, results):
        print(path)


if __name__ == "__main__":
    typer.run(main)
