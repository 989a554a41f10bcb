"""What `custody report --verify` shows: progress while everything is hashed again, and what came out otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from broker.commands import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from broker.verifying import Step, Verified

_SHOWN = 50


@contextmanager
def progress(tenant: str, *, blobs: int) -> Iterator[Callable[[Step], None]]:
    """A bar for records and one for blobs, on standard error where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {
            "records": bars.add_task(f"{tenant}: records", total=None),
            "blobs": bars.add_task(f"{tenant}: blobs", total=blobs),
        }
        yield lambda step: bars.advance(tasks[step])


def show(found: Mapping[str, Verified]) -> None:
    """A table of how much was hashed again, and a line for each mismatch."""
    columns = ("tenant", "records", "blobs", "not what was kept")
    rows = [(tenant, one.records, one.blobs, len(one.mismatches)) for tenant, one in found.items()]
    output.table("Hashed again", columns, rows)
    for tenant, one in found.items():
        for mismatch in one.mismatches[:_SHOWN]:
            output.line(f"{tenant}: {mismatch}")
        if len(one.mismatches) > _SHOWN:
            output.line(f"{tenant}: and {len(one.mismatches) - _SHOWN} more; --json names them all")


def as_document(one: Verified) -> dict[str, Any]:
    """How much was hashed again, and each mismatch by its record."""
    return {
        "records": one.records,
        "blobs": one.blobs,
        "mismatches": [
            {"record_id": each.record_id, "what": each.what, "part": each.part, "missing": each.missing}
            for each in one.mismatches
        ],
    }
