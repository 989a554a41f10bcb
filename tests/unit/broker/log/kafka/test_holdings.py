"""What a member does with partitions that its brokers do not find, or that lost entries: the others go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from broker.core.errors import LogChangedError, LogUnavailableError
from broker.core.ports import Bounds
from broker.core.topics import TopicPartition
from broker.log.kafka.holdings import Holdings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from broker.log.kafka.catalog import Catalog

ACME = TopicPartition("custody.acme.messages.v1", 0)
ZETA = TopicPartition("custody.zeta.messages.v1", 0)
BOTH = frozenset({ACME, ZETA})


@dataclass
class ScriptedCatalog:
    """Knows these bounds; finds nothing at all where it has none of those asked for, as in an outage."""

    bounds: dict[TopicPartition, Bounds]
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    async def ids(self, _topics: Collection[str]) -> Mapping[str, bytes]:
        return {}

    async def committed_of(self, group: str, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        assert group == "readers"
        return {place: offset for place, offset in self.committed.items() if place in places}

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        return {place: bounds for place, bounds in self.bounds.items() if place in places}

    async def bounds_found(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        found = await self.bounds_of(places)
        if places and not found:
            raise LogUnavailableError("none of them")
        return found


class Bench:
    """Holdings over a scripted catalog; `sought` is where its consumer stands."""

    def __init__(self, bounds: Mapping[TopicPartition, Bounds], **committed: int) -> None:
        places = {"acme": ACME, "zeta": ZETA}
        self.catalog = ScriptedCatalog(dict(bounds), {places[name]: offset for name, offset in committed.items()})
        self.sought: dict[TopicPartition, int] = {}
        self.asked: list[frozenset[TopicPartition]] = []
        self.holdings = Holdings(
            cast("Catalog", self.catalog),
            "readers",
            start_at=self.start_at,
            seek=self.sought.__setitem__,
            look_seconds=0,
        )

    async def start_at(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.asked.append(places)
        return {}

    def readable(self) -> set[TopicPartition]:
        return {TopicPartition(*one) for one in self.holdings.readable()}

    async def settle_until(self, *readable: TopicPartition) -> None:
        async with asyncio.timeout(20):
            while self.readable() != set(readable):
                await self.holdings.settle()
                await asyncio.sleep(0)


async def test_a_partition_without_bounds_is_looked_for_until_it_is_found_and_the_others_go_on() -> None:
    bench = Bench({ACME: Bounds(first=0, end=9)}, acme=4, zeta=2)
    bench.holdings.assigned(BOTH)
    await bench.settle_until(ACME)
    for _ in range(3):
        await bench.holdings.settle()
        await asyncio.sleep(0)
    assert bench.sought == {ACME: 4}
    assert bench.holdings.places == BOTH  # it is owned, and its reader must not think otherwise
    bench.catalog.bounds[ZETA] = Bounds(first=0, end=9)
    await bench.settle_until(ACME, ZETA)
    assert bench.sought == {ACME: 4, ZETA: 2}
    assert bench.asked == [frozenset({ACME}), frozenset({ZETA})]


async def test_where_nothing_is_found_nothing_is_settled() -> None:
    bench = Bench({})
    bench.holdings.assigned(BOTH)
    with pytest.raises(LogUnavailableError):
        await bench.holdings.settle()
    assert not bench.holdings.settled


async def test_what_is_found_later_is_not_taken_from_a_group_that_has_changed_meanwhile() -> None:
    bench = Bench({ACME: Bounds(first=0, end=9)})
    bench.holdings.assigned(BOTH)
    await bench.settle_until(ACME)
    bench.catalog.bounds[ZETA] = Bounds(first=0, end=9)
    await bench.holdings.settle()  # looks again, beside
    bench.holdings.assigned(frozenset({ACME}))
    await bench.settle_until(ACME)
    await asyncio.sleep(0)
    assert bench.holdings.places == {ACME}


async def test_a_start_past_the_end_is_told_with_its_place_and_the_others_go_on() -> None:
    bench = Bench({ACME: Bounds(first=0, end=9), ZETA: Bounds(first=0, end=3)}, acme=4, zeta=20)
    bench.holdings.assigned(BOTH)
    await bench.holdings.settle()
    for _ in range(2):
        with pytest.raises(LogChangedError, match=r"zeta.*ends at 3, before offset 20") as refusal:
            bench.holdings.refuse_lost()
        assert refusal.value.places == {ZETA}
    bench.holdings.pause(frozenset({ZETA}))
    bench.holdings.refuse_lost()
    assert bench.readable() == {ACME}
    assert bench.holdings.places == BOTH


async def test_what_was_cut_off_under_its_reader_is_told_with_its_place_and_the_others_go_on() -> None:
    bench = Bench(dict.fromkeys(BOTH, Bounds(first=0, end=9)), acme=4, zeta=9)
    bench.holdings.assigned(BOTH)
    await bench.holdings.settle()
    bench.catalog.bounds |= {ZETA: Bounds(first=0, end=3), ACME: Bounds(first=6, end=9)}
    await bench.holdings.return_into_log([ZETA, ACME])
    with pytest.raises(LogChangedError, match="ends at 3, before offset 9") as refusal:
        bench.holdings.refuse_lost()
    assert refusal.value.places == {ZETA}
    assert bench.sought == {ACME: 6, ZETA: 9}
    assert bench.readable() == {ACME}


@pytest.mark.parametrize("known", [True, False])
async def test_a_partition_that_lost_entries_goes_on_where_its_reader_seeks(known: bool) -> None:
    bench = Bench({ACME: Bounds(first=0, end=9), ZETA: Bounds(first=0, end=9 if known else 3)}, zeta=9)
    bench.holdings.assigned(BOTH)
    await bench.holdings.settle()
    bench.catalog.bounds[ZETA] = Bounds(first=0, end=3)
    if known:
        await bench.holdings.return_into_log([ZETA])
    bench.holdings.pause(frozenset({ZETA}))
    bench.holdings.seek(ZETA, 2)
    bench.holdings.resume(frozenset({ZETA}))
    bench.holdings.refuse_lost()
    assert bench.readable() == BOTH
    assert bench.sought[ZETA] == 2
    assert [one.place for one in bench.holdings.claim({ZETA: 3})] == [ZETA]
