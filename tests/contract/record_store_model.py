"""Any order of what workers and operators ask of a record store: two stores give the same answers and show the same.

Entries go into the logs of two tenants. Stretches of those are kept, overlapping at will; now and then a log takes
another one's place, or loses entries. `Desk` makes the entries, one clock serves both stores.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.core.account import draw, of_bucket
from broker.core.erasure import LossReason
from broker.core.model import ErasureOutcome
from broker.core.ports import Adoption, Loss
from broker.core.values import replace
from broker.workers.records import loss_record
from tests.contract import record_store_reads as reads
from tests.contract.record_store_scene import LOGS, TENANTS, Scene, Way
from tests.contract.two_stores import Refused, Side, side_by_side
from tests.records import Time

if TYPE_CHECKING:
    from broker.core.ports import RecordStore

EXAMPLES, STEPS = int(os.environ.get("CUSTODY_TEST_EXAMPLES", "25")), 40
PARTITIONS = st.integers(0, 1)
NATIVES = st.sampled_from(["wamid.1", "wamid.2", "wamid.3"])
BODIES = st.sampled_from(["At nine", "At ten"])
THREADS = st.sampled_from(["491701234567", "491707654321"])
OBJECTS = st.lists(st.sampled_from(["media-1", "media-2", "media-3"]), min_size=1, max_size=2)
REASONS = st.sampled_from(list(LossReason))
OUTCOMES = st.sampled_from(list(ErasureOutcome))
STATUSES = st.sampled_from(["delivered", "read"])
WAITS = st.none() | st.sampled_from([0.5, 4000.0])
WAYS = st.builds(Way, st.integers(0, 1), st.sampled_from([True, True, False]))
SPANS = st.sampled_from([{"seconds": 1}, {"minutes": 6}, {"minutes": 40}, {"hours": 20}, {"days": 8}])


class RecordStoreMachine(Scene):
    """Its rules: what workers and operators do."""

    @initialize()
    def begin(self) -> None:
        self.pair.empty()

    # --- what connectors and workers append ---

    @rule(
        tenant=st.sampled_from(TENANTS),
        native=NATIVES,
        body=BODIES,
        thread=THREADS,
        way=WAYS,
    )
    def a_text(self, tenant: str, native: str, body: str, thread: str, way: Way) -> None:
        office = self.offices[tenant]
        record = office.desk.text(body, native=native, thread=thread)
        office.said.append(record)
        self.append(office, record, way)

    @rule(
        tenant=st.sampled_from(TENANTS),
        native=NATIVES,
        body=BODIES,
        objects=OBJECTS,
        way=WAYS,
        wait=st.sampled_from([0.0, 600.0]),
    )
    def a_photo(self, tenant: str, native: str, body: str, objects: list[str], way: Way, wait: float) -> None:
        self.photo(self.offices[tenant], f"photo.{native}", body, objects, way, wait)

    @rule(tenant=st.sampled_from(TENANTS), native=NATIVES, objects=OBJECTS, way=WAYS, limit=st.integers(0, 3))
    def a_photo_and_its_parts(self, tenant: str, native: str, objects: list[str], way: Way, limit: int) -> None:
        """The whole way, as it goes as a rule: what is kept comes due, and is commanded."""
        office = self.offices[tenant]
        record = self.photo(office, f"whole.{native}", "", objects, way, 0.0)
        for part in record.envelope.parts:
            self.append(office, office.desk.kept(record, part.number), way)
        if limit:
            self.claim_both(limit=limit, lease=timedelta(minutes=30))

    @rule(tenant=st.sampled_from(TENANTS), way=WAYS)
    def a_gap(self, tenant: str, way: Way) -> None:
        office = self.offices[tenant]
        self.append(office, office.desk.gap(), way)

    @rule(tenant=st.sampled_from(TENANTS), name=STATUSES, way=WAYS, data=st.data())
    def a_status(self, tenant: str, name: str, way: Way, data: st.DataObject) -> None:
        """Of a message that is kept, that is still to come, or that nobody ever hears of."""
        office = self.offices[tenant]
        of = data.draw(st.sampled_from([None, *office.said, *office.unkept]))
        self.append(office, office.desk.status(of, name), way)

    @rule(tenant=st.sampled_from(TENANTS))
    def a_message_on_its_way(self, tenant: str) -> None:
        office = self.offices[tenant]
        office.unkept.append(office.desk.text("Sent"))

    @precondition(lambda self: self.any("unkept"))
    @rule(way=WAYS, data=st.data())
    def it_comes_after_its_statuses(self, way: Way, data: st.DataObject) -> None:
        office = self.one_with("unkept", data)
        record = office.unkept.pop(data.draw(st.integers(0, len(office.unkept) - 1)))
        office.said.append(record)
        self.append(office, record, way)

    @precondition(lambda self: self.any("named"))
    @rule(way=WAYS, data=st.data())
    def a_kept_part(self, way: Way, data: st.DataObject) -> None:
        office, record, number = self.some_part(data)
        self.append(office, office.desk.kept(record, number), way)

    @precondition(lambda self: self.any("named"))
    @rule(way=WAYS, reason=REASONS, witnessed=st.booleans(), data=st.data())
    def a_lost_part(self, way: Way, reason: str, witnessed: bool, data: st.DataObject) -> None:
        office, record, number = self.some_part(data)
        lost = office.desk.lost(record, number, reason=reason, witnessed=witnessed)
        self.append(office, lost, way)

    @precondition(lambda self: self.any("commanded"))
    @rule(outcome=OUTCOMES, witnessed=st.booleans(), wait=WAITS, way=WAYS, data=st.data())
    def a_receipt(self, outcome: str, witnessed: bool, wait: float | None, way: Way, data: st.DataObject) -> None:
        office = self.one_with("commanded", data)
        target_id, attempt = data.draw(st.sampled_from(office.commanded))
        receipt = office.desk.receipt(
            target_id, outcome, attempt=attempt, witnessed=witnessed, retry_after_seconds=wait
        )
        self.append(office, receipt, way)

    @rule(tenant=st.sampled_from(TENANTS), way=WAYS)
    def a_dead_letter(self, tenant: str, way: Way) -> None:
        office = self.offices[tenant]
        record = office.desk.text()
        entry = office.desk.die(record, partition=way.partition)
        office.dead.append((office.desk.log, record, entry))
        self.enter(entry, way)

    @precondition(lambda self: self.any("dead"))
    @rule(way=WAYS, dies_again=st.booleans(), data=st.data())
    def a_redrive(self, way: Way, dies_again: bool, data: st.DataObject) -> None:
        office = self.one_with("dead", data)
        _, record, dead = data.draw(st.sampled_from(office.dead))
        again = office.desk.die if dies_again else office.desk.arrive
        self.enter(again(record, partition=way.partition, redrive_of=dead), way)

    # --- what the archive worker asks ---

    @precondition(lambda self: self.log)
    @rule(data=st.data(), back=st.integers(0, 3), ahead=st.integers(1, 8))
    def keep(self, data: st.DataObject, back: int, ahead: int) -> None:
        """A stretch of some partitions, beginning at progress or some entries before it; of one log, as a worker's."""
        log = data.draw(st.sampled_from(sorted({log for log, _ in self.log})))
        here = sorted(place for place in self.log if place[0] == log)
        places = data.draw(st.lists(st.sampled_from(here), min_size=1, max_size=3, unique=True))
        self.keep_both([one for place in places for one in self.stretch(place, self.next(place) - back, back + ahead)])

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def keep_past_a_gap(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.log)))
        self.keep_both(self.stretch(place, self.next(place) + 1, 3))

    @precondition(lambda self: len({log for log, _ in self.log}) > 1)
    @rule(data=st.data())
    def keep_of_several_logs(self, data: st.DataObject) -> None:
        places = data.draw(st.lists(st.sampled_from(sorted(self.log)), min_size=2, max_size=3, unique=True))
        self.keep_both([one for place in places for one in self.stretch(place, self.next(place), 2)])

    @precondition(lambda self: self.left_behind())
    @rule(data=st.data())
    def keep_of_a_log_that_was_left(self, data: st.DataObject) -> None:
        """A worker that has not heard of it: nothing more is kept of that log."""
        place = data.draw(st.sampled_from(self.left_behind()))
        batch = self.stretch(place, self.next(place), 3)
        found = self.pair.ask(lambda store: store.keep(batch))
        assert isinstance(found, Refused)

    @precondition(lambda self: self.any("named"))
    @rule(data=st.data())
    def keep_what_can_not_be_stored(self, data: st.DataObject) -> None:
        """An entry that names an object and has no policy, after others: none of them may be there."""
        batches = [self.stretch(place, self.next(place), 8) for place in sorted(self.log)]
        naming = [batch for batch in batches if any(one.policy for one in batch)]
        if naming:
            self.keep_both([replace(one, policy=None) for one in data.draw(st.sampled_from(naming))])

    @precondition(lambda self: self.log)
    @rule(data=st.data(), count=st.integers(0, 4), back=st.integers(-1, 1))
    def accept_a_loss(self, data: st.DataObject, count: int, back: int) -> None:
        """Of what is in the log and not kept yet; refused where it does not begin at progress."""
        log, place = data.draw(st.sampled_from(sorted(self.log)))
        first = max(0, self.next((log, place)) - back)
        loss = Loss(log=log, place=place, first=first, end=min(first + count, len(self.log[log, place])))
        desk = self.office_of(place).desk
        gap = loss_record(loss, key=desk.key, now=self.time.now, entropy=desk.random.randbytes)
        self.pair.ask(lambda store: store.accept_loss(loss, gap))

    @rule(
        tenant=st.sampled_from(TENANTS),
        log=st.sampled_from(LOGS),
        named=st.sampled_from([None, None, *LOGS]),
        skipped=st.dictionaries(PARTITIONS, st.integers(0, 2)),
        end_is_unknown=st.booleans(),
    )
    def adopt(self, tenant: str, log: str, named: str | None, skipped: dict[int, int], end_is_unknown: bool) -> None:
        """A log takes the place of the one that is written to; or of another that is named, which is mostly refused."""
        office = self.offices[tenant]
        predecessor = named or office.desk.log
        starts = self.starts(office, log, skipped)
        gaps = self.ends_unknown(office, predecessor, log) if end_is_unknown else ()
        adoption = Adoption(tenant=tenant, log=log, predecessor=predecessor, starts=starts, gaps=tuple(gaps))
        answer = self.pair.ask(lambda store: store.adopt(adoption))
        if isinstance(answer, Refused):
            return
        self.pair.tell(lambda store: store.adopt(adoption))  # the same again changes nothing
        office.move(log)
        for place, start in starts.items():
            entries = self.log[log, place]
            entries += [None] * (start - len(entries))
            office.desk.ends[place] = len(entries)

    # --- what the relay and operators ask ---

    @rule(limit=st.integers(1, 3), minutes=st.integers(1, 30))
    def claim(self, limit: int, minutes: int) -> None:
        self.claim_both(limit=limit, lease=timedelta(minutes=minutes))

    @precondition(lambda self: self.any("named"))
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        tenant, target_ids = self.some_targets(data)
        self.pair.tell(lambda store: store.unblock(tenant, target_ids))

    @precondition(lambda self: self.any("named"))
    @rule(data=st.data())
    def accept_gone(self, data: st.DataObject) -> None:
        tenant, target_ids = self.some_targets(data)
        self.pair.tell(lambda store: store.accept_gone(tenant, target_ids))

    @rule(tenant=st.sampled_from(TENANTS), again=st.booleans())
    def an_act(self, tenant: str, again: bool) -> None:
        office = self.offices[tenant]
        act = office.acts[-1] if again and office.acts else office.desk.act()
        office.acts.append(act)
        self.pair.tell(lambda store: store.keep_act(act))

    @rule(span=SPANS)
    def time_passes(self, span: dict[str, float]) -> None:
        self.time.pass_(**span)

    # --- what both show ---

    @precondition(lambda self: self.any("said"))
    @rule(data=st.data(), after=st.integers(0, 3), limit=st.integers(1, 3))
    def a_page_of_a_conversation(self, data: st.DataObject, after: int, limit: int) -> None:
        office = self.one_with("said", data)
        envelope = data.draw(st.sampled_from(office.said)).envelope
        tenant = data.draw(st.sampled_from(TENANTS))  # the other one's conversation is not there
        self.pair.tell(lambda store: store.record(tenant, envelope.record_id))
        self.pair.tell(lambda store: store.conversation(tenant, envelope.conversation, after=after, limit=limit))

    @invariant()
    def both_show_the_same(self) -> None:
        topics = sorted({place.topic for _, place in self.log})
        self.pair.tell(lambda store: reads.glance(store, LOGS, topics, TENANTS))

    @invariant()
    def the_sums_hold(self) -> None:
        for tenant, office in self.offices.items():
            tally = self.tally(tenant, office.desk.log)
            account = draw(tally, office.desk.bounds())
            assert [one for one in account.problems() if "adds up" in one] == []
            for one in map(of_bucket, tally.buckets):
                assert one.accepted == one.kept + one.duplicates + one.variants + one.dead

    def teardown(self) -> None:
        """Whatever an example came to, both hold the same rows."""
        if self.pair.stores is not None:
            for tenant in TENANTS:
                self.compare_rows(tenant)
                for log in LOGS:
                    self.tally(tenant, log)


def run_record_store_machine(left: Side[RecordStore], right: Side[RecordStore]) -> None:
    """Lets hypothesis find an order of commands that the two stores disagree about."""
    time = Time()
    with side_by_side(left, right, time) as pair:
        run_state_machine_as_test(
            type("RecordStoreMachineHere", (RecordStoreMachine,), {"pair": pair, "time": time}),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
