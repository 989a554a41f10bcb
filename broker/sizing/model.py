"""From traffic and costs to what it takes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.sizing.costs import Costs, EntryCosts

_MICROSECONDS = 1_000_000
_HOUR_SECONDS = 3600
LEAST_PARTITIONS = 4
MOST_PARTITIONS = 1024
"""As `CUSTODY_PARTITIONS` has it."""
LEAST_CALLS, MOST_CALLS = 8, 256
"""As `CUSTODY_WORKERS__MEDIA_CONCURRENCY` and `__ERASE_CONCURRENCY` have it: by default, and at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What comes, of the whole installation: all numbers together, messages in both directions.

    `statuses`: so many for each message on average. `media`: the share of messages with a part, of `media_bytes` on
    average. `identities`: the share of messages that show a person anew, which is one more entry. `items_a_request`:
    messages and statuses in one webhook. `hours_a_day`: how long the rate lasts.
    """

    numbers: int
    messages_per_second: float
    statuses: float = 3.0
    media: float = 0.2
    media_bytes: float = 150_000
    identities: float = 0.1
    items_a_request: float = 1.0
    hours_a_day: float = 24.0

    @property
    def texts_per_second(self) -> float:
        """Messages without a part, and identities, which cost about the same."""
        return self.messages_per_second * (1 - self.media + self.identities)

    @property
    def statuses_per_second(self) -> float:
        return self.messages_per_second * self.statuses

    @property
    def parts_per_second(self) -> float:
        """Messages with a part; also the parts fetched, the targets erased, and the receipts."""
        return self.messages_per_second * self.media

    @property
    def items_per_second(self) -> float:
        """Messages and statuses, as webhooks carry them."""
        return self.messages_per_second * (1 + self.statuses)

    @property
    def requests_per_second(self) -> float:
        return self.items_per_second / self.items_a_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How it is to run.

    `utilisation`: the share of what a process, a partition or a server can take that is planned with. `growth`: the
    partitions are to do for so many times the traffic. `server_cores`: those of each Postgres; `one_server`: log and
    store are on the same one. `provider_seconds`: how long a call to the provider takes. `replication`: copies that
    Kafka has of each entry.
    """

    days: float = 30.0
    retention_days: float = 14.0
    log: Literal["postgres", "kafka"] = "postgres"
    replication: int = 3
    utilisation: float = 0.5
    growth: float = 4.0
    server_cores: int = 8
    one_server: bool = False
    provider_seconds: float = 0.3
    log_disk_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Processes of one kind: how many to run, how many the work would keep busy, and the CPU cores it takes.

    `most`: so many get work at most, since a partition has one worker at a time; None where there is no such bound.
    """

    name: str
    processes: int
    busy: float
    cores: float
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What is written on an average day.

    `log`: entries, all copies. `wal`: what Postgres writes ahead of the store's rows, blobs apart.
    """

    store: float
    blobs: float
    wal: float
    log: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What it takes. `log_cores` is None on Kafka: what its brokers take was not measured.

    `calls_at_once`: how many calls to the provider each media and each erase worker is to have under way. `store_bytes`
    and `blob_bytes` are those after `days`, `log_bytes` those of `retention_days`. `calls_per_hour` are deletions, and
    as many downloads.
    """

    requests_per_second: float
    records_per_second: float
    workers: Sequence[Workers]
    partitions: int
    calls_at_once: int
    store_cores: float
    log_cores: float | None
    a_day: Bytes
    store_bytes: float
    blob_bytes: float
    log_bytes: float
    calls_per_hour: float

    @property
    def processes(self) -> int:
        return sum(one.processes for one in self.workers)

    @property
    def cores(self) -> float:
        """CPU cores that all of it keeps busy, servers included as far as they were measured."""
        return sum(one.cores for one in self.workers) + self.store_cores + (self.log_cores or 0.0)


def sized(load: Load, costs: Costs, terms: Terms) -> Sizing:
    """What this load takes at these costs."""
    at_once = _calls_at_once(load, terms)
    needs = _needs(load, costs, terms, at_once)
    partitions = _partitions(needs, terms)
    a_day = _bytes_a_day(load, costs, terms)
    return Sizing(
        requests_per_second=load.requests_per_second,
        records_per_second=sum(rate for rate, _ in _entries(load, costs)),
        workers=[_planned(name, need, terms, _most(name, load, partitions)) for name, need in needs.items()],
        partitions=partitions,
        calls_at_once=at_once,
        store_cores=_store_cores(load, costs),
        log_cores=_log_cores(load, costs) if terms.log == "postgres" else None,
        a_day=a_day,
        store_bytes=a_day.store * terms.days,
        blob_bytes=a_day.blobs * terms.days,
        log_bytes=a_day.log * terms.retention_days,
        calls_per_hour=load.parts_per_second * _HOUR_SECONDS,
    )


def calls_under_way(load: Load, terms: Terms) -> float:
    """So many downloads at any moment, and as many deletions."""
    return load.parts_per_second * terms.provider_seconds


def _entries(load: Load, costs: Costs) -> Sequence[tuple[float, EntryCosts]]:
    """What the archive worker reads: entries a second, and what one costs."""
    parts = load.parts_per_second
    return [
        (load.texts_per_second, costs.text),
        (parts, costs.document),
        (load.statuses_per_second, costs.status),
        (parts, costs.part),
        (parts, costs.receipt),
    ]


class _Need(NamedTuple):
    """How many processes the work would keep busy, and the CPU cores it takes."""

    busy: float
    cores: float


def _needs(load: Load, costs: Costs, terms: Terms, at_once: int) -> Mapping[str, _Need]:
    """By worker."""
    entries, parts = _entries(load, costs), load.parts_per_second
    edge = load.requests_per_second * costs.edge.request_microseconds
    edge = (edge + load.items_per_second * costs.edge.item_microseconds) / _MICROSECONDS
    busy = sum(rate * cost.worker_microseconds for rate, cost in entries) / _MICROSECONDS
    archive = sum(rate * cost.cpu_microseconds for rate, cost in entries) / _MICROSECONDS
    scan = (load.texts_per_second + parts) * costs.scan.cpu_microseconds
    media = (scan + parts * costs.fetch.cpu_microseconds) / _MICROSECONDS
    relay, erase = (parts * one.cpu_microseconds / _MICROSECONDS for one in (costs.relay, costs.erase))
    calls = calls_under_way(load, terms) / at_once
    return {
        "edge": _Need(edge, edge),
        "archive": _Need(busy, archive),
        "media": _Need(max(calls, media), media),
        "relay": _Need(relay, relay),
        "erase": _Need(max(calls, erase), erase),
    }


def _calls_at_once(load: Load, terms: Terms) -> int:
    """So many that waiting for the provider takes no further process, as far as settings go; a power of two."""
    wanted = _power_of_two(_up(calls_under_way(load, terms) / terms.utilisation))
    return min(MOST_CALLS, max(LEAST_CALLS, wanted))


def _planned(name: str, need: _Need, terms: Terms, most: int | None) -> Workers:
    """At least one, since somebody has to be there when there is work after all; no more than get any."""
    wanted = max(1, _up(need.busy / terms.utilisation))
    processes = wanted if most is None else min(wanted, most)
    return Workers(name=name, processes=processes, busy=need.busy, cores=need.cores, most=most)


def _most(name: str, load: Load, partitions: int) -> int | None:
    """Fetches are spread over partitions by part, deletions by number; edges and relays share none."""
    shared = {"archive": partitions, "media": partitions, "erase": min(load.numbers, partitions)}
    return shared.get(name)


def _up(value: float) -> int:
    """Rounded up; what is over by a rounding error of floats is not over."""
    return math.ceil(round(value, 9))


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()


def _partitions(needs: Mapping[str, _Need], terms: Terms) -> int:
    """As many as there will be archive or media workers, so that each has some; a power of two."""
    busy = max(needs["archive"].busy, needs["media"].busy)
    wanted = max(LEAST_PARTITIONS, _up(busy * terms.growth / terms.utilisation))
    return min(MOST_PARTITIONS, _power_of_two(wanted))


def _store_cores(load: Load, costs: Costs) -> float:
    kept = sum(rate * cost.server_microseconds for rate, cost in _entries(load, costs))
    parts = costs.relay.server_microseconds + costs.fetch.server_microseconds
    return (kept + load.parts_per_second * parts) / _MICROSECONDS


def _log_cores(load: Load, costs: Costs) -> float:
    appended = load.requests_per_second * costs.edge.server_request_microseconds
    appended += load.items_per_second * costs.edge.server_item_microseconds
    scanned = (load.texts_per_second + load.parts_per_second) * costs.scan.server_microseconds
    worked = load.parts_per_second * costs.erase.server_microseconds
    return (appended + scanned + worked) / _MICROSECONDS


def _bytes_a_day(load: Load, costs: Costs, terms: Terms) -> Bytes:
    seconds = load.hours_a_day * _HOUR_SECONDS
    entries = [(rate * seconds, cost) for rate, cost in _entries(load, costs)]
    parts = load.parts_per_second * seconds
    postgres = terms.log == "postgres"
    log = sum(count * (cost.log_bytes if postgres else cost.entry_bytes) for count, cost in entries)
    tasks = (costs.fetch, costs.relay)
    log += parts * sum(one.log_bytes if postgres else one.entry_bytes for one in tasks)
    return Bytes(
        store=sum(count * cost.store_bytes for count, cost in entries),
        blobs=parts * load.media_bytes * costs.blob_bytes_a_byte,
        wal=sum(count * cost.wal_bytes for count, cost in entries),
        log=log if postgres else log * terms.replication,
    )
