"""Where a plan ends as traffic grows, its mix staying as it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from broker.sizing.model import Load, Sizing, Terms, Workers

_HOUR_SECONDS = 3600
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
        *(_of_processes(load, one, terms) for one in sizing.workers if one.busy),
        *_of_servers(load, sizing, terms),
        *_of_provider(load, provider),
    ]
    return sorted(found, key=lambda one: one.messages_per_second)


def nearest(found: Sequence[Limit], kind: Kind) -> Limit | None:
    """The first of a kind, of those that are certain."""
    return next((one for one in found if one.kind is kind and one.certain), None)


def _of_processes(load: Load, workers: Workers, terms: Terms) -> Limit:
    share = workers.processes * terms.utilisation / workers.busy
    return Limit(
        name=f"{workers.processes} x {workers.name}",
        kind=Kind.PROCESS,
        messages_per_second=load.messages_per_second * share,
        remedy=f"one more: custody run {workers.name}",
    )


def _of_servers(load: Load, sizing: Sizing, terms: Terms) -> Iterator[Limit]:
    def at(name: str, share: float, remedy: str) -> Limit:
        return Limit(name=name, kind=Kind.SERVER, messages_per_second=load.messages_per_second * share, remedy=remedy)

    planned_cores = terms.server_cores * terms.utilisation
    yield at(
        f"{sizing.partitions} partitions, a worker each",
        sizing.partitions * terms.utilisation / sizing.busiest,
        "more partitions, while nothing is unread: see kafka.md",
    )
    if sizing.store_cores:
        yield at(
            f"the store's server of {terms.server_cores} cores",
            planned_cores / sizing.store_cores,
            "a larger server, or a second installation with some of the tenants",
        )
    if sizing.log_cores:
        yield at(
            f"the log's server of {terms.server_cores} cores",
            planned_cores / sizing.log_cores,
            "a larger server, or the log on Kafka",
        )
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
