"""`custody blocked`: provider objects whose erasure waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import NotFoundError, UsageError
from broker.core.erasure import TargetState
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Collection

    from broker.core.ports import KeptTarget, RecordStore

commands = typer.Typer(no_args_is_help=True, help="Erasures that wait for a person: refused, or in doubt.")

Targets = Annotated[list[str] | None, typer.Argument(metavar="[TARGET...]", help="Ids as 'blocked list' has them.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Its id as 'blocked list' has it.")]
Everything = Annotated[bool, typer.Option("--all", metavar=" ", help="All blocked ones, of --tenant if it is given.")]


@commands.command("list")
def list_blocked(tenant: context.TenantName = None, as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag
    """List what is blocked.

    Example: custody blocked list --tenant acme
    """
    found = context.run(_listed(tenant))
    if as_json:
        output.document(found)
        return
    columns = ("target", "tenant", "account", "object", "expires")
    output.table("Blocked", columns, [tuple(one.values()) for one in found])


@commands.command("release")
def release(
    targets: Targets = None,
    everything: Everything = False,  # noqa: FBT002 - a flag of the command line
    tenant: context.TenantName = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Try blocked erasures again, once a person saw to the cause. Leaves an act.

    What is kept comes due again. What never was kept is not erased: it becomes residue, until its day.

    Example: custody blocked release --all --tenant acme --reason "token renewed"

    Example: custody blocked release tgt_kq3nf2xw5d7yzr4tjm6pbhcvea2gsuol --reason "token renewed"
    """
    if bool(targets) == everything:
        raise UsageError(line("TARGET", "name targets, or give --all, and not both", "custody blocked release --all"))
    who, why = context.doer(by), context.required_reason(reason, for_what="releasing")
    released = context.run(_released(frozenset(targets or ()), tenant, who, why))
    if as_json:
        output.document({"released": released})
    else:
        output.line(f"released {released}")


@commands.command("accept")
def accept(
    target: Target,
    tenant: context.TenantName = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Take a blocked object for gone, on a person's word. Leaves an act.

    Only where it is known of every part that names it whether its bytes are kept or lost.

    Example: custody blocked accept tgt_kq3nf2xw5d7yzr4tjm6pbhcvea2gsuol --reason "Meta says it was deleted"
    """
    who, why = context.doer(by), context.required_reason(reason, for_what="accepting")
    context.run(_accepted(target, tenant, Doing(action=Action.ACCEPT_GONE, who=who, why=why, arguments={"1": target})))
    if as_json:
        output.document({"accepted": target})
    else:
        output.line(f"{target} is taken for gone")


async def _listed(tenant: str | None) -> list[dict[str, Any]]:
    async with context.opened_store() as opened:
        return [
            _as_document(one.name, target)
            for one in context.tenants(opened.registry, tenant)
            for target in await _blocked(opened.store, one.name)
        ]


async def _released(targets: Collection[str], tenant: str | None, who: str, why: str) -> int:
    async with context.opened_store() as opened:
        count = 0
        for of in context.tenants(opened.registry, tenant):
            there = [one.target_id for one in await _blocked(opened.store, of.name)]
            wanted = [one for one in there if not targets or one in targets]
            if wanted:
                arguments = {str(number): one for number, one in enumerate(wanted, 1)}
                await context.keep_act(
                    opened.store, Doing(action=Action.UNBLOCK, who=who, why=why, arguments=arguments), of
                )
                count += await opened.store.unblock(of.name, wanted)
        return count


async def _accepted(target: str, tenant: str | None, doing: Doing) -> None:
    async with context.opened_store() as opened:
        for of in context.tenants(opened.registry, tenant):
            if target in [one.target_id for one in await _blocked(opened.store, of.name)]:
                await context.keep_act(opened.store, doing, of)
                if await opened.store.accept_gone(of.name, [target]):
                    return
                raise NotFoundError(f"{target}: a part that names it is still to be fetched; wait for it")
        raise NotFoundError(f"{target} is not blocked: custody blocked list")


async def _blocked(store: RecordStore, tenant: str) -> list[KeptTarget]:
    return [one async for one in store.targets(tenant) if one.state == TargetState.BLOCKED]


def _as_document(tenant: str, target: KeptTarget) -> dict[str, Any]:
    """Without the provider's id of the object, which is content."""
    return {
        "target": target.target_id,
        "tenant": tenant,
        "account": target.account,
        "object": target.object_kind,
        "expires": target.expires_at,
    }
