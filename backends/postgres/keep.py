"""One batch in one transaction: what `plan_keep` decides, looked up and carried out.

Locks are taken in one order by everybody: progress rows, dead letters, new records by id, new targets by id, the
rest by key, the stripes of targets, targets. So no two batches wait for each other in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING

import asyncpg

from backends.postgres import erasures
from backends.postgres.errors import ConflictError
from backends.postgres.sql import query
from broker.core import rows
from broker.core.losses import plan_loss
from broker.core.plan import brief_lookup, has_replays, log_of, lookup, plan_keep, variants
from broker.core.ports import NOTHING_KEPT
from broker.core.succession import plan_adoption
from broker.core.topics import TopicPartition, split_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from backends.postgres.connections import Connection
    from broker.core.model import Record
    from broker.core.plan import DeadKey, Existing, KeepPlan, RecordRow
    from broker.core.ports import Adoption, Answer, Arrived, Loss, Progress
    from broker.core.rows import Values

ROW_BITS = 24
"""`row_number` is the number of the batch, then so many bits for the place within it."""
COPY_FROM_ROWS = 100
"""From so many records on, COPY and INSERT .. SELECT are faster than INSERTs in a pipeline (measured)."""
_RECORDS_KEY = "records_pkey"
_BY_ID = itemgetter(0, 1)


async def keep_batch(
    connection: Connection, batch: Sequence[Arrived], now: datetime, *, in_hope: bool
) -> Sequence[Answer]:
    """Keeps a batch within the transaction that `connection` is in. `ConflictError`: nothing may be committed.

    `in_hope` that all records are new, it does not look for them: one that is there is a conflict then.
    """
    log, wanted = log_of(batch), brief_lookup(batch)
    progress = await _lock_progress(connection, log, wanted.partitions)
    if not in_hope or has_replays(batch, progress):
        wanted = lookup(batch)
    open_dead = await _lock_dead(connection, log, sorted(wanted.dead))
    existing = await _find_existing(connection, wanted.record_ids)
    existing |= await _find_existing(connection, variants(batch, existing))
    plan = plan_keep(batch, progress=progress, existing=existing, open_dead=open_dead, now=now)
    if plan.progress:
        await _carry_out(connection, log, plan, now)
    return plan.answers


async def _lock_progress(
    connection: Connection, log: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Progress]:
    topics, numbers = [one.topic for one in partitions], [one.partition for one in partitions]
    found = await connection.fetch(query("records/lock_progress"), log, topics, numbers)
    if len(found) < len(partitions):
        tenants = [split_topic(topic)[0] for topic in topics]
        await connection.execute(query("records/make_progress"), log, topics, numbers, tenants)
        found = await connection.fetch(query("records/lock_progress"), log, topics, numbers)
    return rows.locked_progress_of(found)


async def _lock_dead(connection: Connection, log: str, keys: Sequence[DeadKey]) -> frozenset[DeadKey]:
    if not keys:
        return frozenset()
    found = await connection.fetch(
        query("records/lock_dead_letters"),
        log,
        [place.topic for place, _ in keys],
        [place.partition for place, _ in keys],
        [offset for _, offset in keys],
    )
    return frozenset((TopicPartition(row["topic"], row["partition"]), row["log_offset"]) for row in found)


async def _find_existing(
    connection: Connection, record_ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Existing]:
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for tenant, record_id in record_ids:
        by_tenant[tenant].append(record_id)
    return {
        (tenant, row["record_id"]): rows.existing_of(row)
        for tenant, ids in by_tenant.items()
        for row in await connection.fetch(query("records/find_existing"), tenant, ids)
    }


async def _carry_out(connection: Connection, log: str, plan: KeepPlan, now: datetime) -> None:
    await _insert_records(connection, plan.rows)
    for name, values in _many(plan, now):
        if values:
            await connection.execute(query(f"records/{name}"), *zip(*values, strict=True))
    for name, values in _few(log, plan):
        if values:
            await connection.executemany(query(f"records/{name}"), values)
    await erasures.settle_targets(connection, plan, now)


def _many(plan: KeepPlan, now: datetime) -> Iterator[tuple[str, list[Values]]]:
    """The statements that take all rows at once, by column, in the order of locking."""
    yield "insert_parts", [rows.part_values(part, now) for part in plan.parts]
    yield "insert_targets", [rows.target_values(plan.targets[key], now) for key in sorted(plan.targets)]
    yield "insert_part_results", [rows.result_values(tenant, one, now) for tenant, one in plan.part_outcomes]
    yield "insert_receipts", [rows.receipt_values(tenant, one) for tenant, one in plan.receipts]
    yield "insert_unseen", list(rows.unseen_values(plan))


def _few(log: str, plan: KeepPlan) -> Iterator[tuple[str, list[Values]]]:
    """The statements that take one row each, after those."""
    yield "insert_gap", list(rows.gap_values(plan))
    yield "insert_dead_letter", list(rows.dead_values(plan, log))
    yield "retry_dead_letter", [rows.retry_values(one, log) for one in plan.retried]
    yield "settle_dead_letter", [rows.dead_key_values(key, log) for key in plan.settled]
    yield "move_progress", [rows.progress_values(place, one, log) for place, one in plan.progress.items()]
    yield "add_tally", list(rows.tally_values(plan, log))


async def _insert_records(connection: Connection, planned: Sequence[RecordRow]) -> None:
    if not planned:
        return
    number: int = await connection.fetchval(query("records/next_keep_number")) << ROW_BITS
    values = [rows.record_values(row, number + place) for place, row in enumerate(planned)]
    values.sort(key=_BY_ID)  # so that two batches take ids in the same order
    conflict = False
    try:
        await _insert(connection, values)
    except asyncpg.UniqueViolationError as error:
        conflict = error.constraint_name == _RECORDS_KEY
        if not conflict:
            raise
    if conflict:
        raise ConflictError


async def _insert(connection: Connection, values: Sequence[Values]) -> None:
    if len(values) < COPY_FROM_ROWS:
        await connection.executemany(query("records/insert_record"), values)
        return
    await connection.execute(query("records/make_incoming"))
    await connection.copy_records_to_table("incoming", records=values, schema_name="pg_temp")
    await connection.execute(query("records/insert_incoming"))


async def accept_loss(connection: Connection, loss: Loss, gap: Record, now: datetime) -> None:
    """Accepts a loss within the transaction that `connection` is in. `ConflictError`: nothing may be committed."""
    progress = await _lock_progress(connection, loss.log, [loss.place])
    key = (gap.envelope.tenant, gap.envelope.record_id)
    existing = await _find_existing(connection, [key])
    plan = plan_loss(loss, gap, progress=progress.get(loss.place, NOTHING_KEPT), known=key in existing, now=now)
    if plan.progress:
        await _carry_out(connection, loss.log, plan, now)


async def adopt(connection: Connection, adoption: Adoption, now: datetime) -> None:
    """Lets a log take another one's place, within the transaction that `connection` is in."""
    tenant, log = adoption.tenant, adoption.log
    before = await connection.fetch(query("records/lock_log"), tenant, adoption.predecessor)
    known = await _find_existing(connection, [(tenant, gap.envelope.record_id) for gap in adoption.gaps])
    plan = plan_adoption(adoption, rows.progress_of(before), known=known, now=now)
    if plan is None:
        return
    if plan.progress:
        await _carry_out(connection, adoption.predecessor, plan, now)
    await connection.execute(query("records/succeed_log"), tenant, adoption.predecessor, log)
    begins = [(log, place.topic, place.partition, tenant, offset) for place, offset in sorted(adoption.starts.items())]
    await connection.executemany(query("records/begin_log"), begins)


async def keep_act(connection: Connection, row: RecordRow) -> None:
    """Keeps an operator's act; the same act again changes nothing."""
    number: int = await connection.fetchval(query("records/next_keep_number")) << ROW_BITS
    await connection.execute(query("records/insert_act"), *rows.record_values(row, number))
