"""The same commands to Postgres and to memory give the same answers, progress, targets and account."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backends.memory import MemoryRecords
from backends.postgres.records import PostgresRecords
from broker.core.account import draw, of_bucket
from broker.core.erasure import LossReason
from broker.core.errors import LossRefusedError, OffsetGapError
from broker.core.model import ErasureOutcome
from broker.core.ports import Loss
from broker.workers.records import loss_record
from tests.records import LOG, NOON, TENANT, Desk, Time, target_of, where
from tests.stores import as_writer, execute, store_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from broker.core.model import Record
    from broker.core.ports import Arrived, RecordStore
    from broker.core.topics import TopicPartition
    from tests.servers import SharedPostgres

T = TypeVar("T")

EXAMPLES, STEPS = int(os.environ.get("CUSTODY_TEST_EXAMPLES", "25")), 40
EMPTY = """
TRUNCATE custody_pas.progress, custody_pas.records, custody_pas.parts, custody_pas.part_results, custody_pas.targets,
    custody_pas.receipts, custody_pas.gaps, custody_pas.unseen, custody_pas.dead_letters, custody_pas.tallies
"""
PARTITIONS = st.integers(0, 1)
NATIVES = st.sampled_from(["wamid.1", "wamid.2", "wamid.3"])
BODIES = st.sampled_from(["At nine", "At ten"])
OBJECTS = st.lists(st.sampled_from(["media-1", "media-2", "media-3"]), min_size=1, max_size=2)
REASONS = st.sampled_from(list(LossReason))
OUTCOMES = st.sampled_from(list(ErasureOutcome))
SPANS = st.sampled_from([{"seconds": 1}, {"minutes": 6}, {"minutes": 40}, {"hours": 20}, {"days": 8}])


class StoreMachine(RuleBasedStateMachine):
    """Puts entries into a log and keeps stretches of it, overlapping at will, in both stores."""

    runner: ClassVar[asyncio.Runner]
    admin_dsn: ClassVar[str]
    postgres: ClassVar[PostgresRecords]
    time: ClassVar[Time]

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(1)
        self.desk.time = self.time
        self.time.now = NOON
        self.memory = MemoryRecords(self.desk.time)
        self.log: dict[TopicPartition, list[Arrived]] = defaultdict(list)
        self.named: list[Record] = []
        self.messages: list[Record] = []
        self.dead: list[tuple[Record, Arrived]] = []
        self.commanded: list[tuple[str, int]] = []
        self.lost: list[Loss] = []

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def both(self, call: Callable[[RecordStore], Awaitable[T]]) -> T:
        """The one answer of both stores."""
        found, expected = self.run(call(self.postgres)), self.run(call(self.memory))
        assert found == expected
        return found

    def append(self, entry: Arrived) -> None:
        self.log[where(entry)[0]].append(entry)

    @initialize()
    def begin(self) -> None:
        self.run(execute(self.admin_dsn, EMPTY))

    @rule(native=NATIVES, body=BODIES, partition=PARTITIONS)
    def a_text(self, native: str, body: str, partition: int) -> None:
        record = self.desk.text(body, native=native)
        self.messages.append(record)
        self.append(self.desk.arrive(record, partition=partition))

    @rule(native=NATIVES, body=BODIES, objects=OBJECTS, partition=PARTITIONS)
    def a_photo(self, native: str, body: str, objects: list[str], partition: int) -> None:
        record = self.desk.image(*objects, native=f"photo.{native}", caption=f"{body}{objects}")
        self.named.append(record)
        self.append(self.desk.arrive(record, partition=partition))

    @rule(partition=PARTITIONS)
    def a_gap(self, partition: int) -> None:
        self.append(self.desk.arrive(self.desk.gap(), partition=partition))

    @rule(partition=PARTITIONS, data=st.data())
    def a_status(self, partition: int, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.messages)) if self.messages else None
        self.append(self.desk.arrive(self.desk.status(of), partition=partition))

    @precondition(lambda self: self.named)
    @rule(partition=PARTITIONS, data=st.data())
    def a_kept_part(self, partition: int, data: st.DataObject) -> None:
        record, number = self._some_part(data)
        self.append(self.desk.arrive(self.desk.kept(record, number), partition=partition))

    @precondition(lambda self: self.named)
    @rule(partition=PARTITIONS, reason=REASONS, witnessed=st.booleans(), data=st.data())
    def a_lost_part(self, partition: int, reason: str, witnessed: bool, data: st.DataObject) -> None:
        record, number = self._some_part(data)
        lost = self.desk.lost(record, number, reason=reason, witnessed=witnessed)
        self.append(self.desk.arrive(lost, partition=partition))

    @precondition(lambda self: self.commanded)
    @rule(outcome=OUTCOMES, witnessed=st.booleans(), partition=PARTITIONS, data=st.data())
    def a_receipt(self, outcome: str, witnessed: bool, partition: int, data: st.DataObject) -> None:
        target_id, attempt = data.draw(st.sampled_from(self.commanded))
        receipt = self.desk.receipt(target_id, outcome, attempt=attempt, witnessed=witnessed)
        self.append(self.desk.arrive(receipt, partition=partition))

    @rule(partition=PARTITIONS)
    def a_dead_letter(self, partition: int) -> None:
        record = self.desk.text()
        entry = self.desk.die(record, partition=partition)
        self.dead.append((record, entry))
        self.append(entry)

    @precondition(lambda self: self.dead)
    @rule(partition=PARTITIONS, dies_again=st.booleans(), data=st.data())
    def a_redrive(self, partition: int, dies_again: bool, data: st.DataObject) -> None:
        record, dead = data.draw(st.sampled_from(self.dead))
        again = self.desk.die if dies_again else self.desk.arrive
        self.append(again(record, partition=partition, redrive_of=dead))

    @precondition(lambda self: self.log)
    @rule(data=st.data(), back=st.integers(0, 3), ahead=st.integers(1, 8))
    def keep(self, data: st.DataObject, back: int, ahead: int) -> None:
        """A stretch of some partitions, beginning at progress or some entries before it."""
        places = data.draw(st.lists(st.sampled_from(sorted(self.log)), min_size=1, max_size=3, unique=True))
        batch: list[Arrived] = []
        for place in places:
            at = self._next(place)
            batch += self.log[place][max(0, at - back) : at + ahead]
        if batch:
            self.both(lambda store: store.keep(batch))

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def keep_past_a_gap(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.log)))
        entries = self.log[place][self._next(place) + 1 :]
        if not entries or not self._next(place):
            return
        for store in (self.postgres, self.memory):
            with pytest.raises(OffsetGapError) as caught:
                self.run(store.keep(entries))
            assert caught.value.expected == self._next(place)

    @precondition(lambda self: self.log)
    @rule(data=st.data(), count=st.integers(1, 4), back=st.integers(-1, 1))
    def accept_a_loss(self, data: st.DataObject, count: int, back: int) -> None:
        """Of what is in the log and not kept yet; refused where it does not begin at progress."""
        place = data.draw(st.sampled_from(sorted(self.log)))
        at = self._next(place)
        first = max(0, at - back)
        loss = Loss(log=LOG, place=place, first=first, end=min(first + count, len(self.log[place])))
        gap = loss_record(loss, key=self.desk.key, now=self.time.now, entropy=self.desk.random.randbytes)
        if loss in self.lost or first == at < loss.end:
            self.lost.append(loss)
            self.both(lambda store: store.accept_loss(loss, gap))
            return
        for store in (self.postgres, self.memory):
            with pytest.raises(LossRefusedError):
                self.run(store.accept_loss(loss, gap))

    @rule(limit=st.integers(1, 3), minutes=st.integers(1, 30))
    def claim(self, limit: int, minutes: int) -> None:
        lease = timedelta(minutes=minutes)
        found = self.both(lambda store: store.claim_due(now=self.desk.time.now, limit=limit, lease=lease))
        self.commanded += [(one.command.target_id, one.command.attempt) for one in found]

    @precondition(lambda self: self.named)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        record, number = self._some_part(data)
        self.both(lambda store: store.unblock(TENANT, [target_of(record, number)]))

    @precondition(lambda self: self.named)
    @rule(data=st.data())
    def accept_gone(self, data: st.DataObject) -> None:
        record, number = self._some_part(data)
        self.both(lambda store: store.accept_gone(TENANT, [target_of(record, number)]))

    @rule(span=SPANS)
    def time_passes(self, span: dict[str, float]) -> None:
        self.desk.time.pass_(**span)

    @invariant()
    def both_hold_the_same(self) -> None:
        topics = sorted({place.topic for place in self.log})
        self.both(lambda store: store.progress(LOG, topics))
        self.both(lambda store: store.dead_letters(settled=True))
        self.both(_targets)
        self.both(_parts)
        self.both(_unkept_parts)
        self.both(_gaps)

    @invariant()
    def the_sums_hold(self) -> None:
        tally = self.both(lambda store: store.tally(TENANT, LOG, buckets=True))
        account = draw(tally, self.desk.bounds())
        assert account.accepted == (
            account.kept + account.duplicates + account.variants + account.dead + account.unprocessed + account.lost
        )
        assert account.targets == (
            account.erased + account.already_gone + account.residue + account.expired + account.open
        )
        for one in map(of_bucket, tally.buckets):
            assert one.accepted == one.kept + one.duplicates + one.variants + one.dead

    def _next(self, place: TopicPartition) -> int:
        progress = self.run(self.memory.progress(LOG, [place.topic])).get(place)
        return progress.next if progress else 0

    def _some_part(self, data: st.DataObject) -> tuple[Record, int]:
        record = data.draw(st.sampled_from(self.named))
        return record, data.draw(st.integers(1, len(record.envelope.parts)))


async def _targets(store: RecordStore) -> Sequence[object]:
    return sorted([one async for one in store.targets(TENANT)], key=lambda one: one.target_id)


async def _parts(store: RecordStore) -> Sequence[object]:
    return sorted([one async for one in store.kept_parts(TENANT)], key=lambda one: (one.record_id, one.number))


async def _unkept_parts(store: RecordStore) -> Sequence[object]:
    return sorted([one async for one in store.unkept_parts(TENANT)], key=lambda one: (one.record_id, one.number))


async def _gaps(store: RecordStore) -> Sequence[object]:
    return [one async for one in store.gaps(TENANT)]


def test_postgres_and_memory_agree_on_everything(postgres_server: SharedPostgres) -> None:
    with asyncio.Runner() as runner:
        database = store_database(postgres_server)
        dsn = runner.run(database.__aenter__())
        time = Time()
        postgres = runner.run(PostgresRecords.open(as_writer(dsn), clock=time))
        here = {"runner": runner, "admin_dsn": dsn, "postgres": postgres, "time": time}
        try:
            run_state_machine_as_test(
                type("StoreMachineHere", (StoreMachine,), here),
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(postgres.close())
            runner.run(database.__aexit__(None, None, None))
