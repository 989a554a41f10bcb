"""Where the archive worker begins to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from broker.core.metrics import NoMetrics
from broker.core.ports import Bounds, EventLog, Progress, RecordStore
from broker.core.registry import Registry
from broker.core.topics import TopicPartition
from broker.workers.archive import Archive
from tests.records import LOG, Desk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.ports import LogEntry

TOPIC = "custody.acme.messages.v1"
TOLD, UNTOLD, NEW = (TopicPartition(TOPIC, number) for number in range(3))


@dataclass
class Log:
    """Three partitions with ten entries each."""

    group: dict[TopicPartition, int] = field(default_factory=dict)
    identity: str = LOG

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return {place: Bounds(first=0, end=10) for place in (TOLD, UNTOLD, NEW) if place.topic in topics}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        assert group == "archive"
        return {place: offset for place, offset in self.group.items() if place.topic in topics}

    async def read(self, place: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        raise AssertionError(place, offset, max_entries)


@dataclass
class Store:
    """Stands somewhere in each partition it has seen."""

    stands: dict[TopicPartition, int]

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        assert (log, list(topics)) == (LOG, [TOPIC])
        return {place: Progress(start=0, next=offset) for place, offset in self.stands.items()}

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        assert (log, list(topics)) == (LOG, [TOPIC])
        return {}


async def test_it_wishes_to_go_on_where_the_store_stands_only_where_its_group_ever_committed() -> None:
    desk = Desk(1)
    archive = Archive(
        log=cast("EventLog", Log({TOLD: 9})),
        store=cast("RecordStore", Store({TOLD: 6, UNTOLD: 6})),
        registry=lambda: Registry(tenants={}, apps={}, accounts={}),
        capabilities={},
        metrics=NoMetrics(),
        clock=desk.time,
        entropy=desk.random.randbytes,
    )
    assert await archive.start_at(frozenset({TOLD, UNTOLD, NEW})) == {TOLD: 6}
