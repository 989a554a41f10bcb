"""What was measured, drawn: rates beside their floors as bars, how something went as lines; PNG and SVG of each.

Colours are Okabe and Ito's, which colour-blind people can tell apart too; sides are named beside their bars and lines.
Source: https://jfly.uni-koeln.de/color/ (2026-11).
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.table import where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    Document = Mapping[str, Any]

BLUE, GREY, INK = "#0072B2", "#999999", "#333333"
LINES = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "custody",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_WIDTH_INCHES = 9.0
_BAR_INCHES, _LINES_INCHES, _MARGIN_INCHES = 0.42, 2.6, 0.9
_ROOM_FOR_WORDS, _ROOM_ABOVE = 1.7, 1.08
_WHOLE_FROM = 10
_MARKS = 50
_FORMATS: Mapping[str, Mapping[str, Any]] = {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}
"""How each is saved. Without its date, a plot of the same results is the same file."""


def draw_all(documents: Iterable[Document], folder: Path) -> Iterator[Path]:
    """Draws each document that has anything to draw into a folder; the files."""
    for one in documents:
        if one["comparisons"] or one.get("series"):
            yield from draw(one, folder)


def draw(document: Document, folder: Path) -> Sequence[Path]:
    """Draws a document's comparisons and series, one below the other; the files, named after the benchmark."""
    comparisons, series = document["comparisons"], document.get("series", ())
    heights = [_MARGIN_INCHES + _BAR_INCHES * len(one["sides"]) for one in comparisons]
    heights += [_MARGIN_INCHES + _LINES_INCHES] * len(series)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
        all_axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, one in zip(all_axes, comparisons, strict=False):
            _draw_bars(axes, one)
        for axes, one in zip(all_axes[len(comparisons) :], series, strict=True):
            _draw_lines(axes, one)
        figure.supxlabel(_footer(document), x=0.995, ha="right", fontsize=8, color=GREY)
        paths = [folder / f"{document['benchmark']}.{name}" for name in _FORMATS]
        for path, options in zip(paths, _FORMATS.values(), strict=True):
            figure.savefig(path, **options)
    return paths


def _draw_bars(axes: Axes, comparison: Mapping[str, Any]) -> None:
    """A bar for each side's median, the least and most on it, and the subject's ratio to it beside it."""
    sides, subject = comparison["sides"], comparison["subject"]
    unit = [name for name in sides[subject] if name.endswith("_per_second") and name != "bytes_per_second"][-1]
    spreads = [one[unit] for one in sides.values()]
    medians = [one["median"] for one in spreads]
    reach = ([one["median"] - one["minimum"] for one in spreads], [one["maximum"] - one["median"] for one in spreads])
    axes.barh(
        range(len(sides)),
        medians,
        xerr=reach,
        color=[BLUE if name == subject else GREY for name in sides],
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 3},
        height=0.65,
    )
    axes.set_yticks(range(len(sides)), [textwrap.fill(name, 26) for name in sides])
    axes.invert_yaxis()
    for place, (side, spread) in enumerate(zip(sides.values(), spreads, strict=True)):
        axes.annotate(
            _said(side, spread, subject),
            (spread["maximum"], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlim(0, _ROOM_FOR_WORDS * max(one["maximum"] for one in spreads))
    axes.set_title(comparison["title"])
    _label(axes, x=unit.removesuffix("_per_second") + "/s, median; lines from least to most")
    axes.tick_params(axis="y", length=0)


def _said(side: Mapping[str, Any], spread: Mapping[str, float], subject: str) -> str:
    rate, moved = spread["median"], side["bytes_per_second"]["median"] / 1e6
    said = f"{rate:,.0f}" if rate >= _WHOLE_FROM else f"{rate:.2g}"
    ratio = f"   {subject} / this: {side['subject_ratio']['median']:.2f}" if "subject_ratio" in side else ""
    return f"{said}   {moved:,.1f} MB/s{ratio}"


def _draw_lines(axes: Axes, series: Mapping[str, Any]) -> None:
    """Lines from nought up; where there are few points, each is marked."""
    lines = series["lines"]
    few = sum(map(len, lines.values())) <= _MARKS
    for colour, (name, points) in zip(LINES, lines.items(), strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, marker="o" if few else "", label=name)
    if series["powers"]:
        axes.set_xscale("log")
    axes.set_ylim(0, _ROOM_ABOVE * max(y for points in lines.values() for _, y in points) or 1)
    axes.grid(axis="y", color=GREY, alpha=0.3, linewidth=0.6)
    axes.set_title(series["title"])
    axes.set_ylabel(series["y"])
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    _label(axes, x=series["x"])
    if len(lines) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _label(axes: Axes, *, x: str) -> None:
    axes.set_xlabel(x)
    axes.xaxis.set_major_formatter(FuncFormatter(_number))


def _number(value: float, _place: int | None = None) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,g}"


def _footer(document: Document) -> str:
    versions = document["versions"]
    return f"{where(document)}, Postgres {versions['postgres']}, Python {versions['python']}"
