"""`custody report`: the account."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.accounts import count_unclaimed
from broker.commands import context, output, verified
from broker.commands.context import FailedError, UsageError
from broker.findings import line
from broker.reporting import FIGURES, Report, TenantReport, summed, tenant_report, texts_held
from broker.verifying import verify as verify_tenant

if TYPE_CHECKING:
    from broker.core.ports import BlobStore, RecordStore

Day = Annotated[
    str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="This day only, in the tenant's zone, by number.")
]
Strict = Annotated[bool, typer.Option("--strict", metavar=" ", help="Exit with 1 if an account does not close.")]
WithTexts = Annotated[
    bool,
    typer.Option(
        "--texts/--no-texts", metavar=" ", help="Derive what the provider still holds of texts; reads every record."
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", metavar=" ", help="Hash every record and blob again; exit with 1 if one is not what was kept."
    ),
]

_BY_DAY = ("accepted", "kept", "duplicates", "variants", "dead", "gaps", "parts", "parts_kept", "parts_lost")
_BY_DAY_TARGETS = ("targets", "erased", "residue", "open")


def report(
    tenant: context.TenantName = None,
    day: Day = None,
    strict: Strict = False,  # noqa: FBT002 - a flag of the command line
    texts: WithTexts = True,  # noqa: FBT002 - likewise
    verify: Verify = False,  # noqa: FBT002 - likewise
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Draw the account: what was accepted, what became of it, and whether the sums close.

    accepted = kept + duplicates + variants + dead + unprocessed + lost, and likewise for parts and targets.

    Example: custody report --tenant acme --day 2026-11-23

    Example: custody report --strict --json

    Example: custody report --verify
    """
    drawn = context.run(_draw(tenant, _day(day), texts=texts, verify=verify))
    if as_json:
        output.document(as_document(drawn))
    else:
        _show(drawn, by_day=day is not None)
    if drawn.is_altered or (strict and drawn.problems):
        raise FailedError(1)


async def _draw(tenant: str | None, day: date | None, *, texts: bool, verify: bool) -> Report:
    settings = context.load("log", "records", "registry", *(("blobs",) if verify else ()))
    registry = app.registry(settings)
    wanted = context.tenants(registry, tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        log = await app.entered(exits, app.open_log(settings))
        store = await app.entered(exits, app.open_records(settings))
        blobs = await app.entered(exits, app.open_blobs(settings)) if verify else None
        reports: list[TenantReport] = []
        for one in wanted:
            drawn = await tenant_report(one, log=log, store=store, day=day)
            if blobs is not None:
                drawn = await _verified(drawn, store, blobs)
            if texts and not drawn.is_altered:  # what was altered can't be relied upon, nor read perhaps
                held = await texts_held(
                    one.name, store=store, registry=registry, capabilities=app.capabilities(settings), now=app.now()
                )
                drawn = replace(drawn, texts=held)
            reports.append(drawn)
        return summed(reports, unclaimed=await count_unclaimed(log))


async def _verified(one: TenantReport, store: RecordStore, blobs: BlobStore) -> TenantReport:
    with verified.progress(one.tenant, blobs=one.figures.parts_kept) as step:
        return replace(one, verified=await verify_tenant(one.tenant, store=store, blobs=blobs, step=step))


def as_document(report: Report) -> dict[str, Any]:
    """The report as one JSON document: the sums of all tenants on top."""
    return {
        **output.plain(report.figures),
        "unclaimed": report.unclaimed,
        "closes": not report.problems,
        "problems": report.problems,
        "tenants": {one.tenant: _tenant_document(one) for one in report.tenants},
    }


def _tenant_document(one: TenantReport) -> dict[str, Any]:
    held = one.texts
    document: dict[str, Any] = {
        **output.plain(one.figures),
        "closes": not one.problems,
        "problems": one.problems,
        "zone": one.zone,
        "days": [
            {"account": day.account, "day": day.day, **{name: getattr(day.figures, name) for name in _by_day_names()}}
            for day in one.days
        ],
    }
    if held is not None:
        document["texts"] = {"count": held.count, "until": held.until}
    if one.verified is not None:
        document["verified"] = verified.as_document(one.verified)
    return document


def _by_day_names() -> tuple[str, ...]:
    return tuple(name for name, _ in FIGURES if name not in {"unprocessed", "lost"})


def _show(report: Report, *, by_day: bool) -> None:
    if by_day:
        _show_days(report, by_day=True)
        _show_verified(report)
        return
    columns = [*report.tenants] if len(report.tenants) == 1 else [*report.tenants, None]
    headings = ["", *(one.tenant if one else "total" for one in columns), "what it means"]
    rows = [
        (name, *(getattr(one.figures if one else report.figures, name) for one in columns), meaning)
        for name, meaning in FIGURES
    ]
    output.table("The account", headings, rows)
    _show_days(report, by_day=False)
    _show_rest(report)
    _show_verified(report)


def _show_verified(report: Report) -> None:
    found = {one.tenant: one.verified for one in report.tenants if one.verified is not None}
    if found:
        verified.show(found)


def _show_days(report: Report, *, by_day: bool) -> None:
    names = (*_BY_DAY, *_BY_DAY_TARGETS)
    rows = [
        (one.tenant, day.account, day.day, *(getattr(day.figures, name) for name in names))
        for one in report.tenants
        for day in one.days
    ]
    if not rows:
        output.line("Nothing came in yet." if not by_day else "Nothing came in on that day.")
        return
    zones = ", ".join(dict.fromkeys(one.zone for one in report.tenants))
    output.table(f"By number and day ({zones})", ("tenant", "number", "day", *names), rows)


def _show_rest(report: Report) -> None:
    for one in report.tenants:
        for name, counts in (("gaps", one.figures.gaps_by_cause), ("lost parts", one.figures.parts_lost_by_reason)):
            if counts:
                output.line(f"{one.tenant}: {name}: " + ", ".join(f"{why} {many}" for why, many in counts.items()))
        if one.texts is not None and one.texts.until is not None:
            output.line(f"{one.tenant}: the provider holds {one.texts.count} texts until {one.texts.until:%Y-%m-%d}")
    output.line(f"Bodies for accounts that nobody registered: {report.unclaimed}")
    if not report.problems:
        output.line("The account closes." if len(report.tenants) == 1 else "The accounts close.")
    for problem in report.problems:
        output.line(f"Does not close: {problem}")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day of the tenant's zone
    except ValueError:
        raise UsageError(line("--day", "is not a day", "--day 2026-11-23")) from None
