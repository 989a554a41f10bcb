"""`custody lag`: how far the workers are behind the log, and what stops them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker import app
from broker.commands import context, output
from broker.commands.context import UsageError
from broker.core.lag import PartitionLag
from broker.core.topics import Stream, TopicPartition, split_topic, topic_name, unclaimed_topic
from broker.findings import line
from broker.workers.lag import READ_BY, look

if TYPE_CHECKING:
    from datetime import datetime

    from broker.core.registry import Tenant

_HEALTH_SECONDS = 5.0
_EXAMPLE = "http://127.0.0.1:8401"

HealthOf = Annotated[
    list[str] | None,
    typer.Option("--health", metavar="URL", help="A process to ask what its workers wait for; may be repeated."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One partition for one group. `owner`: the member that reads it. `waiting_for`: what its worker waits for."""

    lag: PartitionLag
    age_seconds: float
    owner: str | None
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lag:
    """What there is to tell. `dead` letters that are open, by tenant. `unheard` processes did not answer."""

    rows: Sequence[_Row]
    dead: Mapping[str, int]
    unheard: Sequence[str]


def lag(
    tenant: context.TenantName = None,
    health: HealthOf = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show how far each group of workers is behind the log, for how long, who reads, and what stops it.

    Log and store alone tell of entries that the log lost (offset_gap) and of a log that is another one (log_changed).
    Whatever else a worker stopped or waits for, it alone knows: name its process with --health.

    Example: custody lag --tenant acme

    Example: custody lag --health http://127.0.0.1:8401 --json
    """
    found = context.run(_looked(tenant, health or []))
    if as_json:
        output.document(_as_document(found))
        return
    rows = [
        (
            f"{one.lag.place.topic}/{one.lag.place.partition}",
            one.lag.group,
            one.lag.end,
            _or_dash(one.lag.committed),
            _or_dash(one.lag.kept_to),
            one.lag.entries,
            round(one.age_seconds),
            _state(one),
            one.owner or "nobody",
        )
        for one in found.rows
    ]
    columns = ("partition", "group", "end", "committed", "kept to", "lag", "oldest s", "state", "read by")
    output.table("", columns, rows)
    for name, count in found.dead.items():
        output.line(f"dead letters open of {name}: {count}")
    for url in found.unheard:
        output.message(f"{url} does not answer")


async def _looked(tenant: str | None, health: Sequence[str]) -> _Lag:
    settings = context.load("log", "records", "registry")
    tenants = context.tenants(app.registry(settings), tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        log = await app.entered(exits, app.open_log(settings))
        store = await app.entered(exits, app.open_records(settings))
        there, now = set(await log.topics()), app.now()
        rows: list[_Row] = []
        for group, streams in READ_BY.items():
            topics = [one for one in _topics(tenants, streams, everybody=tenant is None) if one in there]
            owners = await log.members(group)
            rows += [_row(one, owners, now) for one in await look(log, store, group, topics)]
        names = {one.name for one in tenants}
        dead = Counter(one.tenant for one in await store.dead_letters(tenant))
    told, unheard = await _heard(health)
    return _Lag(
        rows=[told_of(one, told) for one in sorted(rows, key=lambda one: (one.lag.place, one.lag.group))],
        dead={name: dead[name] for name in sorted(names)},
        unheard=unheard,
    )


def _topics(tenants: Sequence[Tenant], streams: Sequence[Stream], *, everybody: bool) -> list[str]:
    names = [topic_name(one.name, stream) for one in tenants for stream in streams if stream is not Stream.BODIES]
    return names + ([unclaimed_topic().name] if everybody and Stream.BODIES in streams else [])


def _row(lag: PartitionLag, owners: Mapping[TopicPartition, str], now: datetime) -> _Row:
    return _Row(lag=lag, age_seconds=lag.age_seconds(now), owner=owners.get(lag.place))


def told_of(row: _Row, told: Mapping[str, Any]) -> _Row:
    """A row with what its worker says of itself: `told` is what `/health/workers` answers, by worker."""
    worker = told.get("scan" if row.lag.group == "media" else "media" if row.lag.group == "fetch" else row.lag.group)
    if not isinstance(worker, dict):
        return row
    stopped = worker.get("stopped", {}).get(f"{row.lag.place.topic}/{row.lag.place.partition}")
    return replace(row, lag=replace(row.lag, stopped=stopped or row.lag.stopped), waiting_for=worker.get("waiting_for"))


async def _heard(urls: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What the workers of these processes say of themselves, and the processes that do not answer."""
    if not urls:
        return {}, []
    import aiohttp  # noqa: PLC0415 - slow to import, and only of use here

    told: dict[str, Any] = {}
    unheard: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HEALTH_SECONDS)) as session:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise UsageError(line("--health", "is not the address of a process", _EXAMPLE))
            try:
                async with session.get(f"{url.rstrip('/')}/health/workers") as answer:
                    _merge(told, await answer.json())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                unheard.append(url)
    return told, unheard


def _merge(told: dict[str, Any], answer: Mapping[str, Any]) -> None:
    """Several processes may have a worker of the same name, each with partitions of its own."""
    for worker, says in answer.items():
        before = told.get(worker, {"stopped": {}, "waiting_for": None})
        told[worker] = {
            "stopped": before["stopped"] | says.get("stopped", {}),
            "waiting_for": before["waiting_for"] or says.get("waiting_for"),
        }


def _state(row: _Row) -> str:
    if row.lag.stopped:
        lost = f" (lost {row.lag.kept_to} to {(row.lag.kept_to or 0) + row.lag.lost})" if row.lag.lost else ""
        return f"stopped: {row.lag.stopped}{lost}"
    return f"waits for {row.waiting_for}" if row.waiting_for else ""


def _as_document(found: _Lag) -> dict[str, Any]:
    return {
        "partitions": [
            {
                "tenant": split_topic(one.lag.place.topic)[0],
                "stream": split_topic(one.lag.place.topic)[1],
                "topic": one.lag.place.topic,
                "partition": one.lag.place.partition,
                "group": one.lag.group,
                "first": one.lag.first,
                "end": one.lag.end,
                "committed": one.lag.committed,
                "kept_to": one.lag.kept_to,
                "lag": one.lag.entries,
                "lost": one.lag.lost,
                "oldest_seconds": one.age_seconds,
                "stopped": one.lag.stopped,
                "waiting_for": one.waiting_for,
                "owner": one.owner,
            }
            for one in found.rows
        ],
        "dead": found.dead,
        "unheard": found.unheard,
    }


def _or_dash(offset: int | None) -> int | str:
    return "-" if offset is None else offset
