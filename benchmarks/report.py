"""A result as a table for people and as a JSON document for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.figures import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from benchmarks.figures import Comparison, Result

_MEBIBYTE = 2**20
_DIGITS = 4


def document(result: Result, *, where: Mapping[str, object]) -> dict[str, Any]:
    """Everything measured, every run of it; `where` tells of machine, versions and time."""
    return {
        "benchmark": result.name,
        **where,
        "parameters": dict(result.parameters),
        "comparisons": [_compared(one) for one in result.comparisons],
        "figures": dict(result.figures),
    }


def write(folder: Path, found: Mapping[str, Any]) -> Path:
    """Writes a document to `<benchmark>.json`; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found['benchmark']}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return path


def show(console: Console, result: Result) -> None:
    """Prints the tables."""
    for comparison in result.comparisons:
        console.print(_table(comparison))
    if result.figures:
        table = Table("figure", title=result.name)
        table.add_column("value", justify="right")
        for name, value in result.figures.items():
            table.add_row(name, f"{value:,.2f}".removesuffix(".00"))
        console.print(table)


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "subject": comparison.subject,
        "sides": {side: _side(comparison, side) for side in comparison.samples},
    }


def _side(comparison: Comparison, side: str) -> dict[str, Any]:
    samples = comparison.samples[side]
    found: dict[str, Any] = {f"{name}_per_second": _spread(comparison, side, name) for name in samples[0].counts}
    found["bytes_per_second"] = _rounded(Spread.of(one.bytes_per_second for one in samples))
    found["cpu_microseconds"] = _rounded(Spread.of(one.cpu_microseconds for one in samples))
    found["peak_memory_bytes"] = max(one.peak_memory_bytes for one in samples)
    if side != comparison.subject:
        ratios = comparison.ratios(side)
        found["subject_ratio"] = {**_rounded(Spread.of(ratios)), "pairs": [round(one, _DIGITS) for one in ratios]}
    found["runs"] = [asdict(one) for one in samples]
    return found


def _spread(comparison: Comparison, side: str, count: str) -> dict[str, float]:
    return _rounded(Spread.of(one.rate(count) for one in comparison.samples[side]))


def _rounded(spread: Spread) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(spread).items()}


def _table(comparison: Comparison) -> Table:
    counts = tuple(comparison.samples[comparison.subject][0].counts)
    table = Table("", title=comparison.title, caption="min  median  max; the ratio is the subject's, pair by pair")
    for name in (*(f"{one}/s" for one in counts), "MB/s", f"CPU us/{counts[0].removesuffix('s')}", "peak MB", "ratio"):
        table.add_column(name, justify="right")
    for side in comparison.samples:
        table.add_row(side, *_cells(comparison, side, counts))
    return table


def _cells(comparison: Comparison, side: str, counts: tuple[str, ...]) -> Iterator[str]:
    samples = comparison.samples[side]
    for name in counts:
        yield _told(Spread.of(one.rate(name) for one in samples), ",.0f")
    yield f"{Spread.of(one.bytes_per_second for one in samples).median / 1e6:.1f}"
    yield f"{Spread.of(one.cpu_microseconds for one in samples).median:.1f}"
    yield f"{max(one.peak_memory_bytes for one in samples) / _MEBIBYTE:.0f}"
    yield "" if side == comparison.subject else _told(Spread.of(comparison.ratios(side)), ".2f")


def _told(spread: Spread, form: str) -> str:
    return f"{spread.minimum:{form}}  [bold]{spread.median:{form}}[/]  {spread.maximum:{form}}"
