"""The edge and its floor, up at the same time, and taking turns at the same load."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from benchmarks import tenant
from benchmarks.children import Child, started
from benchmarks.digests import Digest, NotTheSameError, digest
from benchmarks.edge.orders import Hits, LoadOrders, ServerOrders, Volley
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogAt, LogKind
from benchmarks.machine import Spent
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind, Place, Stage
from broker.demo.ports import free_ports
from broker.log.postgres import PostgresLog

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from benchmarks.rounds import Side, Tell

EDGE, FLOOR = "edge", "floor"
ROLES = {EDGE: "edge.real", FLOOR: "edge.bare"}
OK, BUSY = 200, 503
_ENTRIES = """
(SELECT name, partition, key, headers, value FROM custody_log.entries
 JOIN custody_log.log_partitions USING (partition_id) JOIN custody_log.topics USING (topic_id)) AS appended
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size of body: how many requests of it make a run, over how many connections, from how many items in all."""

    items_a_body: int
    requests: int
    connections: int
    pool_items: int = 2000


def sizes(entries: int) -> tuple[Size, ...]:
    """The sizes measured, for runs that take about as long as draining `entries` does."""
    return (
        Size(items_a_body=1, requests=max(1, entries // 5), connections=64),
        Size(items_a_body=10, requests=max(1, entries // 20), connections=32),
        Size(items_a_body=1000, requests=max(1, entries // 1000), connections=4),
    )


@dataclass(slots=True, kw_only=True)
class Turns:
    """Two servers and a load generator. `appended` are the digests of what each side's last turn left in the log."""

    stage: Stage
    log: Place
    size: Size
    load: Child
    servers: Mapping[str, tuple[Child, int]]
    frozen: bool = False
    appended: dict[str, Digest] = field(default_factory=dict)

    async def warm_up(self) -> None:
        """Each body once to each server: connections are open then, and every identity is told of."""
        for side in self.servers:
            await self._fire(side, requests=0)

    def turn(self, side: str) -> Side:
        """A turn of one side, which begins with an empty log."""

        async def fire() -> Sample:
            await self.begin()
            server, _ = self.servers[side]
            await usage(server)
            hits = await self._fire(side, requests=self.size.requests)
            spent = await usage(server)
            items = await self.check(side)
            return Sample(
                seconds=hits.seconds,
                counts={"requests": hits.requests, "items": items},
                data_bytes=hits.sent_bytes,
                cpu_seconds=spent.cpu_seconds,
                peak_memory_bytes=spent.peak_memory_bytes,
            )

        return fire

    async def begin(self) -> None:
        """Empties the log, so that each turn begins alike."""
        await self.stage.execute("TRUNCATE custody_log.entries", place=self.log)
        await self.stage.execute("CHECKPOINT")

    async def _fire(self, side: str, *, requests: int) -> Hits:
        _, port = self.servers[side]
        return await fired(self.load, Volley(port=port, requests=requests, connections=self.size.connections))

    async def check(self, side: str, *, requests: int | None = None) -> int:
        """How many entries the turn left in the log: one for each item of so many requests, or of all."""
        requests = self.size.requests if requests is None else requests
        connection = await asyncpg.connect(self.log.admin_dsn)
        try:
            if self.frozen:
                self.appended[side] = await digest(connection, columns="appended.*", source=_ENTRIES)
            appended: int = await connection.fetchval("SELECT count(*) FROM custody_log.entries")
        finally:
            await connection.close()
        if appended != requests * self.size.items_a_body:
            raise NotTheSameError(f"{side}: {appended} entries of {requests} requests")
        return appended


async def measure(stage: Stage, *, sizes: Sequence[Size], runs: int, tell: Tell, frozen: bool = False) -> Result:
    """Loads both sides with bodies of each size. `frozen` checks that they append the same bytes."""
    comparisons = [await _compared(stage, size, runs=runs, tell=tell, frozen=frozen) for size in sizes]
    return Result(
        name="edge",
        parameters={"runs": runs, "sizes": [f"{one.items_a_body} x {one.requests}" for one in sizes]},
        comparisons=comparisons,
    )


async def _compared(stage: Stage, size: Size, *, runs: int, tell: Tell, frozen: bool) -> Comparison:
    title = f"edge: {size.items_a_body:,} items a body, {size.connections} connections"
    async with AsyncExitStack() as exits:
        place = await exits.enter_async_context(stage.fresh(Kind.LOG))
        turns = await ready(stage, place, size, exits, frozen=frozen)
        tell(f"{title}: warming up", 0, 0)
        await turns.warm_up()
        samples = await interleaved(title, {side: turns.turn(side) for side in ROLES}, runs=runs, tell=tell)
    if len(set(turns.appended.values())) > 1:
        raise NotTheSameError(f"{title}: edge and floor appended different entries")
    return Comparison(title=title, subject=EDGE, samples=samples)


async def ready(stage: Stage, place: Place, size: Size, exits: AsyncExitStack, *, frozen: bool = False) -> Turns:
    """Both servers and the generator, up until `exits` are left."""
    log = await PostgresLog.open(place.dsn)
    await log.create_topics(tenant.topics())
    await log.close()
    servers = {}
    for side, role in ROLES.items():
        orders = ServerOrders(
            log=LogAt(kind=LogKind.POSTGRES, address=place.dsn),
            port=free_ports(1)[0],
            pool_items=size.pool_items,
            items_a_body=size.items_a_body,
            frozen=frozen,
        )
        servers[side] = (await exits.enter_async_context(started(role, orders)), orders.port)
    load = LoadOrders(pool_items=size.pool_items, items_a_body=size.items_a_body)
    child = await exits.enter_async_context(started("edge.load", load))
    return Turns(stage=stage, log=place, size=size, load=child, servers=servers, frozen=frozen)


async def fired(load: Child, volley: Volley, *, besides: Collection[int] = ()) -> Hits:
    """What came of a volley that the server was to answer with 200 throughout, or with one of these `besides`."""
    await load.tell(volley)
    return all_taken(await load.answer(Hits), besides=besides)


def all_taken(hits: Hits, *, besides: Collection[int] = ()) -> Hits:
    """What came of it, once it is sure that everything was answered with 200, or with one of these `besides`."""
    if hits.by_status.keys() - set(besides) != {OK}:
        raise NotTheSameError(f"not every request was answered with 200: {dict(hits.by_status)}")
    return hits


async def usage(server: Child) -> Spent:
    """What a server has spent since it was last asked."""
    await server.tell("usage")
    return await server.answer(Spent)
