"""Takes an archive worker's batches, and an edge's bodies, through their stages one by one, and counts what each takes.

The stages are the product's own functions, called with what they are called with at work. Beside the CPU time of this
process stands that of the database server, for the stages that ask it something.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from backends.postgres.connections import PostgresOptions
from backends.postgres.records import PostgresRecords
from benchmarks import tenant, traffic
from benchmarks.archive.worker import archive_of
from benchmarks.figures import Result
from benchmarks.logs import SEED, LogKind, filled_log, open_log
from benchmarks.profile.servers import server_seconds
from benchmarks.stage import Kind
from broker import collector
from broker.core import rows
from broker.core.metrics import NoMetrics
from broker.core.plan import lookup, plan_keep
from broker.core.ports import Progress, Subscription
from broker.core.topics import ARCHIVED_STREAMS, TopicPartition
from broker.settings import WorkerSettings
from broker.store_settings import PostgresSettings
from broker.workers.archive import Archive, kept_entry
from connectors.whatsapp_cloud.parse import parse
from connectors.whatsapp_cloud.signature import claimed_digest, is_signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage
    from broker.core.ports import EventLog, LogEntry

_MICROSECONDS = 1_000_000
_GROUP = "profile"
_TURNS = 2
_AT_ONCE = 100
ARCHIVE = ("fetch", "decode", "plan", "rows", "keep", "notices", "append", "commit")
"""An archive worker's stages. `keep` is all that the store does, planning and making rows included."""
EDGE = ("check", "parse", "seal", "append")
_ASKING = frozenset({"fetch", "keep", "append", "commit"})
"""The stages that ask a server something."""


@dataclass(slots=True)
class Costs:
    """CPU seconds by stage: of this process, and of the server."""

    own: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    server: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what the block takes."""
        server, own = server_seconds(), time.process_time()
        yield
        self.own[name] += time.process_time() - own
        self.server[name] += server_seconds() - server

    def figures(self, what: str, stages: tuple[str, ...], amount: int) -> Mapping[str, float]:
        """Microseconds for one of `amount`, by stage."""
        return {
            f"{what}: {stage}, {side}": costs[stage] * _MICROSECONDS / amount
            for stage in stages
            for side, costs in (("own us", self.own), ("server us", self.server))
            if side == "own us" or stage in _ASKING
        }


async def measure(stage: Stage, *, entries: int, tell: Tell, on: LogKind = LogKind.POSTGRES) -> Result:
    """Profiles about `entries` entries, and as many bodies of one item, each after a turn to warm up."""
    async with filled_log(stage, on, entries) as (at, volume):
        log = await open_log(at)
        try:
            for number in range(_TURNS):
                tell("profile: archive", number, 2 * _TURNS)
                archive = await _archived(stage, log, f"{_GROUP}-{number}", volume.entries)
            for number in range(_TURNS):
                tell("profile: edge", _TURNS + number, 2 * _TURNS)
                edge = await _received(log, entries)
        finally:
            await log.close()
    return Result(
        name=on.named("profile"),
        parameters={"entries": volume.entries, "bodies": entries, "log": on},
        figures={**archive.figures("archive", ARCHIVE, volume.entries), **edge.figures("edge", EDGE, entries)},
    )


async def _archived(stage: Stage, log: EventLog, group: str, entries: int) -> Costs:
    """What it takes to keep every entry."""
    async with stage.fresh(Kind.RECORDS) as place:
        options = PostgresOptions(connections=PostgresSettings().pool_size)
        store = await PostgresRecords.open(place.dsn, clock=lambda: tenant.AT, options=options)
        archive = archive_of(log, store, metrics=NoMetrics(), clock=lambda: tenant.AT)
        subscription = await log.subscribe(group, [str(one) for one in ARCHIVED_STREAMS], start_at=archive.start_at)
        collector.settle()
        try:
            return await _Keeping(archive, subscription).all_of(entries)
        finally:
            await subscription.close()
            await store.close()


@dataclass(slots=True)
class _Keeping:
    """The turns of an archive worker, one stage after the other."""

    archive: Archive
    subscription: Subscription
    costs: Costs = field(default_factory=Costs)
    progress: dict[TopicPartition, Progress] = field(default_factory=dict)

    async def all_of(self, entries: int) -> Costs:
        left, settings = entries, WorkerSettings()
        while left > 0:
            with self.costs.stage("fetch"):
                batch = await self.subscription.fetch(
                    max_entries=settings.batch_entries, wait_seconds=settings.idle_wait_seconds
                )
            if batch:
                await self._keep(batch)
            left -= len(batch)
        return self.costs

    async def _keep(self, batch: Sequence[LogEntry]) -> None:
        with self.costs.stage("decode"):
            arrived = [self.archive.arrived(entry) for entry in batch]
        with self.costs.stage("plan"):
            lookup(arrived)
            plan = plan_keep(arrived, progress=self.progress, existing={}, open_dead=frozenset(), now=tenant.AT)
        self.progress |= plan.progress
        with self.costs.stage("rows"):
            for number, row in enumerate(plan.rows):
                rows.record_values(row, number)
        with self.costs.stage("keep"):
            answers = await self.archive.store.keep(arrived)
        with self.costs.stage("notices"):
            told = [kept_entry(one.record, answer) for one, answer in zip(arrived, answers, strict=True)]
        with self.costs.stage("append"):
            await self.archive.log.append([one for one in told if one is not None])
        with self.costs.stage("commit"):
            await self.subscription.commit({entry.place: entry.offset + 1 for entry in batch})


async def _received(log: EventLog, amount: int) -> Costs:
    """What it takes to get so many bodies of one item into the log, HTTP apart; `_AT_ONCE` of them are under way."""
    costs, sealing = Costs(), traffic.Sealing(secrets.token_bytes)
    bodies = traffic.bodies(seed=SEED, items=amount, items_a_body=1)
    while some := [(body, tenant.signature(body).decode()) for body in islice(bodies, _AT_ONCE)]:
        with costs.stage("check"):
            for body, header in some:
                is_signed(body, claimed_digest([header]) or b"", [tenant.SECRET])
        with costs.stage("parse"):
            changes = [parse(body) for body, _ in some]
        with costs.stage("seal"):
            entries = [sealing.sealed(one) for one in changes]
        with costs.stage("append"):
            await asyncio.gather(*(log.append(one) for one in entries))
    return costs
