"""Where a plan ends as traffic grows, its mix staying as it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from broker.sizing.model import MOST_CALLS, MOST_PARTITIONS, calls_under_way

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from broker.sizing.model import Load, Sizing, Terms, Workers

_HOUR_SECONDS = 3600
_MORE_NUMBERS = "the traffic on more numbers; erasures wait meanwhile, and nothing is lost"
_FULL_DISK = 0.8
"""The share of a disk that is planned with."""


class Kind(StrEnum):
    """What a limit is lifted by: one process more; another server or topic; or nobody but the provider."""

    PROCESS = "process"
    SERVER = "server"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What a provider lets through: messages a second of a number, as usual and once raised; calls an hour.

    `calls_per_hour` are those of one of `groups` of numbers, and counted for deletions alone. They may not apply.
    """

    number_messages_per_second: float
    raised_messages_per_second: float
    calls_per_hour: float
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At `messages_per_second` this is used as far as is planned with. `remedy`: what to do before.

    `certain` is False for what the provider does not say of itself.
    """

    name: str
    kind: Kind
    messages_per_second: float
    remedy: str
    certain: bool = True


def limits(load: Load, sizing: Sizing, terms: Terms, provider: ProviderLimits) -> Sequence[Limit]:
    """All there are, the nearest first."""
    found = [
        *(_of_processes(load, one, sizing, terms) for one in sizing.workers if one.busy and one.processes != one.most),
        *_of_partitions(load, sizing, terms),
        *_of_servers(load, sizing, terms),
        *_of_provider(load, provider),
    ]
    return sorted(found, key=lambda one: one.messages_per_second)


def nearest(found: Sequence[Limit], kind: Kind) -> Limit | None:
    """The first of a kind, of those that are certain."""
    return next((one for one in found if one.kind is kind and one.certain), None)


def _of_processes(load: Load, workers: Workers, sizing: Sizing, terms: Terms) -> Limit:
    waits = workers.name in {"media", "erase"} and sizing.calls_at_once < MOST_CALLS
    more_calls = f"more CUSTODY_WORKERS__{workers.name.upper()}_CONCURRENCY, or " if waits else ""
    share = workers.processes * terms.utilisation / workers.busy
    return Limit(
        name=f"{workers.processes} x {workers.name}",
        kind=Kind.PROCESS,
        messages_per_second=load.messages_per_second * share,
        remedy=f"{more_calls}one more: custody run {workers.name}",
    )


def _of_partitions(load: Load, sizing: Sizing, terms: Terms) -> Iterator[Limit]:
    """Where as many workers as get any work have all they can take, with as many calls at once as there may be."""
    calls = calls_under_way(load, terms) / MOST_CALLS
    for one in sizing.workers:
        busy = one.busy if one.name == "archive" else max(calls, one.cores)
        if one.most is None or not busy:
            continue
        by_number = one.most < sizing.partitions  # only deletions can't be spread any further
        yield Limit(
            name=f"{one.most} x {one.name}, one for each {'number' if by_number else 'partition'}",
            kind=Kind.SERVER,
            messages_per_second=load.messages_per_second * one.most * terms.utilisation / busy,
            remedy=_MORE_NUMBERS if by_number else _more_partitions(sizing, terms),
        )


def _more_partitions(sizing: Sizing, terms: Terms) -> str:
    if sizing.partitions == MOST_PARTITIONS:
        return "a second installation with some of the tenants: there are no more partitions"
    if terms.log == "postgres":
        return "more partitions, before the first start; or the log on Kafka: see operating.md"
    return "more partitions, while nothing is unread: see kafka.md"


def _of_servers(load: Load, sizing: Sizing, terms: Terms) -> Iterator[Limit]:
    def at(name: str, share: float, remedy: str) -> Limit:
        return Limit(name=name, kind=Kind.SERVER, messages_per_second=load.messages_per_second * share, remedy=remedy)

    planned_cores, cores = terms.server_cores * terms.utilisation, f"of {terms.server_cores} cores"
    log_cores = sizing.log_cores or 0.0
    if terms.one_server and sizing.store_cores + log_cores:
        share = planned_cores / (sizing.store_cores + log_cores)
        yield at(f"the server {cores}, with log and store", share, "a larger server, or one for each of them")
    else:
        if sizing.store_cores:
            remedy = "a larger server, or a second installation with some of the tenants"
            yield at(f"the store's server {cores}", planned_cores / sizing.store_cores, remedy)
        if log_cores:
            remedy = "a larger server, or the log on Kafka"
            yield at(f"the log's server {cores}", planned_cores / log_cores, remedy)
    if terms.log_disk_bytes is not None:
        yield at(
            "the log's disk",
            terms.log_disk_bytes * _FULL_DISK / sizing.log_bytes,
            "a larger disk, or a shorter CUSTODY_RETENTION_DAYS",
        )


def _of_provider(load: Load, provider: ProviderLimits) -> Iterator[Limit]:
    usual, raised = provider.number_messages_per_second, provider.raised_messages_per_second
    is_usual = load.messages_per_second <= load.numbers * usual
    rate = usual if is_usual else raised
    yield Limit(
        name=f"{load.numbers:,} numbers of {rate:,.0f} messages/s",
        kind=Kind.PROVIDER,
        messages_per_second=load.numbers * rate,
        remedy=f"more numbers, or let the provider raise them to {raised:,.0f}" if is_usual else "more numbers",
    )
    if load.media:
        yield Limit(
            name=f"{provider.calls_per_hour:,.0f} deletions/h of each WABA, if it counts them",
            kind=Kind.PROVIDER,
            messages_per_second=provider.groups * provider.calls_per_hour / _HOUR_SECONDS / load.media,
            remedy="numbers on more WABAs; erasures wait meanwhile, and nothing is lost",
            certain=False,
        )
