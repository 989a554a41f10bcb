"""`custody copy`: from one store to another."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.acts import Action, Doing
from broker.blob_copies import Throttle
from broker.commands import context, output, stoppable, stores
from broker.commands.context import FailedError, UsageError
from broker.copying import Copied, Copier
from broker.core.tables import PART_RESULTS, RECORDS, TABLES
from broker.findings import line
from broker.settings import setting_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.registry import Tenant

REFUSED = 4
_HOW_TO_GO_ON = "what is copied is passed over when the same command is run again"

BlobsOnly = Annotated[
    bool,
    typer.Option(
        "--blobs-only",
        metavar=" ",
        help="Blobs alone, also while both stores are written: those that parity calls missing.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option("--bytes-per-second", metavar="N", min=1, help="No faster than this, so that others get their share."),
]


def copy(  # noqa: PLR0913, PLR0917 - options of the command line
    left: stores.Left,
    right: stores.Right,
    tenant: context.TenantName = None,
    blobs_only: BlobsOnly = False,  # noqa: FBT002 - a flag of the command line
    bytes_per_second: Rate = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Make RIGHT equal to a snapshot of LEFT: rows, then blobs, all of it checked on the way. Leaves an act on both.

    LEFT may be in use; RIGHT is written by nobody else. It may be cut off and begun again. Nothing is overwritten that
    is never to change: such rows, and those that RIGHT alone has, are named, and the exit code is 4.

    Example: custody copy main other --why "moving to S3 and MongoDB"

    Example: custody copy main other --blobs-only --bytes-per-second 20000000 --why "moving to S3 and MongoDB"
    """
    who, why = context.doer(by), context.required_reason(reason, for_what="copying")
    asked = _Asked(tenant=tenant, blobs_only=blobs_only, who=who, why=why, names=(left, right))
    work = _copied(stores.views(left, right, "registry"), asked, Throttle(bytes_per_second))
    done = stoppable.run(work, how_to_go_on=_HOW_TO_GO_ON)
    if as_json:
        output.document(as_document(done))
    else:
        _show(done)
    if done.refused:
        raise FailedError(REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    tenant: str | None
    blobs_only: bool
    who: str
    why: str
    names: tuple[str, str]


async def _copied(views: stores.Views, asked: _Asked, throttle: Throttle) -> Copied:
    if views.settings.other.write and not asked.blobs_only:
        name = setting_name("other", "write")
        fault = "both stores are written, so that rows copied over would be older than what is there"
        raise UsageError(line(name, fault, "false while rows are copied, or --blobs-only"))
    registered = context.tenants(app.registry(views.settings), asked.tenant)
    async with AsyncExitStack() as exits:
        left, right = [await stores.opened(exits, view) for view in (views.left, views.right)]
        acts = {one.name: await _keep_act(views, asked, one) for one in registered}
        snapshot = await exits.enter_async_context(left.tables.snapshot())
        names = [asked.tenant] if asked.tenant is not None else await snapshot.tenants()
        copier = Copier(
            left=snapshot, left_blobs=left.blobs, right=right.tables, right_blobs=right.blobs, throttle=throttle
        )
        if asked.blobs_only:
            for name, act in acts.items():
                await right.tables.insert(RECORDS, await snapshot.rows(RECORDS, name, [(act,)]))
        elif any([await copier.refuse_ahead(name) for name in names]):
            return copier.done
        else:
            await _copy_rows(copier, names)
            await right.tables.renumber()
        await _copy_blobs(copier, names)
    return copier.done


async def _keep_act(views: stores.Views, asked: _Asked, tenant: Tenant) -> str:
    """Keeps the act in the left store before its snapshot is taken: so it comes to the right one as all else does."""
    doing = Doing(
        action=Action.COPY,
        who=asked.who,
        why=asked.why,
        arguments={"left": asked.names[0], "right": asked.names[1], "what": "blobs" if asked.blobs_only else "all"},
    )
    async with AsyncExitStack() as exits:
        return await context.keep_act(await app.entered(exits, app.open_records(views.left)), doing, tenant)


async def _copy_rows(copier: Copier, names: Sequence[str]) -> None:
    for name in names:
        total = sum([await copier.left.count(table, name) for table in TABLES])
        with stores.progress(f"{name}: rows", total) as step:
            await replace(copier, step=step).rows(name)


async def _copy_blobs(copier: Copier, names: Sequence[str]) -> None:
    for name in names:
        with stores.progress(f"{name}: blobs", await copier.left.count(PART_RESULTS, name)) as step:
            await replace(copier, step=step).blobs(name)


def as_document(done: Copied) -> dict[str, Any]:
    """What was done, as one JSON document."""
    return {
        "complete": not done.refused,
        "rows": {
            table.name: {
                "inserted": done.inserted[table.name],
                "updated": done.updated[table.name],
                "there": done.there[table.name],
            }
            for table in TABLES
        },
        "blobs": dict(done.blobs),
        "bytes": done.bytes,
        "refused": done.refused,
        "first": [output.plain(one) for one in done.first],
    }


def _show(done: Copied) -> None:
    rows = [(one.name, done.inserted[one.name], done.updated[one.name], done.there[one.name]) for one in TABLES]
    output.table("Copied", ("rows of", "inserted", "updated", "there already"), rows)
    output.line(f"blobs: {done.blobs['copied']} copied, {done.bytes} bytes; {done.blobs['there']} there already")
    for one in done.first:
        output.line(f"{one.tenant}: refused: {one}")
    if done.refused > len(done.first):
        output.line(f"and {done.refused - len(done.first)} more")
