"""`custody log`: which log this is, and letting one take another one's place after a migration."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.accounts import count_unclaimed
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import UsageError
from broker.commands.gap import accept_loss
from broker.core.ports import Adoption, EventLog, Loss, RecordStore
from broker.core.topics import ARCHIVED_STREAMS, Stream, topic_name
from broker.findings import line
from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.lag import READ_BY, look
from broker.workers.records import end_unknown_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.lag import PartitionLag
    from broker.core.model import Record
    from broker.core.registry import Tenant

_CLAIM = "--old FILE, --mirrored or --gone"

commands = typer.Typer(no_args_is_help=True, help="The log: which it is, and one that takes another one's place.")

Old = Annotated[
    Path | None,
    typer.Option(
        "--old", metavar="FILE", help="A settings file of the old log, which is looked at and must be read out."
    ),
]
Lose = Annotated[
    bool, typer.Option("--lose", metavar=" ", help="With --old: accept as lost what is not kept of the old log.")
]
Mirrored = Annotated[
    bool, typer.Option("--mirrored", metavar=" ", help="The new log has every entry of the old one that was not kept.")
]
Gone = Annotated[
    bool,
    typer.Option("--gone", metavar=" ", help="The old log can't be looked at: what was not kept of it is unknown."),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="LOG", help="The old log, as 'log show' has it, if there are several.")
]


@commands.command("show")
def show(
    tenant: context.TenantName = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show which log this is, and other logs that tenants were kept from and that none has taken the place of.

    Example: custody log show
    """
    here, others = context.run(_shown(tenant))
    if as_json:
        output.document({"log": here, "others": others})
        return
    output.line(f"this log: {here}")
    for name, logs in others.items():
        for log in logs:
            output.line(f"{name} was kept from {log}")


@commands.command("adopt")
def adopt(  # noqa: PLR0913, PLR0917 - the options of a command
    old: Old = None,
    lose: Lose = False,  # noqa: FBT002 - a flag of the command line
    mirrored: Mirrored = False,  # noqa: FBT002 - likewise
    gone: Gone = False,  # noqa: FBT002 - likewise
    predecessor: From = None,
    tenant: context.TenantName = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Let this log take another one's place, after a migration. Leaves an act.

    A running archive worker then goes on by itself. The log is kept from its first entry: what was kept already is
    known by its record id, and nothing is skipped. Say what became of the old one: --old looks at it and refuses while
    anything of it is unread, --mirrored says that all of that is in the new log, --gone that nobody knows. With --old
    and --lose, or with --gone, gap records say so.

    Example: custody log adopt --old old.toml --why "moved to the new cluster"

    Example: custody log adopt --mirrored --why "MirrorMaker had caught up"
    """
    if (old is not None) + mirrored + gone != 1:
        raise UsageError(line("adopt", "say what became of the old log, in one way", _CLAIM))
    if lose and old is None:
        raise UsageError(line("--lose", "goes with --old alone", "--old old.toml --lose"))
    who, why = context.doer(by), context.required_reason(reason, for_what="adopting a log")
    claim = _Claim(old=old, lose=lose, gone=gone)
    done = context.run(_adopted(claim, predecessor, tenant, who, why))
    if as_json:
        output.document(done)
        return
    for one in done:
        output.line(f"{one['tenant']}: {one['log']} has taken the place of {one['predecessor']}; lost {one['lost']}")
    if not done:
        output.message("no tenant was kept from another log")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What the operator says of the old log: looked at through `old`, `gone`, or else mirrored."""

    old: Path | None
    lose: bool
    gone: bool

    @property
    def words(self) -> str:
        """As an act tells it."""
        if self.old is not None:
            return "old, lose" if self.lose else "old"
        return "gone" if self.gone else "mirrored"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """What the command works on. `old` is the old log, where it can be looked at."""

    log: EventLog
    store: RecordStore
    old: EventLog | None


async def _shown(tenant: str | None) -> tuple[str, dict[str, list[str]]]:
    settings = context.load("log", "records", "registry")
    tenants = context.tenants(app.registry(settings), tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        log = await app.entered(exits, app.open_log(settings))
        store = await app.entered(exits, app.open_records(settings))
        return log.identity, {one.name: await _others(store, log.identity, one) for one in tenants}


async def _adopted(
    claim: _Claim, predecessor: str | None, tenant: str | None, who: str, why: str
) -> list[dict[str, Any]]:
    settings = context.load("log", "records", "registry")
    tenants = context.tenants(app.registry(settings), tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        opened = _Open(
            log=await app.entered(exits, app.open_log(settings)),
            store=await app.entered(exits, app.open_records(settings)),
            old=await app.entered(exits, app.open_log(app.settings_of(claim.old))) if claim.old else None,
        )
        moves = [(one, await _predecessor(opened, one, predecessor)) for one in tenants]
        wanted = [(one, log) for one, log in moves if log is not None]
        unread = [lag for one, _ in wanted for lag in await _unread(opened, one)]
        _refuse_unread(unread, claim)
        if wanted and opened.old is not None and not claim.lose and (bodies := await count_unclaimed(opened.old)):
            raise UsageError(
                f"{bodies} unclaimed bodies lie in the old log: register their accounts and let them be claimed there "
                "first, or --lose to leave them"
            )
        dead = [one for of, _ in wanted for one in await opened.store.dead_letters(of.name)]
        if dead and claim.old is not None and not claim.lose:
            raise UsageError(
                f"{len(dead)} dead letters are open, and their bytes lie in the old log: custody dead redrive there "
                "first, or --lose to leave them dead"
            )
        return [await _move(opened, one, log, claim, who, why) for one, log in wanted]


async def _predecessor(opened: _Open, tenant: Tenant, wanted: str | None) -> str | None:
    """The log that a tenant was kept from; None where there is no other than this. `UsageError` for several."""
    here = opened.log.identity
    others = await _others(opened.store, here, tenant)
    if wanted is not None:
        others = [one for one in others if one == wanted]
    if len(others) > 1:
        raise UsageError(line("--from", f"{tenant.name} was kept from several logs", others[0]))
    if not others:
        return None
    if opened.old is not None and opened.old.identity != others[0]:
        raise UsageError(
            line("--old", f"its log is {opened.old.identity}, and {tenant.name} was kept from another", others[0])
        )
    return others[0]


async def _others(store: RecordStore, log: str, tenant: Tenant) -> list[str]:
    found = await store.other_logs(log, _archived(tenant))
    return sorted({one for logs in found.values() for one in logs})


async def _unread(opened: _Open, tenant: Tenant) -> list[PartitionLag]:
    """What any worker has still to read of the old log, where that can be looked at."""
    if opened.old is None:
        return []
    there = set(await opened.old.topics())
    found: list[PartitionLag] = []
    for group, streams in READ_BY.items():
        topics = [topic_name(tenant.name, one) for one in streams if one is not Stream.BODIES]
        found += await look(opened.old, opened.store, group, [one for one in topics if one in there])
    return [one for one in found if one.entries]


def _refuse_unread(unread: Sequence[PartitionLag], claim: _Claim) -> None:
    """`UsageError` names what is still to be read, unless that is accepted as lost; and what can't be."""
    unseen = [one for one in unread if one.group == ARCHIVE and one.kept_to is None]
    told = unseen if claim.lose else unread
    if not told:
        return
    one = told[0]
    what = f"{one.entries} entries of {one.place.topic}/{one.place.partition} are unread by {one.group}"
    more = f", and {len(told) - 1} partitions more" if len(told) > 1 else ""
    ways = "let the workers read the old log out"
    ways += "" if claim.lose else ", or give --lose to accept that they are lost"
    raise UsageError(f"{what}{more}: {ways}")


async def _move(opened: _Open, tenant: Tenant, predecessor: str, claim: _Claim, who: str, why: str) -> dict[str, Any]:
    """Keeps the act, accepts what is lost, and lets the log take the old one's place."""
    log = opened.log.identity
    bounds = await opened.log.bounds(_archived(tenant))
    losses = [
        Loss(log=predecessor, place=one.place, first=one.kept_to, end=one.end)
        for one in await _unread(opened, tenant)
        if one.group == ARCHIVE and one.kept_to is not None
    ]
    gaps = await _ends_unknown(opened, tenant, predecessor) if claim.gone else ()
    act = Doing(
        action=Action.ADOPT_LOG,
        who=who,
        why=why,
        about=tuple(one.envelope.record_id for one in gaps),
        arguments={"log": log, "predecessor": predecessor, "old_log": claim.words},
    )
    await context.keep_act(opened.store, act, tenant)
    for loss in losses:
        await accept_loss(opened.store, loss, tenant=tenant, who=who, why=why)
    await opened.store.adopt(
        Adoption(
            tenant=tenant.name,
            log=log,
            predecessor=predecessor,
            starts={place: one.first for place, one in bounds.items()},
            gaps=tuple(gaps),
        )
    )
    lost: int | str = "nobody knows what" if claim.gone else sum(one.end - one.first for one in losses)
    return {"tenant": tenant.name, "log": log, "predecessor": predecessor, "lost": lost}


async def _ends_unknown(opened: _Open, tenant: Tenant, predecessor: str) -> list[Record]:
    """A gap record for each partition that was kept from a log which can't be looked at any more."""
    progress = await opened.store.progress(predecessor, _archived(tenant))
    return [
        end_unknown_record(
            predecessor,
            place,
            first=one.next,
            successor=opened.log.identity,
            key=tenant.key,
            now=app.now(),
            entropy=secrets.token_bytes,
        )
        for place, one in sorted(progress.items())
    ]


def _archived(tenant: Tenant) -> list[str]:
    return [topic_name(tenant.name, one) for one in ARCHIVED_STREAMS]
