"""What every record store promises: a suite that an implementation joins by giving it a bench.

The cases of keeping are here; those of erasure and of the account lie beside them.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

import pytest

from broker.core.codec import ITEM_ENCODING, canonical, item_content
from broker.core.errors import LogChangedError, OffsetGapError, UnstorableError
from broker.core.model import Content, Kind
from broker.core.ports import Progress
from broker.core.seals import broken_seals
from broker.core.topics import Stream, TopicPartition, topic_name
from broker.core.values import replace
from tests.records import LOG, TENANT, Desk

if TYPE_CHECKING:
    from broker.core.ports import Answer, Arrived, KeptRecord, RecordStore, Tally

MESSAGES = TopicPartition(topic_name(TENANT, Stream.MESSAGES), 0)


class Bench(Protocol):
    """A store, with a clock that the test sets, and an administrator who can take rows away."""

    @property
    def desk(self) -> Desk: ...

    @property
    def store(self) -> RecordStore: ...

    async def forget_record(self, record_id: str) -> None:
        """Takes a record's row away, and nothing else."""
        ...

    async def forget_target(self, target_id: str) -> None:
        """Takes a target's row away, and nothing else."""
        ...

    async def forget_results(self, record_id: str) -> None:
        """Takes away how the fetches of a record's parts ended, and nothing else."""
        ...


def outcomes(answers: object) -> list[str]:
    """The outcomes of answers."""
    return [one.outcome for one in answers]  # type: ignore[attr-defined]


async def tally_of(bench: Bench, *, buckets: bool = False) -> Tally:
    return await bench.store.tally(TENANT, LOG, buckets=buckets)


async def progress_of(bench: Bench, place: TopicPartition = MESSAGES) -> Progress | None:
    return (await bench.store.progress(LOG, [place.topic])).get(place)


class KeepContract:
    """New, duplicate, variant and replay; progress; and records as they went in."""

    async def test_a_new_record_is_stored_and_reads_back_as_it_was(self, bench: Bench) -> None:
        entry = bench.desk.arrive(bench.desk.image())
        (answer,) = await bench.store.keep([entry])
        kept = await bench.store.record(TENANT, entry.record.envelope.record_id)
        assert kept is not None
        assert kept.record == entry.record
        assert (answer.outcome, answer.record_id) == ("stored", kept.record_id)
        assert (answer.record_digest, answer.keep_seq, answer.kept_at) == (
            kept.record_digest,
            kept.keep_seq,
            kept.kept_at,
        )
        assert (kept.keep_seq, kept.kept_at) == (1, bench.desk.time.now)
        assert len(bytes.fromhex(kept.arrival_digest)) == 32

    async def test_what_nobody_kept_is_not_there(self, bench: Bench) -> None:
        assert await bench.store.record(TENANT, "rec_none") is None
        assert await bench.store.progress(LOG, [MESSAGES.topic]) == {}
        assert list(await bench.store.conversation(TENANT, "cnv_none")) == []

    async def test_an_empty_batch_is_no_work(self, bench: Bench) -> None:
        assert list(await bench.store.keep([])) == []

    async def test_the_same_record_twice_in_one_batch_is_a_duplicate(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        answers = await bench.store.keep([desk.arrive(record), desk.arrive(record)])
        assert outcomes(answers) == ["stored", "duplicate"]
        assert await progress_of(bench) == Progress(
            start=0, next=2, duplicates=1, keep_seq=1, last_event_id=record.envelope.record_id
        )

    async def test_the_same_record_in_a_later_batch_is_a_duplicate(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        await bench.store.keep([desk.arrive(record)])
        assert outcomes(await bench.store.keep([desk.arrive(record)])) == ["duplicate"]
        assert (await tally_of(bench)).kept == 1

    async def test_a_record_without_a_fingerprint_is_known_by_its_id(self, bench: Bench) -> None:
        desk = bench.desk
        receipt = desk.receipt("tgt_none", "erased")
        assert outcomes(await bench.store.keep([desk.arrive(receipt), desk.arrive(receipt)])) == ["stored", "duplicate"]

    @pytest.mark.parametrize("batches", [1, 3])
    async def test_the_same_id_with_other_content_is_kept_beside_the_first(self, bench: Bench, batches: int) -> None:
        desk = bench.desk
        first, other = desk.text("At nine", native="wamid.one"), desk.text("At ten", native="wamid.one")
        entries = [desk.arrive(first), desk.arrive(other), desk.arrive(other)]
        answers = await _keep_in(bench, entries, batches)
        assert outcomes(answers) == ["stored", "variant", "duplicate"]
        original, variant = [await bench.store.record(TENANT, one.record_id) for one in answers[:2]]
        assert original is not None
        assert variant is not None
        assert original.record.content == first.content
        assert variant.record.content == other.content
        assert variant.variant_of == answers[1].variant_of == first.envelope.record_id
        assert variant.record.envelope.kind == Kind.VARIANT
        assert variant.record.envelope.relations[-1].record_id == first.envelope.record_id

    async def test_keep_seq_is_dense_in_each_partition(self, bench: Bench) -> None:
        desk = bench.desk
        twice = desk.text()
        batch = [
            desk.arrive(twice),
            desk.arrive(twice),
            desk.arrive(desk.text(), partition=1),
            desk.arrive(desk.text()),
        ]
        assert [one.keep_seq for one in await bench.store.keep(batch)] == [1, None, 1, 2]
        assert [one.keep_seq for one in await bench.store.keep([desk.arrive(desk.text())])] == [3]

    async def test_a_replay_answers_as_before_and_changes_nothing(self, bench: Bench) -> None:
        desk = bench.desk
        batch = [
            desk.arrive(desk.text("At nine", native="wamid.one")),
            desk.arrive(desk.text("At ten", native="wamid.one")),
            desk.arrive(desk.text()),
        ]
        first = await bench.store.keep(batch)
        before = await progress_of(bench), await tally_of(bench, buckets=True)
        desk.time.pass_(hours=1)
        assert list(await bench.store.keep(batch)) == list(first)
        assert (await progress_of(bench), await tally_of(bench, buckets=True)) == before

    async def test_a_replayed_duplicate_is_not_counted_again(self, bench: Bench) -> None:
        desk, record = bench.desk, bench.desk.text()
        batch = [desk.arrive(record), desk.arrive(record)]
        await bench.store.keep(batch)
        assert outcomes(await bench.store.keep(batch)) == ["stored", "replayed"]
        progress = await progress_of(bench)
        assert progress is not None
        assert progress.duplicates == 1

    async def test_a_batch_may_begin_below_progress(self, bench: Bench) -> None:
        desk = bench.desk
        entries = [desk.arrive(desk.text()) for _ in range(7)]
        await bench.store.keep(entries[:5])
        answers = await bench.store.keep(entries[3:])
        assert [one.keep_seq for one in answers] == [4, 5, 6, 7]
        assert outcomes(answers) == ["stored"] * 4
        assert (await tally_of(bench)).kept == 7

    async def test_the_first_batch_begins_with_the_first_entry_there_ever_was(self, bench: Bench) -> None:
        bench.desk.ends[MESSAGES] = 40
        late = bench.desk.arrive(bench.desk.text())
        with pytest.raises(OffsetGapError) as refused:
            await bench.store.keep([late])
        assert (refused.value.expected, refused.value.found) == (0, 40)
        assert await progress_of(bench) is None

    async def test_a_gap_above_progress_is_refused_and_nothing_is_written(self, bench: Bench) -> None:
        desk = bench.desk
        await bench.store.keep([desk.arrive(desk.text())])
        before = await tally_of(bench, buckets=True)
        beside = desk.arrive(desk.text(), partition=1)
        _missing, after = desk.arrive(desk.text()), desk.arrive(desk.text())
        with pytest.raises(OffsetGapError) as caught:
            await bench.store.keep([beside, after])
        assert (caught.value.expected, caught.value.found) == (1, 2)
        assert await tally_of(bench, buckets=True) == before
        assert await bench.store.record(TENANT, beside.record.envelope.record_id) is None

    async def test_progress_is_told_apart_by_log(self, bench: Bench) -> None:
        desk = bench.desk
        await bench.store.keep([desk.arrive(desk.text())])
        assert await bench.store.progress("another log", [MESSAGES.topic]) == {}
        other = Desk(2, log="another log")
        await bench.store.keep([other.arrive(other.text())])
        assert (await bench.store.progress("another log", [MESSAGES.topic]))[MESSAGES].next == 1
        assert (await tally_of(bench)).kept == 1

    async def test_a_batch_from_two_logs_is_refused(self, bench: Bench) -> None:
        other = Desk(2, log="another log")
        with pytest.raises(LogChangedError):
            await bench.store.keep([bench.desk.arrive(bench.desk.text()), other.arrive(other.text())])

    async def test_a_record_that_cannot_be_stored_fails_its_whole_batch(self, bench: Bench) -> None:
        desk = bench.desk
        good, poison = desk.arrive(desk.text()), replace(desk.arrive(desk.image()), policy=None)
        with pytest.raises(UnstorableError) as caught:
            await bench.store.keep([good, poison])
        assert poison.record.envelope.record_id in str(caught.value)
        assert await bench.store.record(TENANT, good.record.envelope.record_id) is None
        assert await progress_of(bench) is None
        assert outcomes(await bench.store.keep([good])) == ["stored"]

    @pytest.mark.parametrize("data", [b"", b"\x00", b"a\x00b", b"\xed\xa0\xbd", bytes(range(256))])
    async def test_any_bytes_of_content_survive(self, bench: Bench, data: bytes) -> None:
        record = replace(bench.desk.text(), content=Content(encoding=ITEM_ENCODING, data=data, key_id="key-1"))
        await bench.store.keep([bench.desk.arrive(record)])
        kept = await bench.store.record(TENANT, record.envelope.record_id)
        assert kept is not None
        assert kept.record.content == record.content

    async def test_odd_characters_in_a_providers_object_survive(self, bench: Bench) -> None:
        record = bench.desk.image("me\x00dia")
        await bench.store.keep([bench.desk.arrive(record)])
        (target,) = [one async for one in bench.store.targets(TENANT)]
        assert target.object_id == "me\x00dia"
        assert item_content(record.content).media[0].object_id == target.object_id

    async def test_a_large_content_survives(self, bench: Bench, seed: int) -> None:
        data = Desk(seed).random.randbytes(3_000_000)
        record = replace(bench.desk.text(), content=Content(encoding=ITEM_ENCODING, data=data))
        await bench.store.keep([bench.desk.arrive(record)])
        kept = await bench.store.record(TENANT, record.envelope.record_id)
        assert kept is not None
        assert kept.record.content.data == data

    async def test_equal_texts_with_ids_of_their_own_are_both_kept(self, bench: Bench) -> None:
        desk = bench.desk
        entries = [desk.arrive(desk.text("Yes")), desk.arrive(desk.text("Yes"))]
        assert outcomes(await bench.store.keep(entries)) == ["stored", "stored"]

    async def test_a_conversation_reads_in_the_order_it_was_kept(self, bench: Bench) -> None:
        desk = bench.desk
        entries = [desk.arrive(desk.text(str(number))) for number in range(30)]
        await bench.store.keep(entries[:20])
        await bench.store.keep(entries[20:])
        conversation = entries[0].record.envelope.conversation
        found = await bench.store.conversation(TENANT, conversation)
        assert [one.record_id for one in found] == [one.record.envelope.record_id for one in entries]

    async def test_a_thousand_records_of_one_moment_are_paged_without_a_skip(self, bench: Bench) -> None:
        desk = bench.desk
        entries = [desk.arrive(desk.text(str(number))) for number in range(1000)]
        await bench.store.keep(entries)
        conversation = entries[0].record.envelope.conversation
        found: list[KeptRecord] = []
        while page := await bench.store.conversation(TENANT, conversation, after=len(found), limit=99):
            found += page
        assert [one.record_id for one in found] == [one.record.envelope.record_id for one in entries]

    async def test_every_record_of_a_tenant_is_streamed_and_no_other(self, bench: Bench) -> None:
        desk, other = bench.desk, Desk(2, tenant="other")
        entries = [desk.arrive(desk.text()) for _ in range(150)]
        await bench.store.keep([*entries, other.arrive(other.text())])
        found = [one.record async for one in bench.store.records(TENANT)]
        assert len(found) == 150
        assert {one.envelope.record_id for one in found} == {one.record.envelope.record_id for one in entries}

    async def test_every_row_is_streamed_as_bytes_that_its_digests_hold(self, bench: Bench) -> None:
        desk = bench.desk
        image, other = desk.image(), Desk(2, tenant="other")
        body = {"text": "first", "nul": "a \x00 b"}
        first = desk.text(canonical(body).decode(), native="same")
        entries = [first, desk.text('"other"', native="same"), image, desk.kept(image)]
        await bench.store.keep([desk.arrive(one) for one in entries])
        await bench.store.keep([other.arrive(other.text())])
        sealed = [one async for one in bench.store.sealed(TENANT)]
        assert [broken_seals(one) for one in sealed] == [()] * 4
        records = {one.record_id: one async for one in bench.store.records(TENANT)}
        assert {one.record_id for one in sealed} == records.keys()
        for one in sealed:
            record = records[one.record_id].record
            assert (one.envelope, one.arrival) == (canonical(record.envelope), canonical(record.arrival))
            assert one.content == record.content.data
            assert one.record_digest.hex() == records[one.record_id].record_digest

    async def test_a_stream_of_records_may_be_left_half_way(self, bench: Bench) -> None:
        desk = bench.desk
        await bench.store.keep([desk.arrive(desk.text()) for _ in range(150)])
        for _ in range(20):
            async with aclosing(bench.store.records(TENANT)) as records:  # type: ignore[type-var]
                async for _one in records:
                    break
        assert (await tally_of(bench)).kept == 150

    async def test_tenants_are_kept_apart(self, bench: Bench) -> None:
        desk, other = bench.desk, Desk(2, tenant="other")
        mine, theirs = desk.arrive(desk.image()), other.arrive(other.image())
        await bench.store.keep([mine, theirs])
        assert await bench.store.record("other", mine.record.envelope.record_id) is None
        assert (await tally_of(bench)).kept == 1
        assert len([one async for one in bench.store.targets("other")]) == 1

    async def test_an_act_is_kept_once_and_outside_the_account(self, bench: Bench) -> None:
        act = bench.desk.act()
        await bench.store.keep_act(act)
        await bench.store.keep_act(act)
        kept = await bench.store.record(TENANT, act.envelope.record_id)
        assert kept is not None
        assert kept.record == act
        tally = await tally_of(bench, buckets=True)
        assert (tally.kept, tally.variants, list(tally.buckets)) == (0, 0, [])

    async def test_two_partitions_with_one_record_at_once_keep_one_row(self, bench: Bench) -> None:
        desk = bench.desk
        for _ in range(10):
            record = desk.text()
            batches = [[desk.arrive(record, partition=number)] for number in (0, 1, 2)]
            answers = await asyncio.gather(*(bench.store.keep(batch) for batch in batches))
            assert sorted(outcomes(one for (one,) in answers)) == ["duplicate", "duplicate", "stored"]
        tally = await tally_of(bench)
        assert (tally.kept, sum(one.duplicates for one in tally.progress.values())) == (10, 20)

    async def test_two_workers_with_one_batch_at_once_keep_it_once(self, bench: Bench) -> None:
        desk = bench.desk
        batch = [desk.arrive(desk.text()) for _ in range(50)]
        first, second = await asyncio.gather(bench.store.keep(batch), bench.store.keep(batch))
        assert list(first) == list(second)
        assert (await tally_of(bench)).kept == 50

    async def test_a_worker_that_comes_late_moves_nothing_back(self, bench: Bench) -> None:
        desk = bench.desk
        entries = [desk.arrive(desk.text()) for _ in range(9)]
        await bench.store.keep(entries)
        before = await progress_of(bench)
        assert outcomes(await bench.store.keep(entries[2:6])) == ["stored"] * 4
        assert await progress_of(bench) == before

    async def test_crossing_batches_wait_for_each_other_in_no_circle(self, bench: Bench) -> None:
        desk = bench.desk
        for _ in range(4):
            records = [desk.image() for _ in range(300)]
            forth = [desk.arrive(one, partition=0) for one in records]
            back = [desk.arrive(one, partition=1) for one in reversed(records)]
            answers = await asyncio.gather(bench.store.keep(forth), bench.store.keep(back))
            assert sorted(outcomes(answers[0]) + outcomes(answers[1])) == ["duplicate"] * 300 + ["stored"] * 300

    async def test_ping_returns(self, bench: Bench) -> None:
        await bench.store.ping()


async def _keep_in(bench: Bench, entries: list[Arrived], batches: int) -> list[Answer]:
    """Keeps entries in so many batches."""
    size = -(-len(entries) // batches)
    answers: list[Answer] = []
    for start in range(0, len(entries), size):
        answers += await bench.store.keep(entries[start : start + size])
    return answers
