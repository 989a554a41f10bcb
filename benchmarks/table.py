"""The newest results as a table in Markdown, with the command that made each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_RATE = "_per_second"
_BYTES = "bytes_per_second"


def markdown(documents: Iterable[Mapping[str, Any]]) -> str:
    """Rates beside their floors, then what else was measured; each a row."""
    found = list(documents)
    rates = [row for one in found for row in _rates(one)]
    figures = [row for one in found for row in _figures(one)]
    tables = (
        (("what, and where", "median", "ratio to what did the same (least - most)", "command"), rates),
        (("figure", "value", "command"), figures),
    )
    return "\n\n".join(_table(titles, rows) for titles, rows in tables if rows)


def _rates(document: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for one in document["comparisons"]:
        subject = one["sides"][one["subject"]]
        rates = [
            f"{spread['median']:,.0f} {name.removesuffix(_RATE)}/s"
            for name, spread in subject.items()
            if name.endswith(_RATE) and name != _BYTES
        ]
        rates.append(f"{subject[_BYTES]['median'] / 1e6:,.1f} MB/s")
        ratios = (f"{_ratio(side['subject_ratio'])} of {name}" for name, side in _floors(one))
        yield f"{one['title']}<br>{where(document)}", ", ".join(rates), "<br>".join(ratios), _command(document)


def _floors(comparison: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, side) for name, side in comparison["sides"].items() if name != comparison["subject"])


def _ratio(spread: Mapping[str, float]) -> str:
    return f"**{spread['median']:.2f}** ({spread['minimum']:.2f} - {spread['maximum']:.2f})"


def _figures(document: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name, value in document["figures"].items():
        yield f"{document['benchmark']}: {name}", f"{value:,.2f}".removesuffix(".00"), _command(document)


def where(document: Mapping[str, Any]) -> str:
    """The machine, and the day."""
    return f"{document['machine']}, {document['at'][:10]}"


def _command(document: Mapping[str, Any]) -> str:
    return f"`{document['command']}`" if "command" in document else ""


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_row(one) for one in (titles, ["---"] * len(titles), *rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
