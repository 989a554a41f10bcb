"""`custody init` and `custody check`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from broker import app
from broker.commands import context, output
from broker.commands.context import FailedError
from broker.core.errors import SettingsError
from broker.core.ports import Finding
from broker.inspecting import inspect
from broker.preparing import passwords_of
from broker.settings import SERVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.preparing import Step

PROBLEMS = 4

WithLogins = Annotated[
    bool,
    typer.Option(
        "--logins", metavar=" ", help="Make the logins that the settings' addresses name, with the least they need."
    ),
]
KeepIdentity = Annotated[
    bool,
    typer.Option(
        "--keep-log-identity",
        metavar=" ",
        help="A log on Postgres that was moved, upgraded or failed over, and lost nothing, goes on as the one it was.",
    ),
]
Offline = Annotated[bool, typer.Option("--offline", metavar=" ", help="Ask no provider.")]


def init(
    logins: WithLogins = False,  # noqa: FBT002 - a flag of the command line
    keep_log_identity: KeepIdentity = False,  # noqa: FBT002 - likewise
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Prepare the servers: migrations on log, records and blobs, buckets, and the topics of every registered tenant.

    May be run again at any time. Uses CUSTODY_LOG__ADMIN_DSN, CUSTODY_RECORDS__ADMIN_URI and their likes, if given.

    A Postgres log that finds itself on another server, in another database or on another timeline is another log to the
    stores, which stop. --keep-log-identity is for whoever knows that it lost nothing; else: custody log adopt.

    Example: custody init

    Example: CUSTODY_RECORDS__ADMIN_DSN_FILE=/run/secrets/admin custody init --logins
    """
    steps = context.run(_prepared(logins=logins, keep_log_identity=keep_log_identity))
    if as_json:
        output.document({"changed": any(one.changed for one in steps), "steps": [asdict(one) for one in steps]})
        return
    for one in steps:
        output.line(f"{one.server}: {one.what}")


def check(
    offline: Offline = False,  # noqa: FBT002 - a flag of the command line
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Check settings, registry, servers, topics and accounts; each finding with its remedy.

    Exits with 4 when there is a problem; warnings are none.

    Example: custody check

    Example: custody check --offline --json
    """
    try:
        found = context.run(_inspected(offline=offline))
    except SettingsError as error:
        found = [Finding(level="problem", subject="settings", message=one) for one in error.findings]
        print_findings(found, as_json=as_json)
        raise FailedError(2) from None
    print_findings(found, as_json=as_json)
    if any(one.level == "problem" for one in found):
        raise FailedError(PROBLEMS)


def print_findings(found: Sequence[Finding], *, as_json: bool) -> None:
    """Findings as a table, or as one document."""
    if as_json:
        problems = sum(one.level == "problem" for one in found)
        output.document({"problems": problems, "findings": [asdict(one) for one in found]})
        return
    rows = [(output.level(one.level), one.subject, one.message, one.remedy) for one in found]
    output.table("", ("level", "subject", "finding", "remedy"), rows)


async def _prepared(*, logins: bool, keep_log_identity: bool) -> Sequence[Step]:
    settings = context.load(*SERVERS)
    registry = app.registry(settings) if settings.registry is not None else None
    passwords = passwords_of(settings) if logins else None
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        steps = await app.prepare(settings, registry=registry, passwords=passwords, keep_log_identity=keep_log_identity)
    if registry is None:
        output.message("no registry is set, so no tenant got its topics: CUSTODY_REGISTRY, then custody init again")
    return steps


async def _inspected(*, offline: bool) -> list[Finding]:
    settings = context.load(*SERVERS, "registry")
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        return [one async for one in inspect(settings, ask_providers=not offline)]
