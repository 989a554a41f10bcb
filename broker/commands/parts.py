"""`custody part`: photos, voice notes and documents whose bytes are not kept: given up, or still open."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import NotFoundError
from broker.core.values import replace
from broker.workers.media.scan import task_entry, tasks_of

if TYPE_CHECKING:
    from broker.core.model import FetchTask
    from broker.core.ports import KeptRecord, RecordStore, UnkeptPart
    from broker.core.registry import Registry, Tenant

commands = typer.Typer(no_args_is_help=True, help="Photos, voice notes and documents that are not kept.")

_PATIENCE = timedelta(days=1)
"""For how long a part is tried that a person asks for again, though the provider's own deadline may be over."""

RecordId = Annotated[str, typer.Argument(metavar="RECORD", help="The record's id, as 'part list' has it.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Which of its parts; they count from 1.")]


@commands.command("list")
def list_parts(tenant: context.TenantName = None, as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag
    """List the parts that are not kept: those given up, and why, and those still open.

    Example: custody part list --tenant acme
    """
    found = context.run(_listed(tenant))
    if as_json:
        output.document(found)
        return
    columns = ("record", "part", "tenant", "kind", "state", "reason", "since", "target")
    output.table("Parts not kept", columns, [tuple(one.values()) for one in found])


@commands.command("refetch")
def refetch(
    record: RecordId,
    number: Number,
    tenant: context.TenantName = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Ask for a part again that was given up, or whose task was lost with the log. Leaves an act.

    It is tried for a day. If its bytes come after all, the part is kept and its erasure comes due; else it is lost.

    Example: custody part refetch rec_kq3nf2xw5d7yzr4tjm6pbhcvea2gsuol 1 --reason "the limit was raised"
    """
    who, why = context.doer(by), context.required_reason(reason, for_what="asking again")
    target = context.run(_refetched(record, number, tenant, Doing(action=Action.REFETCH, who=who, why=why)))
    if as_json:
        output.document({"record": record, "part": number, "target": target})
    else:
        output.line(f"part {number} of {record} is asked for again")


async def _listed(tenant: str | None) -> list[dict[str, Any]]:
    async with context.opened_store() as opened:
        return [
            _as_document(one.name, part)
            for one in context.tenants(opened.registry, tenant)
            async for part in opened.store.unkept_parts(one.name)
        ]


async def _refetched(record_id: str, number: int, tenant: str | None, doing: Doing) -> str:
    async with context.opened_store("log") as opened:
        log = await app.entered(opened.exits, app.open_log(opened.settings))
        of, kept = await _find(opened.store, opened.registry, record_id, number, tenant)
        task = next(one for one in tasks_again(kept) if one.media.part == number)
        about = replace(doing, about=(record_id,), arguments={"part": str(number)})
        await context.keep_act(opened.store, about, of)
        await log.append([task_entry(task)])
        return task.target_id


async def _find(
    store: RecordStore, registry: Registry, record_id: str, number: int, tenant: str | None
) -> tuple[Tenant, KeptRecord]:
    """The record that names a part whose bytes are not kept."""
    for of in context.tenants(registry, tenant):
        async for part in store.unkept_parts(of.name):
            if (part.record_id, part.number) == (record_id, number):
                kept = await store.record(of.name, record_id)
                if kept is not None:
                    return of, kept
    raise NotFoundError(f"part {number} of {record_id} is no part that lacks its bytes: custody part list")


def tasks_again(kept: KeptRecord) -> list[FetchTask]:
    """A record's fetch tasks, to be tried afresh. A variant's are addressed to the original's id, as ever."""
    fetch_by = app.now() + _PATIENCE
    return [
        replace(task, record_id=kept.variant_of or task.record_id, attempt=1, fetch_by=max(task.fetch_by, fetch_by))
        for task in tasks_of(kept.record)
    ]


def _as_document(tenant: str, part: UnkeptPart) -> dict[str, Any]:
    return {
        "record": part.record_id,
        "part": part.number,
        "tenant": tenant,
        "kind": part.media_kind,
        "state": part.state,
        "reason": part.reason,
        "since": part.since,
        "target": part.target_id,
    }
