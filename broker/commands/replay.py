"""`custody replay`: what was kept is handed to the archive path again, so that `kept` is told once more."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from broker import app, replaying
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import UsageError
from broker.core.errors import BlobsUnavailableError, SettingsError
from broker.core.metrics import NoMetrics
from broker.core.ports import BlobStore
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, split_topic
from broker.findings import line
from broker.replaying import Replayed, Span, Wish
from broker.settings import Settings
from broker.workers.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from broker.core.plan import DeadKey
    from broker.core.ports import EventLog, RecordStore
    from broker.core.registry import Tenant
    from broker.replaying import Edge

_EXAMPLE = "2026-11-23T08:00:00Z, or custody.acme.messages.v1/0/4711"

Of = Annotated[str, typer.Option("--tenant", "-t", metavar="NAME", help="The tenant whose entries they are.")]
Since = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="WHEN|OFFSET", help="From this time on, or from topic/partition/offset; may be repeated."
    ),
]
Until = Annotated[
    list[str] | None, typer.Option("--to", metavar="WHEN|OFFSET", help="Up to, and without, likewise; else all of it.")
]
Streams = Annotated[
    list[str] | None, typer.Option("--stream", metavar="NAME", help="This stream only; may be repeated.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar=" ", help="Show what would be replayed, and do nothing.")]


def replay(  # noqa: PLR0913, PLR0917 - the options of a command
    tenant: Of,
    since: Since = None,
    until: Until = None,
    stream: Streams = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag of the command line
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Hand a tenant's entries to the archive path again: 'kept' is told once more. Leaves an act.

    For a service that lost its state: the notices are the same as before, with the same ids. Nothing is kept twice and
    nothing is counted; what is not kept yet is left to the archive worker. Times are the log's own, in the tenant's
    zone where they name none. Without --from and --to it is all that the log still has.

    Example: custody replay --tenant acme --from 2026-11-23 --to 2026-11-24 --why "claims-desk lost its state"

    Example: custody replay --tenant acme --from custody.acme.messages.v1/0/4711 --dry-run
    """
    asked = _Asked(tenant, tuple(since or ()), tuple(until or ()), _streams(stream))
    doing = None if dry_run else (context.doer(by), context.required_reason(reason, for_what="replaying"))
    done, act = context.run(_replayed(asked, doing))
    if as_json:
        output.document(_as_document(asked, done, act, dry_run=dry_run))
    else:
        _show(done, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The command line's words."""

    tenant: str
    since: tuple[str, ...]
    until: tuple[str, ...]
    streams: Sequence[Stream]

    def wish(self, zone: str) -> Wish:
        """What they mean for a tenant of this zone. `UsageError`."""
        since, until = _edge("--from", self.since, zone), _edge("--to", self.until, zone)
        wish = Wish(tenant=self.tenant, streams=self.streams, since=since, until=until)
        for place in wish.named:
            if place.topic not in wish.topics:
                fault = f"{place.topic} is none of the topics to be replayed"
                raise UsageError(line("--from, --to", fault, ", ".join(wish.topics)))
        return wish


async def _replayed(asked: _Asked, doing: tuple[str, str] | None) -> tuple[list[Replayed], str | None]:
    """What was replayed, and the act's record; with nobody `doing` it, what would be."""
    settings = context.load("log", "records", "registry")
    registry = app.registry(settings)
    tenant = context.tenant(registry, asked.tenant)
    wish = asked.wish(tenant.zone)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        log = await app.entered(exits, app.open_log(settings))
        store = await app.entered(exits, app.open_records(settings))
        keeper = Archive(
            log=log,
            store=store,
            registry=lambda: registry,
            capabilities=app.capabilities(settings),
            metrics=NoMetrics(),
            clock=app.now,
            entropy=secrets.token_bytes,
            blobs=_Blobs(settings, exits).opened,
        )
        spans = await replaying.spans(wish, log=log, keeper=keeper)
        if doing is None or not any(span.first < span.end for span in spans):
            return [Replayed(span=span) for span in spans], None
        act = await _keep_act(store, tenant, asked, spans, doing)
        return await _replay(spans, log, keeper, await _dead_of(store, tenant)), act


async def _replay(spans: Sequence[Span], log: EventLog, keeper: Archive, dead: frozenset[DeadKey]) -> list[Replayed]:
    with _progress(sum(span.end - span.first for span in spans)) as step:
        return [await replaying.replay(span, log=log, keeper=keeper, dead=dead, step=step) for span in spans]


async def _dead_of(store: RecordStore, tenant: Tenant) -> frozenset[DeadKey]:
    found = await store.dead_letters(tenant.name, settled=True)
    return frozenset((TopicPartition(one.topic, one.partition), one.offset) for one in found)


async def _keep_act(
    store: RecordStore, tenant: Tenant, asked: _Asked, spans: Sequence[Span], doing: tuple[str, str]
) -> str:
    who, why = doing
    asked_for = {"from": " ".join(asked.since), "to": " ".join(asked.until)}
    ranges = {_name(span): f"{span.first} to {span.end}" for span in spans if span.first < span.end}
    arguments = {name: words for name, words in asked_for.items() if words} | ranges
    return await context.keep_act(store, Doing(action=Action.REPLAY, who=who, why=why, arguments=arguments), tenant)


@dataclass(slots=True)
class _Blobs:
    """The blob store, opened only if an entry's content lies there."""

    settings: Settings
    exits: AsyncExitStack
    store: BlobStore | None = None

    async def opened(self) -> BlobStore:
        """`BlobsUnavailableError` also where the settings name none: no entry is at fault."""
        if self.store is None:
            try:
                self.store = await app.entered(self.exits, app.open_blobs(self.settings))
            except SettingsError as error:
                raise BlobsUnavailableError(error.findings[0]) from None
        return self.store


@contextmanager
def _progress(offsets: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("entries", total=offsets)
        yield lambda count: bar.advance(task, count)


def _show(done: Sequence[Replayed], *, dry_run: bool) -> None:
    columns = ("partition", "from", "to", *(("entries",) if dry_run else ("entries", "kept told", "dead")), "unkept")
    rows = [
        (
            _name(one.span),
            one.span.first,
            one.span.end,
            *((one.span.end - one.span.first,) if dry_run else (one.entries, one.notices, one.unkeepable)),
            one.span.unkept,
        )
        for one in done
    ]
    output.table("To be replayed" if dry_run else "Replayed", columns, rows)
    if unkept := sum(one.span.unkept for one in done):
        output.message(f"{unkept} entries are not kept yet: the archive worker will tell of these")


def _as_document(asked: _Asked, done: Sequence[Replayed], act: str | None, *, dry_run: bool) -> dict[str, Any]:
    return {
        "tenant": asked.tenant,
        "dry_run": dry_run,
        "act": act,
        "entries": sum(one.span.end - one.span.first if dry_run else one.entries for one in done),
        "notices": sum(one.notices for one in done),
        "partitions": [
            {
                "partition": _name(one.span),
                "from": one.span.first,
                "to": one.span.end,
                "unkept": one.span.unkept,
                **({} if dry_run else {"entries": one.entries, "notices": one.notices, "dead": one.unkeepable}),
            }
            for one in done
        ],
    }


def _name(span: Span) -> str:
    return f"{span.place.topic}/{span.place.partition}"


def _streams(names: Sequence[str] | None) -> Sequence[Stream]:
    known = {str(one): one for one in ARCHIVED_STREAMS}
    for name in names or ():
        if name not in known:
            raise UsageError(line("--stream", "no such stream is archived", ", ".join(known)))
    return [known[name] for name in names] if names else ARCHIVED_STREAMS


def _edge(option: str, words: Sequence[str], zone: str) -> Edge:
    """One time, or an offset of each partition named. `UsageError`."""
    if not words:
        return None
    offsets = {place: offset for word in words if "/" in word for place, offset in [_offset_of(option, word)]}
    if offsets:
        if len(offsets) < len(words):
            raise UsageError(line(option, "give one time, or one offset a partition, and not both", _EXAMPLE))
        return offsets
    if len(words) > 1:
        raise UsageError(line(option, "give one time only", _EXAMPLE))
    return _time_of(option, words[0], zone)


def _offset_of(option: str, word: str) -> tuple[TopicPartition, int]:
    topic, partition, offset = [*word.split("/"), "", ""][:3]
    try:
        split_topic(topic)
        return TopicPartition(topic, int(partition)), int(offset)
    except ValueError:
        raise UsageError(line(option, "is not topic/partition/offset", _EXAMPLE)) from None


def _time_of(option: str, word: str, zone: str) -> datetime:
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(line(option, "is neither a time nor topic/partition/offset", _EXAMPLE)) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))
