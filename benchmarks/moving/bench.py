"""`custody copy` and `custody parity` from Postgres to MongoDB and S3: what ten times the records add to memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.children import ChildFailedError, outcome
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Result
from benchmarks.moving.command import CommandOrders, CommandOutcome
from benchmarks.moving.stores import PARTS_A_PHOTO, PHOTO_BYTES, Filled, other_servers, two_stores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.machine import Spent
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "copy": ("copy", "main", "other", "--why", "a benchmark", "--json"),
    "parity": ("parity", "main", "other", "--json"),
}
_MEBIBYTE = 2**20
_TIMES_LARGER = 10


def sizes(entries: int) -> tuple[int, int]:
    """Records at each size, about."""
    return entries // _TIMES_LARGER, entries


async def measure(stage: Stage, *, entries: Sequence[int], tell: Tell) -> Result:
    """At each size: a filled store is copied to an empty one, then both are compared, each in a process of its own."""
    found: dict[int, dict[str, Spent]] = {}
    photos: list[int] = []
    async with other_servers() as others:
        for done, amount in enumerate(entries):
            tell(f"moving: {amount:,} records", done, len(entries))
            async with two_stores(stage, others, amount) as filled:
                found[filled.records] = {name: await _run(name, filled) for name in _COMMANDS}
                photos.append(filled.photos)
    parameters = {
        "records": list(found),
        "photos": photos,
        "photo_bytes": PHOTO_BYTES,
        "parts_a_photo": PARTS_A_PHOTO,
    }
    return Result(name="moving", parameters=parameters, figures=_figures(found))


async def _run(name: str, filled: Filled) -> Spent:
    """A command's cost, once it is sure that it did all there was to do."""
    orders = CommandOrders(settings=str(filled.settings), arguments=_COMMANDS[name])
    ended = await outcome("moving.command", orders, CommandOutcome)
    if ended.code:
        raise ChildFailedError(f"custody {name} ended with exit code {ended.code}")
    said = json.loads(ended.output)
    if name == "copy":
        amounts = said["rows"]["records"]["inserted"], said["blobs"]["copied"]
    else:
        (one,) = said["tenants"].values()
        amounts = one["records"]["left"]["rows"], one["blobs"] // 2
    # The copy's act comes on top.
    if amounts != (filled.records + 1, filled.photos):
        raise NotTheSameError(f"custody {name}: {amounts} of {filled.records} records and {filled.photos} photos")
    return ended.spent


def _figures(found: Mapping[int, Mapping[str, Spent]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    smallest, largest = min(found), max(found)
    for name in _COMMANDS:
        for records, spent in found.items():
            title = f"{name} of {records:,} records"
            figures[f"{title}: peak MiB"] = spent[name].peak_memory_bytes / _MEBIBYTE
            figures[f"{title}: seconds"] = spent[name].seconds
        ratio = found[largest][name].peak_memory_bytes / found[smallest][name].peak_memory_bytes
        figures[f"{name}, peak at {largest:,} over peak at {smallest:,}"] = ratio
    return figures
