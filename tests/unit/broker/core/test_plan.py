"""What one batch is to write, decided without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from broker.core import identity
from broker.core.errors import MalformedEntryError, OffsetGapError, UnstorableError
from broker.core.model import Kind, ProviderObject
from broker.core.plan import (
    Existing,
    KeepPlan,
    RecordRow,
    bucket_start,
    counts_as_accepted,
    lookup,
    place_of,
    plan_keep,
    record_row,
    variants,
)
from broker.core.ports import Answer, Progress
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.core.values import replace
from tests.records import NOON, TENANT, Desk, target_of, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.plan import DeadKey
    from broker.core.ports import Arrived

MESSAGES = TopicPartition(topic_name(TENANT, Stream.MESSAGES), 0)


def plan_of(
    *batch: Arrived,
    progress: Mapping[TopicPartition, Progress] | None = None,
    existing: Mapping[tuple[str, str], Existing] | None = None,
    open_dead: frozenset[DeadKey] = frozenset(),
) -> KeepPlan:
    return plan_keep(batch, progress=progress or {}, existing=existing or {}, open_dead=open_dead, now=NOON)


def outcomes(plan: KeepPlan) -> list[str]:
    return [one.outcome for one in plan.answers]


def existing_of(row: RecordRow) -> Existing:
    """A row as a store would find it."""
    position, fingerprint = row.record.arrival.position, row.record.fingerprint
    return Existing(
        fingerprint=None if fingerprint is UNSET else fingerprint,
        position=None if position is UNSET else position,
        record_digest=row.record_digest.hex(),
        keep_seq=row.keep_seq,
        kept_at=row.kept_at,
        variant_of=row.variant_of,
    )


class _Store:
    """Just enough of a store to plan one batch after another."""

    def __init__(self) -> None:
        self.progress: dict[TopicPartition, Progress] = {}
        self.existing: dict[tuple[str, str], Existing] = {}
        self.open_dead: set[DeadKey] = set()
        self.answers: list[Answer] = []
        self.entries = 0
        self.duplicates = 0

    def keep(self, batch: Sequence[Arrived]) -> None:
        plan = plan_keep(batch, progress=self.progress, existing=self.existing, open_dead=self.open_dead, now=NOON)
        self.progress |= plan.progress
        self.existing |= {(row.record.envelope.tenant, row.record_id): existing_of(row) for row in plan.rows}
        self.open_dead |= {one.key for one in plan.dead}
        self.open_dead -= set(plan.settled)
        self.answers += plan.answers
        self.entries += plan.entries.total()
        self.duplicates += plan.duplicates.total()


@pytest.fixture
def desk(seed: int) -> Desk:
    return Desk(seed)


class TestLookup:
    def test_partitions_are_in_the_order_of_locking(self, desk: Desk) -> None:
        batch = [desk.arrive(desk.status(), partition=1), desk.arrive(desk.text(), partition=2)]
        batch += [desk.arrive(desk.text(), partition=0), desk.arrive(desk.text(), partition=0)]
        found = lookup(batch).partitions
        assert found == sorted(found)
        assert len(found) == 3

    def test_a_record_is_looked_up_by_its_id(self, desk: Desk) -> None:
        record = desk.text()
        assert lookup([desk.arrive(record)]).record_ids == {(TENANT, record.envelope.record_id)}

    def test_what_is_not_the_same_as_what_is_there_is_looked_up_as_a_variant(self, desk: Desk) -> None:
        first, other = desk.text("At nine", native="wamid.1"), desk.text("At ten", native="wamid.1")
        plan = plan_of(desk.arrive(first))
        existing = {(TENANT, first.envelope.record_id): existing_of(plan.rows[0])}
        batch = [desk.arrive(first), desk.arrive(other), desk.arrive(desk.text())]
        assert other.fingerprint is not UNSET
        assert variants(batch, existing) == {(TENANT, identity.variant_id(first.envelope.record_id, other.fingerprint))}
        assert variants(batch, {}) == set()

    def test_a_variant_is_looked_up_though_its_original_lost_its_fingerprint(self, desk: Desk) -> None:
        """Else the replay of what came to a variant would not be told of."""
        first, other = desk.text("At nine", native="wamid.1"), desk.text("At ten", native="wamid.1")
        plan = plan_of(desk.arrive(first))
        erased = replace(existing_of(plan.rows[0]), fingerprint=None)
        assert other.fingerprint is not UNSET
        variant = (TENANT, identity.variant_id(first.envelope.record_id, other.fingerprint))
        assert variants([desk.arrive(other)], {(TENANT, first.envelope.record_id): erased}) == {variant}

    def test_a_status_looks_for_its_message(self, desk: Desk) -> None:
        message = desk.text()
        assert (TENANT, message.envelope.record_id) in lookup([desk.arrive(desk.status(message))]).record_ids

    def test_a_redrive_looks_for_its_dead_letter(self, desk: Desk) -> None:
        dead = desk.die(desk.text())
        assert lookup([desk.arrive(desk.text(), redrive_of=dead)]).dead == {where(dead)}

    def test_a_record_without_a_place_is_unstorable(self, desk: Desk) -> None:
        entry = desk.arrive(desk.text())
        nowhere = replace(entry, record=replace(entry.record, arrival=replace(entry.record.arrival, position=UNSET)))
        with pytest.raises(UnstorableError, match=entry.record.envelope.record_id):
            place_of(nowhere)


class TestClassify:
    def test_an_erased_fingerprint_makes_every_repeat_a_duplicate(self, desk: Desk) -> None:
        first, other = desk.text("At nine", native="wamid.1"), desk.text("At ten", native="wamid.1")
        plan = plan_of(desk.arrive(first))
        row = replace(existing_of(plan.rows[0]), fingerprint=None)
        again = plan_of(desk.arrive(other), progress=plan.progress, existing={(TENANT, first.envelope.record_id): row})
        assert outcomes(again) == ["duplicate"]

    def test_a_variant_says_whose_it_is_and_keeps_its_own_content(self, desk: Desk) -> None:
        first, other = desk.text("At nine", native="wamid.1"), desk.text("At ten", native="wamid.1")
        plan = plan_of(desk.arrive(first), desk.arrive(other))
        variant = plan.rows[1]
        assert outcomes(plan) == ["stored", "variant"]
        assert variant.variant_of == first.envelope.record_id
        assert variant.record.envelope.kind == Kind.VARIANT
        assert variant.record.content == other.content
        assert variant.record_digest == identity.record_digest(variant.envelope)

    def test_the_same_id_of_another_tenant_is_another_record(self, desk: Desk) -> None:
        record = desk.text()
        theirs = replace(record, envelope=replace(record.envelope, tenant="other"))
        assert outcomes(plan_of(desk.arrive(record), desk.arrive(theirs))) == ["stored", "stored"]


class TestProgress:
    def test_a_hole_within_a_batch_is_refused_too(self, desk: Desk) -> None:
        first, _missing, third = (desk.arrive(desk.text()) for _ in range(3))
        with pytest.raises(OffsetGapError) as caught:
            plan_of(first, third)
        assert (caught.value.topic, caught.value.partition) == (MESSAGES.topic, 0)
        assert (caught.value.expected, caught.value.found) == (1, 2)

    def test_what_was_looked_up_is_left_as_it_is(self, desk: Desk) -> None:
        progress: dict[TopicPartition, Progress] = {MESSAGES: Progress(start=0, next=0)}
        existing: dict[tuple[str, str], Existing] = {}
        plan_of(desk.arrive(desk.text()), progress=progress, existing=existing)
        assert (progress, existing) == ({MESSAGES: Progress(start=0, next=0)}, {})

    def test_a_pure_replay_writes_nothing(self, desk: Desk) -> None:
        entry = desk.arrive(desk.text())
        plan = plan_of(entry, progress={MESSAGES: Progress(start=0, next=1)})
        assert plan == KeepPlan(answers=[Answer(outcome="replayed", record_id=entry.record.envelope.record_id)])

    def test_only_messages_and_statuses_are_tallied(self, desk: Desk) -> None:
        photo = desk.image()
        batch = [desk.arrive(photo), desk.arrive(desk.kept(photo)), desk.arrive(desk.receipt("tgt", "erased"))]
        plan = plan_of(*batch, desk.arrive(desk.status(photo)))
        assert plan.entries.total() == 2
        assert len(plan.progress) == 4

    @given(data=st.data(), seed=st.integers(0, 1000))
    def test_batches_cut_and_overlapping_anywhere_come_to_the_same(self, data: st.DataObject, seed: int) -> None:
        entries = _traffic(Desk(seed))
        whole, cut = _Store(), _Store()
        whole.keep(entries)
        at = 0
        while at < len(entries):
            begin = max(0, at - data.draw(st.integers(0, 3)))
            at += data.draw(st.integers(1, 6))
            cut.keep(entries[begin:at])
        assert (cut.progress, cut.existing, cut.open_dead) == (whole.progress, whole.existing, whole.open_dead)
        assert (cut.entries, cut.duplicates) == (whole.entries, whole.duplicates)

    @given(seed=st.integers(0, 1000))
    def test_the_first_sum_of_the_account_always_holds(self, seed: int) -> None:
        entries = _traffic(Desk(seed))
        store = _Store()
        store.keep(entries)
        progress = store.progress[MESSAGES]
        rows = sum(one.outcome in {"stored", "variant"} for one in store.answers)
        assert progress.next - progress.start - progress.redriven == rows + progress.duplicates + len(store.open_dead)


def _traffic(desk: Desk) -> list[Arrived]:
    """Entries of one partition: new, equal, different, dead, tried again once and more often."""
    entries: list[Arrived] = []
    dead: list[Arrived] = []
    for _ in range(20):
        record = desk.text(desk.random.choice(["a", "b", "c"]), native=f"wamid.{desk.random.randrange(4)}")
        redrive_of = desk.random.choice(dead) if dead and desk.random.random() < 0.4 else None
        if desk.random.random() < 0.25:
            entries.append(desk.die(record, redrive_of=redrive_of))
            if redrive_of is None:
                dead.append(entries[-1])
        else:
            entries.append(desk.arrive(record, redrive_of=redrive_of))
    return entries


class TestFollow:
    def test_a_photo_names_a_part_and_a_target(self, desk: Desk) -> None:
        photo = desk.image("media-1")
        plan = plan_of(desk.arrive(photo))
        ((key, target),) = plan.targets.items()
        assert key == (TENANT, target_of(photo))
        assert target.object_id == "media-1"
        (part,) = plan.parts
        assert (part.record_id, part.number, part.origin_id) == (photo.envelope.record_id, 1, photo.envelope.record_id)
        assert plan.affected_targets == {key}

    def test_a_variants_part_is_addressed_to_the_delivery_it_came_in(self, desk: Desk) -> None:
        first = desk.image("media-1", native="wamid.1", caption="a")
        other = desk.image("media-1", native="wamid.1", caption="b")
        _, part = plan_of(desk.arrive(first), desk.arrive(other)).parts
        assert part.record_id != part.origin_id == first.envelope.record_id
        assert part.fingerprint == other.fingerprint

    def test_a_duplicate_brings_nothing(self, desk: Desk) -> None:
        photo = desk.image()
        result = desk.kept(photo)
        plan = plan_of(desk.arrive(photo), desk.arrive(photo), desk.arrive(result), desk.arrive(result))
        assert (len(plan.parts), len(plan.targets), len(plan.part_outcomes)) == (1, 1, 1)

    def test_a_result_touches_its_target(self, desk: Desk) -> None:
        photo = desk.image()
        assert plan_of(desk.arrive(desk.kept(photo))).affected_targets == {(TENANT, target_of(photo))}

    def test_objects_without_a_policy_are_unstorable(self, desk: Desk) -> None:
        entry = replace(desk.arrive(desk.image()), policy=None)
        with pytest.raises(UnstorableError, match=entry.record.envelope.record_id):
            plan_of(entry)

    @pytest.mark.parametrize("part", [UNSET, 7])
    def test_an_object_that_no_part_carries_is_unstorable(self, desk: Desk, part: int) -> None:
        photo = desk.image()
        stray = replace(photo, envelope=replace(photo.envelope, objects=(_object(part),)))
        with pytest.raises(UnstorableError):
            plan_of(desk.arrive(stray))

    def test_a_result_that_is_none_is_malformed(self, desk: Desk) -> None:
        result = desk.kept(desk.image())
        with pytest.raises(MalformedEntryError):
            plan_of(desk.arrive(replace(result, content=replace(result.content, data=b"{}"))))

    def test_a_status_of_a_kept_message_leaves_no_gap(self, desk: Desk) -> None:
        message = desk.text()
        assert plan_of(desk.arrive(message), desk.arrive(desk.status(message))).unseen == set()
        alone = desk.arrive(desk.status(message))
        place, offset = place_of(alone)
        assert plan_of(alone, progress={place: Progress(start=0, next=offset)}).unseen == {
            (TENANT, message.envelope.record_id)
        }

    def test_an_act_has_no_stream(self, desk: Desk) -> None:
        act = desk.act()
        row = record_row(
            act, record_id=act.envelope.record_id, variant_of=None, worker_made=False, keep_seq=0, kept_at=NOON
        )
        assert row.stream == ""
        assert row.arrival_digest == identity.arrival_digest(row.arrival)


def _object(part: int) -> ProviderObject:
    return ProviderObject(kind="media", target_id="tgt", part=part)


class TestBuckets:
    @given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    def test_a_moment_lies_in_its_quarter_of_an_hour(self, at: datetime) -> None:
        start = bucket_start(at)
        assert start <= at < start + timedelta(minutes=15)
        assert (start.minute % 15, start.second, start.microsecond, start.tzinfo) == (0, 0, 0, UTC)

    def test_messages_and_statuses_are_accepted(self) -> None:
        accepted = {stream for stream in Stream if counts_as_accepted(topic_name(TENANT, stream))}
        assert accepted == {Stream.MESSAGES, Stream.STATUSES}
