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

    from benchmarks.figures import Comparison, Latency, Result, Series

_MEBIBYTE = 2**20
_DIGITS = 4
_QUANTILES = {"median": "median", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "maximum": "max"}
"""Fields of `Quantiles`, and what they are called in a table."""


def document(result: Result, *, where: Mapping[str, object]) -> dict[str, Any]:
    """Everything measured, every run of it; `where` tells of machine, versions and time."""
    return {
        "benchmark": result.name,
        **where,
        "parameters": dict(result.parameters),
        "comparisons": [_compared(one) for one in result.comparisons],
        "latencies": [_delayed(one) for one in result.latencies],
        "figures": {name: round(value, _DIGITS) for name, value in result.figures.items()},
        "series": [_drawn(one) for one in result.series],
    }


def write(folder: Path, found: Mapping[str, Any]) -> Path:
    """Writes a document to `<benchmark>.json`; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found['benchmark']}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return path


def read(folder: Path) -> list[dict[str, Any]]:
    """The documents that were written to a folder, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def show(console: Console, result: Result) -> None:
    """Prints the tables."""
    for comparison in result.comparisons:
        console.print(_table(comparison))
    for latency in result.latencies:
        console.print(_latency_table(latency))
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


def _drawn(series: Series) -> dict[str, Any]:
    lines = {name: [[round(one, _DIGITS) for one in point] for point in line] for name, line in series.lines.items()}
    return {"title": series.title, "x": series.x, "y": series.y, "powers": series.powers, "lines": lines}


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
    cost = f"CPU us/{counts[0].removesuffix('s')}"
    table = Table(
        "", title=comparison.title, caption="median, and from least to most; ratios pair by pair", min_width=80
    )
    for name in (*(f"{one}/s" for one in counts), "from - to", "MB/s", cost, "peak MB", "ratio", "from - to"):
        table.add_column(name, justify="right", no_wrap=True)
    for side in comparison.samples:
        table.add_row(side, *_cells(comparison, side, counts))
    return table


def _cells(comparison: Comparison, side: str, counts: tuple[str, ...]) -> Iterator[str]:
    samples = comparison.samples[side]
    for name in counts:
        yield f"[bold]{Spread.of(one.rate(name) for one in samples).median:,.0f}[/]"
    yield _range(Spread.of(one.rate(counts[-1]) for one in samples), ",.0f")
    yield f"{Spread.of(one.bytes_per_second for one in samples).median / 1e6:.1f}"
    yield f"{Spread.of(one.cpu_microseconds for one in samples).median:,.1f}"
    yield f"{max(one.peak_memory_bytes for one in samples) / _MEBIBYTE:.0f}"
    if side == comparison.subject:
        yield from ("", "")
        return
    ratios = Spread.of(comparison.ratios(side))
    yield f"[bold]{ratios.median:.2f}[/]"
    yield _range(ratios, ".2f")


def _range(spread: Spread, form: str) -> str:
    return f"{spread.minimum:{form}} - {spread.maximum:{form}}"


def _delayed(latency: Latency) -> dict[str, Any]:
    return {
        "title": latency.title,
        "subject": latency.subject,
        "sides": {side: _delayed_side(latency, side) for side in latency.runs},
    }


def _delayed_side(latency: Latency, side: str) -> dict[str, Any]:
    runs = latency.runs[side]
    found: dict[str, Any] = {f"{name}_milliseconds": _rounded(_quantile(latency, side, name)) for name in _QUANTILES}
    found["p99_over_median"] = _rounded(Spread.of(one.tail for one in runs))
    if side != latency.subject:
        found["subject_ratio"] = {name: _rounded(Spread.of(latency.ratios(side, name))) for name in _QUANTILES}
    found["runs"] = [asdict(one) for one in runs]
    return found


def _quantile(latency: Latency, side: str, name: str) -> Spread:
    return Spread.of(getattr(one, name) for one in latency.runs[side])


def _latency_table(latency: Latency) -> Table:
    caption = "milliseconds since the request was due: median of the runs; max of all. Ratios pair by pair"
    table = Table("", title=latency.title, caption=caption, min_width=80)
    for name in ("requests", *_QUANTILES.values(), "99 % / median", "from - to"):
        table.add_column(name, justify="right", no_wrap=True)
    for side, runs in latency.runs.items():
        *most, last = (_quantile(latency, side, name) for name in _QUANTILES)
        tails = Spread.of(one.tail for one in runs)
        quantiles = (*(f"{one.median:,.1f}" for one in most), f"{last.maximum:,.1f}")
        table.add_row(side, f"{runs[0].count:,}", *quantiles, f"[bold]{tails.median:.1f}[/]", _range(tails, ".1f"))
    for side in latency.runs:
        if side != latency.subject:
            ratios = (Spread.of(latency.ratios(side, name)).median for name in _QUANTILES)
            table.add_row(f"ratio to {side}", "", *(f"{one:.1f} x" for one in ratios), "", "")
    return table
