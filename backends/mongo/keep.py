"""One batch in one transaction: what `plan_keep` decides, looked up and carried out.

A transaction reads what was there when it began. Where two write one document, the later one is begun again and sees
what the first one wrote. So whoever relies on a row not changing writes it, or a lock that stands for it: the progress
of a partition, a dead letter, a record's id, and the targets that a batch touches (`erasures`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pymongo import UpdateOne

from backends.mongo import erasures
from backends.mongo.documents import dead_id, documents_of, key_id, micros, place_id, row_of
from backends.mongo.errors import ConflictError
from broker.core import rows
from broker.core.errors import StoreUnavailableError
from broker.core.losses import plan_loss
from broker.core.plan import brief_lookup, has_replays, log_of, lookup, place_of, plan_keep, variants
from broker.core.ports import NOTHING_KEPT
from broker.core.succession import plan_adoption
from broker.core.tables import DEAD_LETTERS, PROGRESS
from broker.core.topics import TopicPartition, split_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.model import Record
    from broker.core.plan import DeadKey, DeadRow, Existing, KeepPlan, RecordRow
    from broker.core.ports import Adoption, Answer, Arrived, Loss, Progress

ROW_BITS = 24
"""`row_number` is the number of the batch, then so many bits for the place within it."""
_EXISTING = (
    *("tenant", "record_id", "fingerprint", "log", "topic", "partition", "log_offset", "record_digest"),
    *("keep_seq", "kept_at", "variant_of"),
)


async def keep_batch(work: Work, batch: Sequence[Arrived], now: datetime, *, in_hope: bool) -> Sequence[Answer]:
    """Keeps a batch within a transaction. `ConflictError`: nothing may be committed.

    `in_hope` that all records are new, it does not look for them: one that is there is a conflict then.
    """
    log, wanted = log_of(batch), brief_lookup(batch)
    progress = await _read_progress(work, log, wanted.partitions)
    if not (in_hope and work.is_atomic) or has_replays(batch, progress):
        wanted = lookup(batch)
    dead = await work.by_id("dead_letters", [dead_id(log, key) for key in sorted(wanted.dead)], DEAD_LETTERS.columns)
    existing = await _find_existing(work, wanted.record_ids)
    existing |= await _find_existing(work, variants(batch, existing))
    if not work.is_atomic:
        existing = _without_leftovers(existing, batch, progress)
    open_dead = {_dead_key(one): one for one in dead if one["state"] == "open"}
    plan = plan_keep(batch, progress=progress, existing=existing, open_dead=open_dead.keys() | set(), now=now)
    if plan.progress:
        await _carry_out(work, log, plan, now, {key: _gap_of(one) for key, one in open_dead.items()})
    return plan.answers


def _without_leftovers(
    existing: dict[tuple[str, str], Existing], batch: Sequence[Arrived], progress: dict[TopicPartition, Progress]
) -> dict[tuple[str, str], Existing]:
    """Without the rows of a keep that broke off: born of the batch's own entries, and not behind progress."""
    fresh = {
        one.record.arrival.position
        for one in batch
        if place_of(one)[1] >= progress.get(place_of(one)[0], NOTHING_KEPT).next
    }
    return {key: one for key, one in existing.items() if one.position not in fresh}


async def _read_progress(work: Work, log: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Progress]:
    ids = [place_id(log, place) for place in partitions]
    found = rows.progress_of(await work.by_id("progress", ids, PROGRESS.columns))
    return found | await _closed(work, log, [one for one in partitions if one not in found])


async def _closed(work: Work, log: str, unseen: Sequence[TopicPartition]) -> dict[TopicPartition, Progress]:
    """Those of the partitions that nothing was kept of whose log another one has taken the place of."""
    if not unseen:
        return {}
    tenants = sorted({split_topic(one.topic)[0] for one in unseen})
    wanted = {"log": log, "tenant": {"$in": tenants}, "successor": {"$ne": None}}
    taken = {one["tenant"]: one["successor"] for one in await work.find("progress", wanted, ("tenant", "successor"))}
    by_place = {place: taken.get(split_topic(place.topic)[0]) for place in unseen}
    return {place: replace(NOTHING_KEPT, successor=one) for place, one in by_place.items() if one is not None}


async def _find_existing(work: Work, record_ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Existing]:
    found = await work.by_id("records", [key_id(key) for key in record_ids], _EXISTING)
    return {(one["tenant"], one["record_id"]): rows.existing_of(row_of(one)) for one in found}


async def _carry_out(work: Work, log: str, plan: KeepPlan, now: datetime, gaps: dict[DeadKey, tuple[str, str]]) -> None:
    """Writes all that a plan says.

    Progress first, since that tells soonest whether another is at the same partition; without transactions last, since
    it says that all else is there.
    """
    moves = list(_moves(plan, log))
    if work.is_atomic:
        await work.write("progress", moves)
    await _insert_records(work, plan.rows)
    for name, documents in _added(plan, log, now):
        await work.insert_absent(name, documents)
    gaps = gaps | {one.key: (one.tenant, one.gap_record_id) for one in plan.dead}
    closed = [gaps[key] for key in plan.settled if key in gaps]
    await work.write("gaps", [_set(key_id(key), {"state": "closed"}) for key in closed])
    settled = [_set(dead_id(log, key), {"state": "settled"}) for key in plan.settled]
    await work.write("dead_letters", [*(_retried(one, log) for one in plan.retried), *settled], ordered=True)
    tallies = documents_of("tallies", rows.TALLY_COLUMNS, rows.tally_values(plan, log))
    await work.write("tallies", list(map(_counted, tallies)))
    await _insert_results(work, plan, now)
    await erasures.settle_targets(work, plan, now)
    if not work.is_atomic:
        await work.write("progress", moves)


def _added(plan: KeepPlan, log: str, now: datetime) -> Iterator[tuple[str, list[Document]]]:
    """What is added unless it is there, by collection."""
    yield "parts", documents_of("parts", rows.PART_COLUMNS, (rows.part_values(part, now) for part in plan.parts))
    targets = (rows.target_values(one, now) for one in plan.targets.values())
    yield "targets", documents_of("targets", rows.TARGET_COLUMNS, targets, **_NEW_TARGET)
    yield "unseen", documents_of("unseen", rows.UNSEEN_COLUMNS, rows.unseen_values(plan))
    yield "gaps", documents_of("gaps", rows.GAP_COLUMNS, rows.gap_values(plan), state="open")
    yield "dead_letters", documents_of("dead_letters", rows.DEAD_COLUMNS, rows.dead_values(plan, log), state="open")


_NEW_TARGET: Document = {"state": "waiting", "reason": None, "due_at": None, "attempt": 0}


def _set(document_id: str, values: Document) -> UpdateOne:
    return UpdateOne({"_id": document_id}, {"$set": values})


def _retried(one: DeadRow, log: str) -> UpdateOne:
    """A dead letter died again: why, how often, when. Its gap record stays the first one."""
    letter = {"code": one.letter.code, "attempts": one.letter.attempts, "at": micros(one.letter.at)}
    return UpdateOne({"_id": dead_id(log, one.key), "state": "open"}, {"$set": letter})


def _moves(plan: KeepPlan, log: str) -> Iterator[UpdateOne]:
    for place, progress in plan.progress.items():
        values = rows.progress_values(place, progress, log)
        (moved,) = documents_of("progress", rows.PROGRESS_COLUMNS, [values])
        made = {"tenant": split_topic(place.topic)[0], "successor": progress.successor}
        yield UpdateOne({"_id": moved.pop("_id")}, {"$set": moved, "$setOnInsert": made}, upsert=True)


def _counted(tally: Document) -> UpdateOne:
    amounts = {"entries": tally.pop("entries"), "duplicates": tally.pop("duplicates")}
    return UpdateOne({"_id": tally.pop("_id")}, {"$inc": amounts, "$setOnInsert": tally}, upsert=True)


async def _insert_records(work: Work, planned: Sequence[RecordRow]) -> None:
    if not planned:
        return
    # After progress was read, so that it is above those of all batches kept of these partitions before.
    number = await work.next_number("records") << ROW_BITS
    values = (rows.record_values(row, number + place) for place, row in enumerate(planned))
    documents = documents_of("records", rows.RECORD_COLUMNS, values)
    if work.is_atomic:
        await work.insert("records", documents)
    elif await work.insert_absent("records", documents) < len(documents):
        await _check_own(work, documents)


async def _check_own(work: Work, documents: Sequence[Document]) -> None:
    """Without transactions: what was there already has to be of a keep of the same entries that broke off."""
    where = ("log", "topic", "partition", "log_offset")
    there = await work.by_id("records", [one["_id"] for one in documents], ("tenant", "record_id", *where))
    places = {key_id((one["tenant"], one["record_id"])): [one[name] for name in where] for one in there}
    if any(places.get(one["_id"]) != [one[name] for name in where] for one in documents):
        raise ConflictError(StoreUnavailableError("others keep the same records at this moment: keep the batch again"))


async def _insert_results(work: Work, plan: KeepPlan, now: datetime) -> None:
    """Adds how fetches ended, and what deletion commands came to."""
    results = [rows.result_values(tenant, one, now) for tenant, one in plan.part_outcomes]
    await erasures.insert_results(work, results, shared=False)
    receipts = [rows.receipt_values(tenant, one) for tenant, one in plan.receipts]
    if receipts:
        first = await work.next_number("receipts", len(receipts))
        numbered = [(*values, number) for number, values in enumerate(receipts, first)]
        columns = (*rows.RECEIPT_COLUMNS, "receipt_number")
        await work.insert("receipts", documents_of("receipts", columns, numbered))


def _dead_key(one: Document) -> DeadKey:
    return TopicPartition(one["topic"], one["partition"]), one["log_offset"]


def _gap_of(dead: Document) -> tuple[str, str]:
    return dead["tenant"], dead["gap_record_id"]


async def accept_loss(work: Work, loss: Loss, gap: Record, now: datetime) -> None:
    """Accepts a loss within a transaction. `ConflictError`: nothing may be committed."""
    progress = await _read_progress(work, loss.log, [loss.place])
    key = (gap.envelope.tenant, gap.envelope.record_id)
    existing = await _find_existing(work, [key])
    plan = plan_loss(loss, gap, progress=progress.get(loss.place, NOTHING_KEPT), known=key in existing, now=now)
    if plan.progress:
        await _carry_out(work, loss.log, plan, now, {})


async def adopt(work: Work, adoption: Adoption, now: datetime) -> None:
    """Lets a log take another one's place, within a transaction."""
    tenant, old, new = adoption.tenant, adoption.predecessor, adoption.log
    before = await work.find("progress", {"tenant": tenant, "log": old})
    known = await _find_existing(work, [(tenant, gap.envelope.record_id) for gap in adoption.gaps])
    plan = plan_adoption(adoption, rows.progress_of(before), known=known, now=now)
    if plan is None:
        return
    if plan.progress:
        await _carry_out(work, old, plan, now, {})
    begins = [_begun(new, place, tenant, offset) for place, offset in sorted(adoption.starts.items())]
    await work.insert_absent("progress", begins)
    succeeding = [{"log": {"$in": [old, new]}}, {"successor": {"$in": [old, new]}}]
    chosen = {"$cond": [{"$eq": ["$log", {"$literal": new}]}, None, {"$literal": new}]}
    await work.update("progress", {"tenant": tenant, "$or": succeeding}, [{"$set": {"successor": chosen}}])


def _begun(log: str, place: TopicPartition, tenant: str, offset: int) -> Document:
    values = rows.progress_values(place, NOTHING_KEPT, log)
    (made,) = documents_of("progress", rows.PROGRESS_COLUMNS, [values], tenant=tenant, successor=None)
    return made | {"start_offset": offset, "next_offset": offset}


async def keep_act(work: Work, row: RecordRow) -> None:
    """Keeps an operator's act; the same act again changes nothing."""
    number = await work.next_number("records") << ROW_BITS
    values = [rows.record_values(row, number)]
    await work.insert_absent("records", documents_of("records", rows.RECORD_COLUMNS, values))
