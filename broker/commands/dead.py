"""`custody dead`: dead letters, looked at and driven again."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import NotFoundError, UsageError
from broker.commands.show import readable
from broker.core.ports import DeadLetter, EventLog, RecordStore
from broker.core.registry import Registry
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.findings import line
from broker.settings import Settings
from broker.workers.archive import dead_entry, redriven_entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from broker.core.ports import DeadEntry, LogEntry

_AT_ONCE = 200
_EXAMPLE = "custody.acme.messages.v1/0/4711"

commands = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be kept, and was set aside.")

Place = Annotated[
    str, typer.Argument(metavar="DEAD", help="A dead letter as 'dead list' names it: topic/partition/offset.")
]
Places = Annotated[
    list[str] | None, typer.Argument(metavar="[DEAD...]", help="Dead letters as 'dead list' names them.")
]
Settled = Annotated[bool, typer.Option("--settled", metavar=" ", help="Those that are settled too.")]
Everything = Annotated[bool, typer.Option("--all", metavar=" ", help="All open ones, of --tenant if it is given.")]
ContentWanted = Annotated[
    bool, typer.Option("--content", metavar=" ", help="The entry's bytes too. Needs --reason, leaves an act.")
]


@commands.command("list")
def list_dead(
    tenant: context.TenantName = None,
    settled: Settled = False,  # noqa: FBT002 - a flag of the command line
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """List dead letters, oldest first.

    Example: custody dead list --tenant acme
    """
    found = context.run(_listed(tenant, settled=settled))
    if as_json:
        output.document([_as_document(one) for one in found])
        return
    rows = [(name_of(one), one.tenant, one.code, one.attempts, one.at, one.state, one.gap_record_id) for one in found]
    output.table("Dead letters", ("dead letter", "tenant", "code", "attempts", "at", "state", "gap record"), rows)


@commands.command("show")
def show_dead(
    place: Place,
    content: ContentWanted = False,  # noqa: FBT002 - a flag of the command line
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Show why an entry was set aside; its bytes only for a reason.

    Example: custody dead show custody.acme.messages.v1/0/4711

    Example: custody dead show custody.acme.messages.v1/0/4711 --content --reason "defect 92"
    """
    doing = (context.doer(by), context.required_reason(reason, for_what="reading content")) if content else None
    shown = context.run(_shown(place, doing))
    if as_json:
        output.document(shown)
        return
    for name, value in shown.items():
        output.line(f"{name}: {output.encoded(value).decode() if name == 'content' else output.cell(value)}")


@commands.command("redrive")
def redrive(
    places: Places = None,
    everything: Everything = False,  # noqa: FBT002 - a flag of the command line
    tenant: context.TenantName = None,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Put dead letters back on their topic, once what they died of is mended. Leaves an act.

    Each is tried as any other entry. The account counts it once, with its first try.

    Example: custody dead redrive custody.acme.messages.v1/0/4711 --reason "defect 92 is mended"

    Example: custody dead redrive --all --tenant acme --reason "the store takes NUL now"
    """
    if bool(places) == everything:
        raise UsageError(line("DEAD", "name dead letters, or give --all, and not both", _EXAMPLE))
    who, why = context.doer(by), context.required_reason(reason, for_what="redriving")
    done = context.run(_redriven(frozenset(places or ()), tenant, who, why))
    if as_json:
        output.document({"redriven": done})
        return
    for name in done:
        output.line(f"redriven {name}")
    if not done:
        output.message("no dead letter is open")


def name_of(dead: DeadEntry) -> str:
    """A dead letter's name: where its entry lay."""
    return f"{dead.topic}/{dead.partition}/{dead.offset}"


def place_of(name: str) -> tuple[TopicPartition, int]:
    """The place a dead letter's name means. `UsageError`."""
    topic, _, rest = name.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        raise UsageError(line("DEAD", "is not topic/partition/offset", _EXAMPLE))
    return TopicPartition(topic, int(partition)), int(offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """What the commands work on."""

    settings: Settings
    registry: Registry
    log: EventLog
    store: RecordStore


async def _opened(exits: AsyncExitStack) -> _Open:
    settings = context.load("log", "records", "registry")
    registry = app.registry(settings)
    await context.with_servers(exits, settings)
    return _Open(
        settings=settings,
        registry=registry,
        log=await app.entered(exits, app.open_log(settings)),
        store=await app.entered(exits, app.open_records(settings)),
    )


async def _listed(tenant: str | None, *, settled: bool) -> Sequence[DeadEntry]:
    settings = context.load("records", "registry")
    if tenant is not None:
        context.tenant(app.registry(settings), tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        store = await app.entered(exits, app.open_records(settings))
        return await store.dead_letters(tenant, settled=settled)


async def _shown(name: str, doing: tuple[str, str] | None) -> dict[str, Any]:
    place_of(name)
    async with AsyncExitStack() as exits:
        opened = await _opened(exits)
        dead = (await _named(opened.store, frozenset({name}), None, settled=True))[0]
        document = _as_document(dead)
        if doing is None:
            return document
        who, why = doing
        act = Doing(action=Action.READ_DEAD, who=who, why=why, about=(dead.gap_record_id,), arguments={"dead": name})
        await context.keep_act(opened.store, act, context.tenant(opened.registry, dead.tenant))
        entries = await _entries(opened.log, [dead])
        return document | {"content": readable(entries[name].value)}


async def _redriven(names: Collection[str], tenant: str | None, who: str, why: str) -> list[str]:
    async with AsyncExitStack() as exits:
        opened = await _opened(exits)
        wanted = await _named(opened.store, names, tenant, settled=False)
        done: list[str] = []
        for one in dict.fromkeys(dead.tenant for dead in wanted):
            of = context.tenant(opened.registry, one)
            dead_ones = [dead for dead in wanted if dead.tenant == one]
            entries = await _entries(opened.log, dead_ones)
            act = Doing(
                action=Action.REDRIVE,
                who=who,
                why=why,
                about=tuple(dead.gap_record_id for dead in dead_ones),
                arguments={str(number): name_of(dead) for number, dead in enumerate(dead_ones, 1)},
            )
            await context.keep_act(opened.store, act, of)
            for dead in dead_ones:
                await opened.log.append([redriven_entry(entries[name_of(dead)])])
                done.append(name_of(dead))
        return done


async def _named(store: RecordStore, names: Collection[str], tenant: str | None, *, settled: bool) -> list[DeadEntry]:
    """The dead letters named, or all open ones where none is. `NotFoundError` names the first that is not there."""
    for name in names:
        place_of(name)
    found = {name_of(one): one for one in await store.dead_letters(tenant, settled=settled)}
    for name in names:
        if name not in found:
            raise NotFoundError(f"{name}: no such dead letter is open; those that are: custody dead list")
    return [found[name] for name in names] if names else list(found.values())


async def _entries(log: EventLog, wanted: Sequence[DeadEntry]) -> Mapping[str, LogEntry]:
    """Their entries as they lie on `dead`, or from their own topic if they should be missing there."""
    missing = {name_of(one): one for one in wanted}
    found: dict[str, LogEntry] = {}
    for tenant in {one.tenant for one in wanted}:
        async for entry in _all_entries(log, topic_name(tenant, Stream.DEAD)):
            name = entry.header("custody-dead-of")
            if name in missing:
                found[name] = entry
                del missing[name]
            if not missing:
                return found
    for name, dead in missing.items():
        found[name] = await _from_source(log, name, dead)
    return found


async def _all_entries(log: EventLog, topic: str) -> AsyncIterator[LogEntry]:
    for place, bounds in (await log.bounds([topic])).items():
        offset = bounds.first
        while entries := await log.read(place, offset, max_entries=_AT_ONCE):
            for entry in entries:
                yield entry
            offset = entries[-1].offset + 1


async def _from_source(log: EventLog, name: str, dead: DeadEntry) -> LogEntry:
    place, offset = place_of(name)
    entries = await log.read(place, offset, max_entries=1)
    if not entries or entries[0].offset != offset:
        raise NotFoundError(f"{name}: its entry is neither on the dead topic nor on its own any more")
    letter = DeadLetter(code=dead.code, attempts=dead.attempts, at=dead.at)
    copy = dead_entry(entries[0], letter, dead.tenant)
    entry: LogEntry = entries[0].__class__(
        topic=copy.topic,
        partition=place.partition,
        offset=offset,
        key=copy.key,
        headers=copy.headers,
        value=copy.value,
        appended_at=entries[0].appended_at,
    )
    return entry


def _as_document(dead: DeadEntry) -> dict[str, Any]:
    return {"dead": name_of(dead)} | output.plain(dead)
