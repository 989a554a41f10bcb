"""What a machine of record stores has before it: two tenants, their logs, and two stores that are asked alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from broker.core.model import Record
from broker.core.ports import Arrived
from broker.core.topics import TopicPartition, split_topic
from broker.workers.records import end_unknown_record
from tests.contract import record_store_reads as reads
from tests.records import NOON, Desk, Time, target_of, where

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from broker.core.ports import RecordStore, Tally
    from tests.contract.two_stores import Pair

LOGS = ("log-1", "log-2", "log-3")
TENANTS = ("acme", "other")

Place = tuple[str, TopicPartition]
"""A partition of a log."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where an entry goes, and whether the worker is so fast that it is kept at once."""

    partition: int
    is_kept_at_once: bool


@dataclass
class Office:
    """One tenant: the log its entries go to now, and what was said so far."""

    desk: Desk
    ends: dict[str, Counter[TopicPartition]] = field(default_factory=lambda: defaultdict(Counter))
    said: list[Record] = field(default_factory=list)
    unkept: list[Record] = field(default_factory=list)
    """Messages that a status may speak of and that no entry holds yet."""
    named: list[Record] = field(default_factory=list)
    dead: list[tuple[str, Record, Arrived]] = field(default_factory=list)
    commanded: list[tuple[str, int]] = field(default_factory=list)
    acts: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.move(LOGS[0])

    def move(self, log: str) -> None:
        """Writes to another log from now on."""
        self.desk.log, self.desk.ends = log, self.ends[log]


class Scene(RuleBasedStateMachine):
    """`pair` and `time` are set by the test."""

    pair: ClassVar[Pair[RecordStore]]
    time: ClassVar[Time]

    def __init__(self) -> None:
        super().__init__()
        self.time.now = NOON
        self.offices = {tenant: Office(self.desk(tenant)) for tenant in TENANTS}
        self.log: dict[Place, list[Arrived | None]] = defaultdict(list)
        """The entries of each partition by offset; None where the log never had one."""

    def desk(self, tenant: str) -> Desk:
        desk = Desk(1, tenant=tenant)
        desk.time = self.time
        return desk

    def photo(self, office: Office, native: str, body: str, objects: Sequence[str], way: Way, wait: float) -> Record:
        record = office.desk.image(*objects, native=native, caption=f"{body}{objects}")
        office.named.append(record)
        policy = office.desk.policy(record, erase_after_seconds=wait)
        self.enter(office.desk.arrive(record, partition=way.partition, policy=policy), way)
        return record

    def claim_both(self, *, limit: int, lease: timedelta) -> None:
        found = self.pair.tell(lambda store: store.claim_due(now=self.time.now, limit=limit, lease=lease))
        for one in found:
            self.offices[one.command.tenant].commanded.append((one.command.target_id, one.command.attempt))

    def append(self, office: Office, record: Record, way: Way) -> None:
        self.enter(office.desk.arrive(record, partition=way.partition), way)

    def enter(self, entry: Arrived, way: Way) -> None:
        """The next entry of its partition; kept at once, with whatever else is there, if the worker is that fast."""
        topic_partition, offset = where(entry)
        place = (self.office_of(topic_partition).desk.log, topic_partition)
        assert offset == len(self.log[place])
        self.log[place].append(entry)
        if way.is_kept_at_once:
            self.keep_both(self.stretch(place, self.next(place), len(self.log[place])))

    def tally(self, tenant: str, log: str) -> Tally:
        return self.pair.tell(lambda store: store.tally(tenant, log, buckets=True))

    def compare_rows(self, tenant: str) -> None:
        self.pair.tell(lambda store: reads.rows(store, tenant))

    def keep_both(self, batch: Sequence[Arrived]) -> None:
        if batch:
            self.pair.ask(lambda store: store.keep(batch))

    def stretch(self, place: Place, first: int, count: int) -> list[Arrived]:
        return [one for one in self.log[place][max(0, first) : max(0, first + count)] if one is not None]

    def next(self, place: Place) -> int:
        log, of = place
        progress = self.pair.tell(lambda store: store.progress(log, [of.topic])).get(of)
        return progress.next if progress else 0

    def left_behind(self) -> list[Place]:
        """Where entries lie that were not kept before another log took over."""
        return [
            place
            for place in sorted(self.log)
            if place[0] != self.office_of(place[1]).desk.log and self.stretch(place, self.next(place), 1)
        ]

    def starts(self, office: Office, log: str, skipped: dict[int, int]) -> dict[TopicPartition, int]:
        """Where each partition of the new log begins: the first entries of some are gone from it already."""
        topics = {place.topic for _, place in self.log if split_topic(place.topic)[0] == office.desk.tenant}
        places = [TopicPartition(topic, number) for topic in sorted(topics) for number in skipped]
        return {place: skipped[place.partition] for place in places if not office.ends[log][place]}

    def ends_unknown(self, office: Office, log: str, successor: str) -> list[Record]:
        topics = sorted({place.topic for of, place in self.log if of == log and self.office_of(place) is office})
        known = self.pair.tell(lambda store: store.progress(log, topics))
        return [
            end_unknown_record(
                log,
                place,
                first=known[place].next,
                successor=successor,
                key=office.desk.key,
                now=self.time.now,
                entropy=office.desk.random.randbytes,
            )
            for place in sorted(known)
        ]

    def office_of(self, place: TopicPartition) -> Office:
        return self.offices[split_topic(place.topic)[0]]

    def any(self, what: str) -> bool:
        return any(getattr(office, what) for office in self.offices.values())

    def one_with(self, what: str, data: st.DataObject) -> Office:
        tenants = [tenant for tenant, office in self.offices.items() if getattr(office, what)]
        return self.offices[data.draw(st.sampled_from(tenants))]

    def some_part(self, data: st.DataObject) -> tuple[Office, Record, int]:
        office = self.one_with("named", data)
        record = data.draw(st.sampled_from(office.named))
        return office, record, data.draw(st.integers(1, len(record.envelope.parts)))

    def some_targets(self, data: st.DataObject) -> tuple[str, list[str]]:
        office, record, number = self.some_part(data)
        _, other, another = self.some_part(data)
        return office.desk.tenant, [target_of(record, number), target_of(other, another), "tgt_of_nobody"]
