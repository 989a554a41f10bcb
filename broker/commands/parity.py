"""`custody parity`: whether two stores hold the same, and where not."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from broker import parity as comparing
from broker.commands import context, output, stoppable, stores
from broker.commands.context import FailedError, UsageError
from broker.core.errors import StoreUnavailableError
from broker.findings import line
from broker.parity import Found, Side, Wanted, Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.parity import Root

DIFFERENT = 4
_SAVE_SECONDS = 2.0
_NO_DIGESTS = "no digests: a store did not keep its rows as they were at one moment for so long"
_BEGIN_AGAIN = "nothing was saved; with --resume FILE the next run could have gone on"

Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="WHEN", help="Records received at this time or later, and their parts; all targets. In UTC."
    ),
]
Conversation = Annotated[
    str | None, typer.Option("--conversation", metavar="ID", help="This conversation only, with its digest.")
]
Quick = Annotated[
    bool, typer.Option("--quick", metavar=" ", help="Take the blob store's word for its blobs: read none of them.")
]
First = Annotated[int, typer.Option("--first", metavar="N", min=0, help="Name so many differences; all are counted.")]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="FILE", help="Save how far it is in this file, and go on from what is in it."),
]


def parity(  # noqa: PLR0913, PLR0917 - options of the command line
    left: stores.Left,
    right: stores.Right,
    tenant: context.TenantName = None,
    since: Since = None,
    conversation: Conversation = None,
    quick: Quick = False,  # noqa: FBT002 - a flag of the command line
    first: First = 20,
    resume: Resume = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Compare two stores: one digest each over records, parts and targets of every tenant, and every blob's bytes.

    Exit code 0: they hold the same. 4: they do not, and the first differences are named. Either may be written
    meanwhile: each is read as it was at one moment, so let both come to rest for a sure answer.

    Example: custody parity main other

    Example: custody parity main other --tenant acme --since 2026-11-01 --resume /var/tmp/parity.json
    """
    wanted = Wanted(since=_time(since), conversation=conversation, quick=quick, first=first)
    asked = [left, right, tenant or "", since or "", conversation or "", str(quick), str(first)]
    saved = _Saved.load(resume, asked)
    how_to_go_on = _BEGIN_AGAIN if resume is None else f"the same command goes on from what is in {resume}"
    stoppable.run(_compared(stores.views(left, right), tenant, wanted, saved), how_to_go_on=how_to_go_on)
    found = list(saved.found.values())
    if resume is not None:
        resume.unlink(missing_ok=True)
    is_same = all(one.is_same for one in found)
    if as_json:
        output.document({"same": is_same, "tenants": {one.tenant: as_document(one) for one in found}})
    else:
        _show(found)
    if not is_same:
        raise FailedError(DIFFERENT)


async def _compared(views: stores.Views, tenant: str | None, wanted: Wanted, saved: _Saved) -> None:
    """Goes on with later snapshots where a store does not keep one for long enough, as MongoDB does not.

    Where the latest did not bring it further, and only digests of conversations are missing, it does without them.
    """
    async with AsyncExitStack() as exits:
        both = [await stores.opened(exits, view) for view in (views.left, views.right)]
        stood = -1
        while True:
            try:
                return await _on_snapshots(both, tenant, wanted, saved)
            except StoreUnavailableError:
                if saved.rows <= stood and not saved.give_up_digests():
                    raise
                stood = saved.rows


async def _on_snapshots(both: Sequence[stores.OpenStore], tenant: str | None, wanted: Wanted, saved: _Saved) -> None:
    async with AsyncExitStack() as exits:
        left, right = [
            Side(snapshot=await exits.enter_async_context(one.tables.snapshot()), blobs=one.blobs) for one in both
        ]
        for name in [tenant] if tenant is not None else await comparing.tenants(left, right):
            found = saved.found.setdefault(name, Found(tenant=name))
            if found.is_done:
                continue
            with stores.progress(name, await comparing.amount(left, name)) as step:
                step(found.rows)
                await comparing.compare(left, right, wanted, found, Watcher(step=step, save=saved.save))


class _State(msgspec.Struct):
    """What is in the file of `--resume`: ids and digests, no content."""

    asked: list[str]
    found: dict[str, Found]


@dataclass(slots=True)
class _Saved:
    """What was found so far, and the file it is saved in now and then."""

    path: Path | None
    asked: list[str]
    found: dict[str, Found] = field(default_factory=dict)
    saved_at: float = 0.0

    @classmethod
    def load(cls, path: Path | None, asked: list[str]) -> _Saved:
        if path is None or not path.exists():
            return cls(path, asked)
        try:
            state = msgspec.json.decode(path.read_bytes(), type=_State)
        except (OSError, msgspec.DecodeError):
            fault = f"{path}: is not what an earlier run saved"
            raise UsageError(line("--resume", fault, "a file that is not there yet")) from None
        if state.asked != asked:
            fault = f"{path}: was saved by a run with other stores or options"
            raise UsageError(line("--resume", fault, "the same command again, or another file"))
        return cls(path, asked, state.found)

    @property
    def rows(self) -> int:
        """How many were compared so far."""
        return sum(one.rows for one in self.found.values())

    def give_up_digests(self) -> bool:
        """Ends the tenant of which only the digests of conversations are missing; whether there is one."""
        for one in self.found.values():
            if one.is_compared and not one.is_done:
                one.is_done = True
                return True
        return False

    def save(self) -> None:
        """Replaces the file, so that it is never there by half."""
        if self.path is None or time.monotonic() - self.saved_at < _SAVE_SECONDS:
            return
        beside = self.path.with_name(f"{self.path.name}.new")
        beside.write_bytes(msgspec.json.encode(_State(self.asked, self.found)))
        beside.replace(self.path)
        self.saved_at = time.monotonic()


def as_document(found: Found) -> dict[str, Any]:
    """One tenant's outcome: roots in hex, counts, the first differences; null for digests that could not be had."""
    return {
        "same": found.is_same,
        **{
            kind: {"left": _root(one.left), "right": _root(one.right), "same": one.left == one.right}
            for kind, one in found.kinds.items()
        },
        "blobs": found.blobs,
        "differences": found.differences,
        "first": [output.plain(one) for one in found.first],
        "conversations": {
            name: None if digests is None else {"left": digests[0], "right": digests[1]}
            for name, digests in found.conversations.items()
        },
    }


def _root(root: Root) -> dict[str, Any]:
    return {"digest": root.digest.hex(), "rows": root.rows}


def _show(found: Sequence[Found]) -> None:
    columns = ("tenant", "of", "left", "right", "rows left", "rows right")
    rows = [
        (one.tenant, kind, stand.left.digest.hex(), stand.right.digest.hex(), stand.left.rows, stand.right.rows)
        for one in found
        for kind, stand in one.kinds.items()
    ]
    output.table("Digests", columns, rows)
    for one in found:
        output.line(f"{one.tenant}: {one.blobs} blobs; {one.differences or 'no'} differences")
        for difference in one.first:
            output.line(f"{one.tenant}: {difference}")
        if one.differences > len(one.first):
            output.line(f"{one.tenant}: and {one.differences - len(one.first)} more: see --first")
        for name, digests in one.conversations.items():
            shown = _NO_DIGESTS if digests is None else " ".join(digests)
            output.line(f"{one.tenant}: conversation {name}: {shown}")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            line("--since", "is not a date or a time", "2026-11-23 or 2026-11-23T12:00:00+02:00")
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
