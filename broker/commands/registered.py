"""`custody tenant` and `custody account`: what is registered, whether it is right, and making what it needs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.accounts import count_unclaimed
from broker.commands import context, output
from broker.commands.context import FailedError, UsageError
from broker.commands.servers import PROBLEMS, print_findings
from broker.core.ports import Finding
from broker.findings import closest, line, meant
from broker.inspecting import account_findings, topic_findings
from broker.preparing import Step, create_topics, ensure_tenant_reader
from broker.registry import read_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.registry import Account, Registry
    from broker.settings import Settings

tenants = typer.Typer(no_args_is_help=True, help="Tenants: the client organisations that are registered.")
accounts = typer.Typer(no_args_is_help=True, help="Accounts: the business numbers that are registered.")

AccountName = Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="This account only, by its name.")]
ReaderPasswords = Annotated[
    Path | None,
    typer.Option(
        "--reader-password-file",
        metavar="FILE",
        help="Make the login that reads the one --tenant in the stores, with the password in this file.",
    ),
]


@tenants.command("list")
def list_tenants(as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """List the tenants.

    Example: custody tenant list --json
    """
    registry = app.registry(context.load("registry"))
    found = [
        {
            "tenant": one.name,
            "zone": one.zone,
            "erase_after_seconds": one.erase_after_seconds,
            "accounts": sum(account.tenant == one.name for account in registry.accounts.values()),
        }
        for one in registry.tenants.values()
    ]
    _print("Tenants", ("tenant", "zone", "erase after (s)", "accounts"), found, as_json=as_json)


@tenants.command("check")
def check_tenants(as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Check the registry file, and that every tenant has its topics. Exits with 4 when there is a problem.

    Example: custody tenant check
    """
    _conclude(context.run(_checked_tenants()), as_json=as_json)


@tenants.command("apply")
def apply_tenants(
    tenant: context.TenantName = None,
    reader_password_file: ReaderPasswords = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Make what the registered tenants need: their topics, and a reader's login where it is asked for.

    Nothing is taken away. Running workers notice by themselves.

    Example: custody tenant apply

    Example: custody tenant apply --tenant acme --reader-password-file /run/secrets/acme-reader
    """
    if reader_password_file is not None and tenant is None:
        raise UsageError(line("--reader-password-file", "goes with one tenant", "--tenant acme"))
    steps = context.run(_applied(tenant, reader_password_file))
    _print_steps(steps, {}, as_json=as_json)


@accounts.command("list")
def list_accounts(tenant: context.TenantName = None, as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag
    """List the accounts, without their credentials.

    Example: custody account list --tenant acme
    """
    registry = app.registry(context.load("registry"))
    names = {one.name for one in context.tenants(registry, tenant)}
    found = [_account_document(one) for one in registry.accounts.values() if one.tenant in names]
    columns = ("account", "tenant", "provider", "app", "id", "group", "storage", "region")
    _print("Accounts", columns, found, as_json=as_json)


@accounts.command("check")
def check_accounts(
    account: AccountName = None,
    tenant: context.TenantName = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Ask the provider about accounts: credential, storage as wanted, webhook fields. Exits with 4 on a problem.

    Example: custody account check claims
    """
    _conclude(context.run(_checked_accounts(account, tenant)), as_json=as_json)


@accounts.command("apply")
def apply_accounts(as_json: context.Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Make what the registered accounts need. Running workers notice by themselves, and claim what waited for them.

    Example: custody account apply
    """
    steps = context.run(_applied(None, None))
    unclaimed = context.run(_unclaimed())
    _print_steps(steps, {"unclaimed": unclaimed}, as_json=as_json)


async def _checked_tenants() -> list[Finding]:
    settings = context.load("log", "registry")
    findings, registry = _registry_findings(settings)
    if registry is not None:
        async with AsyncExitStack() as exits:
            await context.with_servers(exits, settings)
            await app.entered(exits, app.open_log(settings))
            findings += await topic_findings(settings, registry)
    return findings


async def _checked_accounts(name: str | None, tenant: str | None) -> list[Finding]:
    settings = context.load("registry")
    findings, registry = _registry_findings(settings)
    if registry is not None:
        wanted = _wanted(registry, name, tenant)
        findings += [one async for one in account_findings(settings, registry, wanted)]
    return findings


def _registry_findings(settings: Settings) -> tuple[list[Finding], Registry | None]:
    reading = read_registry(app.registry_path(settings))
    findings = list(reading.findings)
    if reading.registry is not None:
        findings.append(Finding(level="ok", subject="registry", message="can be used"))
    return findings, reading.registry


def _wanted(registry: Registry, name: str | None, tenant: str | None) -> list[Account]:
    if name is not None and name not in registry.accounts:
        there = ", ".join(registry.accounts) or "none is registered"
        raise UsageError(line("ACCOUNT", f"no such account{meant(closest(name, registry.accounts))}", there))
    names = {one.name for one in context.tenants(registry, tenant)}
    return [one for one in registry.accounts.values() if one.tenant in names and name in (None, one.name)]


async def _applied(tenant: str | None, reader_password_file: Path | None) -> list[Step]:
    stores = () if reader_password_file is None else ("records", "blobs")
    settings = context.load("log", "registry", *stores)
    registry = app.registry(settings)
    names = {one.name for one in context.tenants(registry, tenant)}
    specs = [one for one in app.topics_of(settings, registry) if one.name.split(".")[1] in {*names, "unclaimed"}]
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        steps = await create_topics(settings, specs)
        if reader_password_file is not None and tenant is not None:
            roles = await ensure_tenant_reader(settings, tenant, _password(reader_password_file))
            for name in dict.fromkeys(roles.values()):
                servers = ", ".join(server for server, role in roles.items() if role == name)
                steps.append(Step(server=servers, what=f"login {name} is there"))
    return steps


async def _unclaimed() -> int:
    settings = context.load("log", "registry")
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        return await count_unclaimed(await app.entered(exits, app.open_log(settings)))


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        example = "/run/secrets/acme-reader"
        raise UsageError(line("--reader-password-file", "can't be read", example)) from None


def _account_document(one: Account) -> dict[str, Any]:
    return {
        "account": one.name,
        "tenant": one.tenant,
        "provider": one.provider,
        "app": one.app,
        "id": one.id,
        "group": one.group,
        "storage": one.posture.storage,
        "region": one.posture.region,
    }


def _print(title: str, columns: Sequence[str], found: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.document(found)
    else:
        output.table(title, columns, [tuple(one.values()) for one in found])


def _print_steps(steps: Sequence[Step], more: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        changed = any(one.changed for one in steps)
        output.document({"changed": changed, "steps": [asdict(one) for one in steps], **more})
        return
    for one in steps:
        output.line(f"{one.server}: {one.what}")
    for name, value in more.items():
        output.line(f"{name}: {value}")


def _conclude(found: Sequence[Finding], *, as_json: bool) -> None:
    print_findings(found, as_json=as_json)
    if any(one.level == "problem" for one in found):
        raise FailedError(PROBLEMS)
