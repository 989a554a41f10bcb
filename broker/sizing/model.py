"""From traffic and costs to what it takes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from broker.sizing.costs import Costs, EntryCosts

_MICROSECONDS = 1_000_000
_HOUR_SECONDS = 3600
LEAST_PARTITIONS = 4
MOST_PARTITIONS = 1024
"""As `CUSTODY_PARTITIONS` has it."""


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
    partitions are to do for so many times the traffic. `server_cores`: those of each Postgres. `provider_seconds`: how
    long a call to the provider takes, of which a process has `calls_at_once` under way. `replication`: copies that
    Kafka has of each entry.
    """

    days: float = 30.0
    retention_days: float = 14.0
    log: Literal["postgres", "kafka"] = "postgres"
    replication: int = 3
    utilisation: float = 0.5
    growth: float = 4.0
    server_cores: int = 8
    provider_seconds: float = 0.3
    calls_at_once: int = 8
    log_disk_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Processes of one kind: how many to run, how many the work would keep busy, and the CPU cores it takes."""

    name: str
    processes: int
    busy: float
    cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What is written on an average day.

    `log`: entries, all copies. `wal`: what Postgres writes ahead of the store's rows, which replicas and backups take.
    """

    store: float
    blobs: float
    wal: float
    log: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What it takes. `log_cores` is None on Kafka: what its brokers take was not measured.

    `busiest`: how many workers the busiest stream alone would keep busy; a partition has one worker at a time.
    `store_bytes` and `blob_bytes` are those after `days`, `log_bytes` those of `retention_days`. `calls_per_hour` are
    deletions, and as many downloads.
    """

    requests_per_second: float
    records_per_second: float
    workers: Sequence[Workers]
    partitions: int
    busiest: float
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
    workers = _workers(load, costs, terms)
    a_day = _bytes_a_day(load, costs, terms)
    return Sizing(
        requests_per_second=load.requests_per_second,
        records_per_second=sum(rate for rate, _ in _entries(load, costs)),
        workers=workers,
        partitions=_partitions(workers[1].busy, terms),
        busiest=max(_busy(one) for one in _streams(load, costs)),
        store_cores=_store_cores(load, costs),
        log_cores=_log_cores(load, costs) if terms.log == "postgres" else None,
        a_day=a_day,
        store_bytes=a_day.store * terms.days,
        blob_bytes=a_day.blobs * terms.days,
        log_bytes=a_day.log * terms.retention_days,
        calls_per_hour=load.parts_per_second * _HOUR_SECONDS,
    )


def _streams(load: Load, costs: Costs) -> Sequence[Sequence[tuple[float, EntryCosts]]]:
    """What comes on each stream that the archive worker reads: entries a second, and what one costs."""
    messages = ((load.texts_per_second, costs.text), (load.parts_per_second, costs.document))
    parts, receipts = ((load.parts_per_second, one) for one in (costs.part, costs.receipt))
    return messages, ((load.statuses_per_second, costs.status),), (parts,), (receipts,)


def _entries(load: Load, costs: Costs) -> Sequence[tuple[float, EntryCosts]]:
    return [one for stream in _streams(load, costs) for one in stream]


def _busy(entries: Sequence[tuple[float, EntryCosts]]) -> float:
    return sum(rate * cost.worker_microseconds for rate, cost in entries) / _MICROSECONDS


def _workers(load: Load, costs: Costs, terms: Terms) -> Sequence[Workers]:
    """The edge and the archive first."""
    entries, parts = _entries(load, costs), load.parts_per_second
    edge = load.requests_per_second * costs.edge.request_microseconds
    edge = (edge + load.items_per_second * costs.edge.item_microseconds) / _MICROSECONDS
    archive = sum(rate * cost.cpu_microseconds for rate, cost in entries) / _MICROSECONDS
    scan = (load.texts_per_second + parts) * costs.scan.cpu_microseconds
    media = (scan + parts * costs.fetch.cpu_microseconds) / _MICROSECONDS
    relay, erase = (parts * one.cpu_microseconds / _MICROSECONDS for one in (costs.relay, costs.erase))
    calls = parts * terms.provider_seconds / terms.calls_at_once
    return [
        _planned("edge", edge, edge, terms),
        _planned("archive", _busy(entries), archive, terms),
        _planned("media", max(calls, media), media, terms),
        _planned("relay", relay, relay, terms),
        _planned("erase", max(calls, erase), erase, terms),
    ]


def _planned(name: str, busy: float, cores: float, terms: Terms) -> Workers:
    """At least one, since somebody has to be there when there is work after all."""
    return Workers(name=name, processes=max(1, _up(busy / terms.utilisation)), busy=busy, cores=cores)


def _up(value: float) -> int:
    """Rounded up; what is over by a rounding error of floats is not over."""
    return math.ceil(round(value, 9))


def _partitions(busy: float, terms: Terms) -> int:
    """As many as there will be archive workers, so that each has some of the busiest stream; a power of two."""
    wanted = max(LEAST_PARTITIONS, _up(busy * terms.growth / terms.utilisation))
    return min(MOST_PARTITIONS, 1 << (wanted - 1).bit_length())


def _store_cores(load: Load, costs: Costs) -> float:
    kept = sum(rate * cost.server_microseconds for rate, cost in _entries(load, costs))
    return (kept + load.parts_per_second * costs.relay.server_microseconds) / _MICROSECONDS


def _log_cores(load: Load, costs: Costs) -> float:
    appended = load.requests_per_second * costs.edge.server_request_microseconds
    appended += load.items_per_second * costs.edge.server_item_microseconds
    scanned = (load.texts_per_second + load.parts_per_second) * costs.scan.server_microseconds
    worked = load.parts_per_second * (costs.fetch.server_microseconds + costs.erase.server_microseconds)
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
