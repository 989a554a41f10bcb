"""Costs as figures of a result, and back again into the file that comes with Custody. Pure, but for `ship`."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.costs import guide
from broker.sizing.costs import RECORDED, Costs, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FULL_ENTRIES = 50_000
SOURCES: Mapping[str, str] = {
    "edge": "edge: bodies of 1 and of 10 items, as fast as one process takes them",
    "text": "archive: texts alone, one worker",
    "document": "archive: documents alone, one worker",
    "status": "archive: statuses alone, one worker",
    "part": "archive: results of parts alone, one worker",
    "receipt": "archive: receipts alone, one worker; rows from the command on",
    "scan": "media: texts looked at for parts",
    "fetch": "media: documents of 60 kB into Postgres",
    "relay": "relay: targets that are due",
    "erase": "erase: deletions by a provider that answers at once",
}
"""By section of `costs.json`: what of this benchmark its figures come from."""
_BLOBS = "blob_bytes_a_byte"


def figures(found: Sequence[Costs]) -> Iterator[tuple[str, float]]:
    """The median of each cost, by section and name."""
    rounds = [msgspec.to_builtins(one) for one in found]
    for section in SOURCES:
        for name in rounds[0][section]:
            if name != "source":
                yield f"{section}: {name}", median(one[section][name] for one in rounds)
    yield _BLOBS, median(one[_BLOBS] for one in rounds)


def costs_of(document: Mapping[str, Any]) -> Costs:
    """The costs in a result's document, with its machine and time."""
    measured = document["figures"]
    sections = {
        section: {"source": source}
        | {
            name.removeprefix(f"{section}: "): value
            for name, value in measured.items()
            if name.startswith(f"{section}: ")
        }
        for section, source in SOURCES.items()
    }
    origin = {name: document[name] for name in ("machine", "at", "command")}
    parts = {"part_bytes": document["parameters"]["part_bytes"], _BLOBS: measured[_BLOBS]}
    return msgspec.convert({**origin, "note": _note(document), **parts, **sections}, Costs)


def ship(document: Mapping[str, Any]) -> None:
    """Writes what was measured to where `custody size` finds it, and what that says into the guide."""
    record(costs_of(document), RECORDED)
    guide.renew()


def _note(document: Mapping[str, Any]) -> str:
    entries = document["parameters"]["entries"]
    if entries >= FULL_ENTRIES:
        return ""
    return f"measured in miniature, with {entries:,} entries: to be measured anew before anybody relies on it"
