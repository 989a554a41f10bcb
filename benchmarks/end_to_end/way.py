"""The processes of one side, up and at work: a server for webhooks, one that keeps, and the load generator.

When a message was kept is told by one clock, this machine's. Custody's: by the log's time of its `kept` notice, which
is appended once the store's transaction is committed; that is when internal services can know, and a little after a
reader of the store can. The floor's: by its own clock, right after the commit.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from benchmarks import tenant
from benchmarks.archive.orders import WorkerOrders
from benchmarks.children import Child, started
from benchmarks.digests import NotTheSameError
from benchmarks.edge.bench import usage
from benchmarks.edge.orders import Hits, LoadOrders, ServerOrders, Volley
from benchmarks.end_to_end.orders import Committed, ConsumerOrders, Until
from benchmarks.logs import LogAt, open_log
from benchmarks.machine import Spent
from benchmarks.stage import Place
from broker.core.ports import EventLog
from broker.core.topics import TopicPartition
from broker.demo.ports import free_ports
from broker.workers.archive import GROUP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_READ_ENTRIES = 5000


@dataclass(slots=True, kw_only=True)
class Way:
    """One side; the two differ in who keeps, and in how it is known when."""

    log: EventLog
    store: Place
    load: Child
    edge: Child
    port: int
    keeper: Child

    async def fire(self, volley: Volley) -> Hits:
        """What came of a volley, whatever it was answered with."""
        await self.load.tell(volley)
        return await self.load.answer(Hits)

    async def edge_spent(self) -> Spent:
        """What the edge spent since it was last asked."""
        return await usage(self.edge)

    async def kept(self) -> tuple[Mapping[str, float], Spent]:
        """When each record was kept that was since the last time, once all are; and what the keeper spent on it."""
        raise NotImplementedError

    async def accepted(self) -> int:
        """How many entries the log has."""
        return sum((await _ends(self.log, tenant.ACCOUNTED_TOPICS)).values())

    async def check(self, record_ids: Collection[str]) -> None:
        """Sees to it that these are in the store."""
        connection = await asyncpg.connect(self.store.admin_dsn)
        try:
            stored = {found for (found,) in await connection.fetch("SELECT record_id FROM custody_pas.records")}
        finally:
            await connection.close()
        if missing := set(record_ids) - stored:
            raise NotTheSameError(f"{len(missing)} records of {len(record_ids)} answered with 200 were not kept")


@dataclass(slots=True, kw_only=True)
class Custody(Way):
    """The edge and the archive worker."""

    read: dict[TopicPartition, int] = field(default_factory=dict)

    async def kept(self) -> tuple[Mapping[str, float], Spent]:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self._has_all():  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(_LOOK_SECONDS)
        return await self._noticed(), await usage(self.keeper)

    async def _has_all(self) -> bool:
        """Whether the worker has committed the offset of every entry, which it does once the notices are out."""
        ends = await _ends(self.log, tenant.ACCOUNTED_TOPICS)
        return await self.log.committed(GROUP, tenant.ACCOUNTED_TOPICS) == ends

    async def _noticed(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for place, end in (await _ends(self.log, [tenant.KEPT_TOPIC])).items():
            while (offset := self.read.get(place, 0)) < end:
                entries = await self.log.read(place, offset, max_entries=_READ_ENTRIES)
                found |= {entry.header("ce_subject") or "": entry.appended_at.timestamp() for entry in entries}
                self.read[place] = entries[-1].offset + 1
        return found


@dataclass(slots=True, kw_only=True)
class Floor(Way):
    """A bare handler and a bare consumer."""

    async def kept(self) -> tuple[Mapping[str, float], Spent]:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.keeper.tell(Until(entries=await self.accepted()))
            found = await self.keeper.answer(Committed)
        spent = Spent(seconds=0, cpu_seconds=found.cpu_seconds, peak_memory_bytes=found.peak_memory_bytes)
        return found.at, spent


@asynccontextmanager
async def up(at: LogAt, store: Place, *, pool_items: int, reference: Place | None = None) -> AsyncGenerator[Way]:
    """A side on an empty log and store, until the block is left: the floor, where there is a `reference` for its rows.

    The bodies to come have one item each, `pool_items` of them.
    """
    (port,) = free_ports(1)
    server = ServerOrders(log=at, port=port, pool_items=pool_items, items_a_body=1, frozen=False)
    async with AsyncExitStack() as exits:
        log = await open_log(at)
        exits.push_async_callback(log.close)
        load = await exits.enter_async_context(started("edge.load", LoadOrders(pool_items=pool_items, items_a_body=1)))
        edge = await exits.enter_async_context(started("edge.bare" if reference else "edge.real", server))
        if reference:
            consumer = ConsumerOrders(reference_dsn=reference.dsn, records_dsn=store.dsn, log=at)
            keeper = await exits.enter_async_context(started("end_to_end.floor", consumer))
            yield Floor(log=log, store=store, load=load, edge=edge, port=port, keeper=keeper)
        else:
            worker = WorkerOrders(log=at, records_dsn=store.dsn, group=GROUP)
            keeper = await exits.enter_async_context(started("archive.follower", worker))
            yield Custody(log=log, store=store, load=load, edge=edge, port=port, keeper=keeper)


async def _ends(log: EventLog, topics: Collection[str]) -> Mapping[TopicPartition, int]:
    """The ends of those partitions that have entries."""
    bounds = await log.bounds(list(topics))
    return {place: one.end for place, one in bounds.items() if one.end}
