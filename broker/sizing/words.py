"""A sizing as people read it: rows of tables, and lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.sizing.limits import Kind, nearest
from broker.sizing.model import MOST_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from broker.sizing.costs import Costs
    from broker.sizing.limits import Limit
    from broker.sizing.model import Load, Sizing, Terms

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000
_WHOLE = 100
_DAY_HOURS = 24


def size(count: float) -> str:
    """Bytes in three digits or so, by powers of a thousand."""
    for unit in _UNITS:
        if count < _THOUSAND or unit == _UNITS[-1]:
            break
        count /= _THOUSAND
    return f"{number(count)} {unit}"


def number(value: float) -> str:
    """Large ones whole, small ones with two digits that say something."""
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def traffic(load: Load) -> str:
    """What comes, in one line."""
    return (
        f"{number(load.messages_per_second)} messages a second on {load.numbers:,} numbers, "
        f"{number(load.statuses_per_second)} statuses and {number(load.parts_per_second)} photos or documents: "
        f"{number(load.requests_per_second)} webhooks a second"
    )


def processes(sizing: Sizing) -> list[tuple[object, ...]]:
    """How many to run of each, how many the work keeps busy, and the cores it takes."""
    rows: list[tuple[object, ...]] = [
        (f"custody run {one.name}", one.processes, f"{one.busy:.2f}", f"{one.cores:.2f}") for one in sizing.workers
    ]
    return [*rows, ("all", sizing.processes, "", f"{sum(one.cores for one in sizing.workers):.2f}")]


def servers(sizing: Sizing, terms: Terms) -> list[tuple[str, str]]:
    """What log, store and provider are to take."""
    log = "not measured on Kafka" if sizing.log_cores is None else f"{sizing.log_cores:.2f} cores busy"
    settings = "CUSTODY_WORKERS__MEDIA_CONCURRENCY, __ERASE_CONCURRENCY"
    return [
        ("partitions of each topic", f"{sizing.partitions}: CUSTODY_PARTITIONS"),
        ("the log's server", log),
        ("the store's server", f"{sizing.store_cores:.2f} cores busy, {number(sizing.records_per_second)} records/s"),
        ("CPU cores in all", f"{sizing.cores:.2f} busy, {sizing.cores / terms.utilisation:.1f} as planned"),
        ("the provider", f"{number(sizing.calls_per_hour)} downloads and as many deletions an hour"),
        ("calls at once in a worker", f"{sizing.calls_at_once}: {settings}"),
    ]


def bytes_written(sizing: Sizing, terms: Terms) -> list[tuple[str, ...]]:
    """What is written on a day, and what there is of it in the end."""
    a_day, kept = sizing.a_day, f"after {number(terms.days)} days"
    copies = f", {terms.replication} copies" if terms.log == "kafka" else ""
    return [
        ("store: rows and indexes", size(a_day.store), size(sizing.store_bytes), kept),
        ("blobs", size(a_day.blobs), size(sizing.blob_bytes), kept),
        ("log", size(a_day.log), size(sizing.log_bytes), f"{number(terms.retention_days)} days of it{copies}"),
        ("what Postgres writes ahead of the rows (WAL)", size(a_day.wal), "", "blobs, and a log there, come on top"),
    ]


def limits(load: Load, found: Sequence[Limit]) -> list[tuple[str, str, str]]:
    """Each limit, the nearest first."""
    return [(one.name, _at(load, one), one.remedy) for one in found]


def _at(load: Load, limit: Limit) -> str:
    """When it is reached; with a question mark where nobody knows whether it is one."""
    doubt = "" if limit.certain else " (?)"
    over = ", exceeded" if limit.messages_per_second < load.messages_per_second else ""
    return f"{number(limit.messages_per_second)}{over}{doubt}"


def next_limits(load: Load, found: Sequence[Limit]) -> Iterator[str]:
    """The nearest of each kind."""
    for kind, what in ((Kind.PROCESS, "The next limit"), (Kind.SERVER, "The next that no further process lifts")):
        limit = nearest(found, kind)
        if limit is not None:
            over = " (exceeded)" if limit.messages_per_second < load.messages_per_second else ""
            at = number(limit.messages_per_second)
            yield f"{what}: {limit.name}, at {at} messages/s{over}. Before that: {limit.remedy}"


def assumptions(load: Load, terms: Terms, sizing: Sizing, costs: Costs) -> list[str]:
    """What was taken for granted."""
    lasts = "all day" if load.hours_a_day == _DAY_HOURS else f"for {number(load.hours_a_day)} hours a day"
    on_kafka = ["what edge and workers take was measured with the log on Postgres"] if terms.log == "kafka" else []
    return [
        f"{terms.utilisation:.0%} of what each process, partition and server can take is planned with",
        _room(sizing, terms),
        "one tenant has all of it, and every number the same share",
        f"this rate lasts {lasts}, with {number(load.items_a_request)} items a webhook",
        f"a photo or document has {size(load.media_bytes)}, is downloaded once and deleted once",
        f"it takes the CPU that one of {size(costs.part_bytes)} took, which was measured",
        f"every message is a record, whoever sent it; {load.identities:.0%} of messages show somebody new",
        f"a call to the provider takes {number(terms.provider_seconds)} s",
        "records and blobs are on Postgres",
        *on_kafka,
    ]


def _room(sizing: Sizing, terms: Terms) -> str:
    """For how many times the traffic the partitions do."""
    if sizing.partitions < MOST_PARTITIONS:
        return f"partitions are to do for {number(terms.growth)} times the traffic"
    busiest = max(one.busy for one in sizing.workers if one.name in {"archive", "media"})
    times = min(terms.growth, sizing.partitions * terms.utilisation / busiest)
    return f"{sizing.partitions:,} partitions, the most there are, do for {number(times)} times the traffic"


def provenance(costs: Costs) -> Iterator[str]:
    """Where the costs come from."""
    yield f"Costs: {costs.machine}, {costs.at[:10]}, {costs.command}"
    if costs.note:
        yield f"Mind: {costs.note}"
