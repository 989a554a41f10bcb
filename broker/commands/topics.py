"""`custody topics`: the topics of the log as every tenant needs them, and who may do what with them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.commands import context, output
from broker.commands.context import FailedError, UsageError
from broker.commands.servers import PROBLEMS
from broker.core.access import ROLES, TENANT_ROLES
from broker.core.topics import split_topic
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.access import Role
    from broker.core.topic_plan import TopicPlan
    from broker.core.topics import TopicSpec
    from broker.settings import Settings

WOULD_CHANGE = 5

commands = typer.Typer(no_args_is_help=True, help="Topics: what they are, what they should be, who may use them.")

Grow = Annotated[
    bool,
    typer.Option(
        "--grow", metavar=" ", help="Add partitions also where entries are: some keys then move to another partition."
    ),
]
Of = Annotated[str, typer.Option("--tenant", "-t", metavar="NAME", help="The tenant whose topics they are.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="NAME", help="This role only; may be repeated.")]
Principal = Annotated[
    str | None, typer.Option("--principal", metavar="TYPE:NAME", help="Whom to grant it to; else one user a role.")
]


@commands.command("plan")
def plan(
    tenant: context.TenantName = None,
    grow: Grow = False,  # noqa: FBT002 - a flag of the command line
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Show what 'topics apply' would create and change, and change nothing.

    Exits with 0 when nothing would change, with 5 when something would, and with 4 when there is a problem that
    applying does not mend.

    Example: custody topics plan

    Example: custody topics plan --tenant acme --json
    """
    found = context.run(_planned(tenant, grow=grow, apply=False))
    _print(found, as_json=as_json, done=False)
    _fail_for_problems(found)
    if found.changes_anything:
        raise FailedError(WOULD_CHANGE)


@commands.command("apply")
def apply(
    tenant: context.TenantName = None,
    grow: Grow = False,  # noqa: FBT002 - a flag of the command line
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Create the topics that are missing, and set what a promise depends on; all else is left as it is.

    Asks nothing, and may be run again at any time. Partitions and entries are never taken away. Exits with 4 when
    there is a problem that it does not mend.

    Example: custody topics apply

    Example: custody topics apply --tenant acme
    """
    found = context.run(_planned(tenant, grow=grow, apply=True))
    _print(found, as_json=as_json, done=True)
    _fail_for_problems(found)


@commands.command("acls")
def acls(
    tenant: Of,
    role: Roles = None,
    principal: Principal = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Print the commands that let each role do what it needs with a tenant's topics, and no more. Changes nothing.

    Workers serve every tenant: run their commands for each. admin.properties is how your administrator logs in.

    Example: custody topics acls --tenant acme

    Example: custody topics acls --tenant acme --role subscriber --principal User:claims-desk
    """
    from broker.log.kafka.acls import default_principal, grants  # noqa: PLC0415 - aiokafka comes along

    settings = context.load("registry")
    context.tenant(app.registry(settings), tenant)
    found = [
        one
        for wanted in _roles(role)
        for one in grants(
            wanted,
            tenant=tenant,
            principal=principal or default_principal(wanted, tenant, of_tenant=wanted in TENANT_ROLES),
            bootstrap=app.bootstrap(settings),
        )
    ]
    if as_json:
        output.document([{"role": one.role, "principal": one.principal, "command": one.command} for one in found])
        return
    told = None
    for one in found:
        if one.role != told:
            told = one.role
            output.line(f"# {told}")
        output.line(one.command)


def _roles(names: Sequence[str] | None) -> Sequence[Role]:
    known = {one.name: one for one in ROLES}
    for name in names or ():
        if name not in known:
            raise UsageError(line("--role", "no such role", ", ".join(known)))
    return [known[name] for name in names] if names else ROLES


async def _planned(tenant: str | None, *, grow: bool, apply: bool) -> TopicPlan:
    settings = context.load("log", "registry")
    specs = _specs(settings, tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        topics = await app.entered(exits, app.open_topics(settings))
        found = await topics.plan(specs, grow=grow)
        if apply:
            await topics.apply(found)
        return found


def _specs(settings: Settings, tenant: str | None) -> list[TopicSpec]:
    registry = app.registry(settings)
    if tenant is not None:
        context.tenant(registry, tenant)
    return [one for one in app.topics_of(settings, registry) if tenant in {None, split_topic(one.name)[0]}]


def _print(found: TopicPlan, *, as_json: bool, done: bool) -> None:
    if as_json:
        output.document(_as_document(found))
        return
    rows: list[Sequence[object]] = [
        (one.name, "topic", "", f"{one.partitions} partitions, {_kept(one)}") for one in found.create
    ]
    rows += [(one.topic, one.what, one.was, one.becomes) for one in found.changes]
    if rows:
        output.table("Done" if done else "To be done", ("topic", "what", "was" if done else "is", "becomes"), rows)
    else:
        output.line("nothing to change")
    for one in found.findings:
        output.message(f"{one.level}: {one.subject}: {one.message}; {one.remedy}")


def _as_document(found: TopicPlan) -> dict[str, Any]:
    return {
        "changes_anything": found.changes_anything,
        "create": [asdict(one) for one in found.create],
        "changes": [asdict(one) for one in found.changes],
        "findings": [asdict(one) for one in found.findings],
    }


def _kept(spec: TopicSpec) -> str:
    return (
        "kept until done with"
        if spec.retention_seconds is None
        else f"kept for {spec.retention_seconds // 86_400} days"
    )


def _fail_for_problems(found: TopicPlan) -> None:
    if any(one.level == "problem" for one in found.findings):
        raise FailedError(PROBLEMS)
