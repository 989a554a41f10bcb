"""The two stores that `parity` and `copy` work on: by a name, or by a file of settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from broker import app
from broker.commands import context
from broker.commands.context import UsageError
from broker.core.ports import BlobStore
from broker.core.ports.tables import TableStore
from broker.findings import line
from broker.settings import Settings
from broker.store_settings import OtherStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AsyncExitStack


MAIN, OTHER = "main", "other"
_WHICH = "main, other (the second store of the settings), or a file of settings, whose main store is meant"

Step: TypeAlias = Callable[[int], None]
"""Is told of so many more that were looked at."""

Left = Annotated[str, typer.Argument(metavar="LEFT", help=f"The first store: {_WHICH}.")]
Right = Annotated[str, typer.Argument(metavar="RIGHT", help="The second store, likewise.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The settings of the command, and those whose main store is the left one and the right one."""

    settings: Settings
    left: Settings
    right: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """A store as rows and blobs."""

    tables: TableStore
    blobs: BlobStore


def views(left: str, right: str, *needs: str) -> Views:
    """Whose settings each store has. `UsageError` where both are one."""
    if left == right:
        raise UsageError(line("RIGHT", f"is {left}, as LEFT is", f"{MAIN} {OTHER}"))
    named = {"records", "blobs"} if MAIN in {left, right} else set[str]()
    named |= {"other"} if OTHER in {left, right} else set()
    settings = context.load(*sorted(named | set(needs)))
    return Views(settings=settings, left=_view(settings, left), right=_view(settings, right))


def _view(settings: Settings, name: str) -> Settings:
    """Without a second store, so that what is opened is the one store that is meant."""
    found = settings if name == MAIN else settings.second() if name == OTHER else app.settings_of(Path(name))
    if found is None:
        raise UsageError(line("LEFT, RIGHT", "the settings have no other store", "CUSTODY_OTHER__STORE=s3_mongo"))
    alone: Settings = found if name == OTHER else found.model_copy(update={"other": OtherStore()})
    return alone


async def opened(exits: AsyncExitStack, view: Settings) -> OpenStore:
    """A store, open, on servers of Custody's own where the settings want them."""
    await context.with_servers(exits, view, log=False)
    return OpenStore(
        tables=await app.entered(exits, app.open_tables(view)),
        blobs=await app.entered(exits, app.open_blobs(view)),
    )


@contextmanager
def progress(what: str, total: int) -> Iterator[Step]:
    """A bar on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
