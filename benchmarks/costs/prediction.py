"""What the model of `custody size` says of mixed traffic, beside what was measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from broker.core import codec, model
from broker.sizing.costs import Costs, EntryCosts, WorkerCosts
from broker.sizing.model import Load, Terms, sized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.costs.life import Kept
    from benchmarks.costs.webhooks import Taken
    from broker.core.ports import NewEntry

_MICROSECONDS = 1_000_000
_DAY_SECONDS = 86_400
_FREE = WorkerCosts(source="", cpu_microseconds=0, server_microseconds=0, log_bytes=0, entry_bytes=0)
_FREE_ENTRY = EntryCosts(
    source="",
    worker_microseconds=0,
    cpu_microseconds=0,
    server_microseconds=0,
    store_bytes=0,
    wal_bytes=0,
    log_bytes=0,
    entry_bytes=0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """Mixed traffic: how many messages, how many of them with a part, and how many statuses."""

    messages: int
    documents: int
    statuses: int
    items_a_body: int

    @classmethod
    def of(cls, entries: Sequence[NewEntry], *, items_a_body: int) -> Mixed:
        """What these entries are."""
        found = [codec.decode_record(one.value).envelope for one in entries]
        statuses = sum(one.kind is model.Kind.STATUS for one in found)
        return cls(
            messages=len(found) - statuses,
            documents=sum(bool(one.parts) for one in found),
            statuses=statuses,
            items_a_body=items_a_body,
        )

    @property
    def load(self) -> Load:
        """One message a second of it."""
        return Load(
            numbers=1,
            messages_per_second=1,
            statuses=self.statuses / self.messages,
            media=self.documents / self.messages,
            identities=0,
            items_a_request=self.items_a_body,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of it, or predicted: of one archive worker, of the store, the log, the server and one edge."""

    archive_records_per_second: float
    store_bytes_a_record: float
    log_bytes_a_record: float
    server_cpu_microseconds_a_record: float
    edge_requests_per_second: float


def measured(kept: Kept, sent: Taken) -> Measured:
    """What an archive worker kept, and what an edge took."""
    before, there, after = kept.before, kept.there, kept.after
    return Measured(
        archive_records_per_second=kept.entries / kept.spent.seconds,
        store_bytes_a_record=(after.store_bytes - before.store_bytes) / kept.entries,
        log_bytes_a_record=(after.log_bytes - before.log_bytes) / kept.entries,
        server_cpu_microseconds_a_record=(after.server_seconds - there.server_seconds) * _MICROSECONDS / kept.entries,
        edge_requests_per_second=sent.requests_per_second,
    )


def predicted(mix: Mixed, costs: Costs) -> Measured:
    """What the model says, where nothing is fetched and nothing erased: that is not in this run."""
    load = mix.load
    kept = replace(costs, part=_FREE_ENTRY, receipt=_FREE_ENTRY, fetch=_FREE, relay=_FREE)
    found = sized(load, kept, Terms(utilisation=1))
    edge, archive, *_ = found.workers
    records = load.items_per_second
    return Measured(
        archive_records_per_second=records / archive.busy,
        store_bytes_a_record=found.a_day.store / _DAY_SECONDS / records,
        log_bytes_a_record=found.a_day.log / _DAY_SECONDS / records,
        server_cpu_microseconds_a_record=found.store_cores * _MICROSECONDS / records,
        edge_requests_per_second=load.requests_per_second / edge.busy,
    )
