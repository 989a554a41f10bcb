"""What bodies of several sizes take at the edge, and at the server of its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.costs.standing import server_seconds
from benchmarks.edge.bench import EDGE, Size, Turns, fired, ready
from benchmarks.edge.orders import Volley
from benchmarks.stage import Stage
from broker.sizing.costs import EdgeCosts

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from benchmarks.stage import Place

_MICROSECONDS = 1_000_000
_POOL_ITEMS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a volley took: bodies of so many items each, how long, and the CPU time of the server."""

    items_a_body: int
    requests: int
    seconds: float
    server_seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """An edge that is up, with a log of its own, and the bodies that it is sent."""

    stage: Stage
    turns: Turns

    async def send(self) -> Taken:
        """A volley of them, into an empty log, as fast as the edge takes them."""
        size, (_, port) = self.turns.size, self.turns.servers[EDGE]
        await self.turns.begin()
        before = server_seconds(self.stage)
        volley = Volley(port=port, requests=size.requests, connections=size.connections)
        hits = await fired(self.turns.load, volley)
        spent = server_seconds(self.stage) - before
        await self.turns.check(EDGE)
        return Taken(items_a_body=size.items_a_body, requests=hits.requests, seconds=hits.seconds, server_seconds=spent)


async def up(stage: Stage, log: Place, exits: AsyncExitStack, *, items_a_body: int, items: int) -> Webhooks:
    """An edge for bodies of so many items, and for so many items in a volley, until `exits` are left."""
    size = Size(
        items_a_body=items_a_body,
        requests=items // items_a_body,
        connections=64 if items_a_body == 1 else 32,
        pool_items=min(_POOL_ITEMS, items) // items_a_body * items_a_body,
    )
    turns = await ready(stage, log, size, exits)
    await turns.warm_up()
    return Webhooks(stage=stage, turns=turns)


def costs_of(few: Taken, many: Taken, source: str) -> EdgeCosts:
    """What a request costs and what each item in it does: a line through bodies of few and of many items."""
    request, item = _line(few, many, [one.seconds / one.requests for one in (few, many)])
    server_request, server_item = _line(few, many, [one.server_seconds / one.requests for one in (few, many)])
    return EdgeCosts(
        source=source,
        request_microseconds=request * _MICROSECONDS,
        item_microseconds=item * _MICROSECONDS,
        server_request_microseconds=server_request * _MICROSECONDS,
        server_item_microseconds=server_item * _MICROSECONDS,
    )


def _line(few: Taken, many: Taken, seconds: list[float]) -> tuple[float, float]:
    """What there is at no items, and what each adds. Never below nothing, where noise would have it."""
    item = max(0.0, (seconds[1] - seconds[0]) / (many.items_a_body - few.items_a_body))
    return max(0.0, seconds[0] - item * few.items_a_body), item
