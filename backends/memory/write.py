"""Carries a plan out in memory: the same decisions as everywhere, and none of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from backends.memory.tables import Dead, Gap, Named, Receipt, Target, told_by
from broker.core.erasure import MADE_GOOD, TargetFacts, receive, settle
from broker.core.model import PartState
from broker.core.ports import Progress
from broker.core.rows import receipt_outcome
from broker.core.standing import target_facts
from broker.core.topics import Stream, split_topic
from broker.core.values import replace

if TYPE_CHECKING:
    from datetime import datetime

    from backends.memory.tables import Key, Tables
    from broker.core.erasure import Decision
    from broker.core.model import ReceiptOutcome
    from broker.core.plan import KeepPlan
    from broker.core.ports import Adoption


def carry_out(tables: Tables, plan: KeepPlan, log: str, now: datetime) -> None:
    """Writes everything that a plan says."""
    _add_rows(tables, plan, now)
    _add_gaps(tables, plan)
    _write_dead(tables, plan, log)
    _count(tables, plan, log)
    _settle_targets(tables, plan, now)


def succeed(tables: Tables, adoption: Adoption) -> None:
    """A log takes another one's place for a tenant, and that of all it had taken the place of."""
    involved = {adoption.log, adoption.predecessor}
    for (log, place), one in list(tables.progress.items()):
        if split_topic(place.topic)[0] == adoption.tenant and involved & {log, one.successor}:
            successor = None if log == adoption.log else adoption.log
            tables.progress[log, place] = replace(one, successor=successor)
    for place, offset in adoption.starts.items():
        tables.progress.setdefault((adoption.log, place), Progress(start=offset, next=offset))


def _add_rows(tables: Tables, plan: KeepPlan, now: datetime) -> None:
    for row in plan.rows:
        tables.add_record(row)
    for part in plan.parts:
        tables.parts.setdefault((part.tenant, part.record_id, part.number), Named(part=part, kept_at=now))
    for key, target in plan.targets.items():
        tables.targets.setdefault(key, Target(row=target, changed_at=now))
    for tenant, outcome in plan.part_outcomes:
        delivery = (tenant, outcome.record_id, outcome.fingerprint, outcome.number)
        tables.add_result(delivery, outcome, now)


def _add_gaps(tables: Tables, plan: KeepPlan) -> None:
    for tenant, record_id, cause in plan.gaps:
        record = tables.records[tenant, record_id].record
        tables.gaps.setdefault((tenant, record_id), Gap(cause=cause, told=told_by(record)))
    for row in plan.rows:
        envelope = row.record.envelope
        for named in envelope.relations if row.stream == Stream.STATUSES else ():
            if (envelope.tenant, named.record_id) in plan.unseen:
                tables.unseen.setdefault((envelope.tenant, named.record_id), told_by(row.record))


def _write_dead(tables: Tables, plan: KeepPlan, log: str) -> None:
    for row in plan.dead:
        gap = tables.records[row.tenant, row.gap_record_id].record
        tables.dead.setdefault((log, row.key), Dead(row=row, told=told_by(gap)))
    for again in plan.retried:
        dead = tables.dead.get((log, again.key))
        if dead is not None and dead.is_open:
            tables.dead[log, again.key] = replace(dead, row=replace(dead.row, letter=again.letter))
    for key in plan.settled:
        dead = replace(tables.dead[log, key], is_open=False)
        tables.dead[log, key] = dead
        gap_key = (dead.row.tenant, dead.row.gap_record_id)
        tables.gaps[gap_key] = replace(tables.gaps[gap_key], is_open=False)


def _count(tables: Tables, plan: KeepPlan, log: str) -> None:
    for place, progress in plan.progress.items():
        tables.progress[log, place] = progress
    if plan.progress:
        first = min(plan.progress)
        tables.entries.update({(log, first, key): amount for key, amount in plan.entries.items()})
        tables.duplicates.update({(log, first, key): amount for key, amount in plan.duplicates.items()})


def _settle_targets(tables: Tables, plan: KeepPlan, now: datetime) -> None:
    affected = plan.affected_targets & tables.targets.keys()
    for key in plan.affected_targets:
        _share(tables, key, now)
    for tenant, receipt in plan.receipts:
        tables.add_receipt((tenant, receipt.target_id), _kept(receipt), tables.number("receipts"))
    for tenant, receipt in [*_unheard(tables, plan), *plan.receipts]:
        if (tenant, receipt.target_id) in tables.targets:
            _receive(tables, (tenant, receipt.target_id), receipt, now)
    for key in affected:
        target = tables.targets[key]
        facts = _facts(tables, key)
        if facts is not None:
            _move(target, settle(facts), now)


def _unheard(tables: Tables, plan: KeepPlan) -> list[tuple[str, ReceiptOutcome]]:
    """Receipts that came before the targets that this batch names, for commands that this store did not make."""
    if not plan.targets:
        return []
    given = {(tenant, one.target_id, one.attempt) for tenant, one in plan.receipts}
    return [
        (tenant, receipt_outcome({**asdict(one), "target_id": target_id}))
        for (tenant, target_id, _), one in sorted(tables.receipts.items())
        if (tenant, target_id) in plan.targets
        and (tenant, target_id, one.attempt) not in given
        and one.attempt > tables.targets[tenant, target_id].attempt
    ]


def _share(tables: Tables, key: Key, now: datetime) -> None:
    """Gives the bytes kept for one part of a target to its other parts that have none, or none any more."""
    naming = [(part, tables.result_of(part)) for part in tables.naming(key)]
    kept = [one for _, one in naming if one is not None and one.outcome.state == PartState.KEPT]
    if not kept:
        return
    source = min(kept, key=lambda one: one.order)
    for part, result in naming:
        if result is None or result.outcome.reason in MADE_GOOD:
            outcome = replace(source.outcome, record_id=part.part.origin_id, number=part.part.number)
            tables.add_result(part.delivery, outcome, now, shared=True)


def _receive(tables: Tables, key: Key, receipt: ReceiptOutcome, now: datetime) -> None:
    target = tables.targets[key]
    refused = sum(attempt < receipt.attempt for attempt in tables.answered[key])
    decision = receive(target.state, receipt, commands=target.attempt, refused_before=refused, now=now)
    _move(target, decision, now)


def _kept(receipt: ReceiptOutcome) -> Receipt:
    return Receipt(
        attempt=receipt.attempt,
        outcome=receipt.outcome,
        evidence=receipt.evidence,
        witnessed=receipt.witnessed,
        at=receipt.at,
    )


def _move(target: Target, decision: Decision | None, now: datetime) -> None:
    if decision is not None:
        target.move(decision.state, due_at=decision.due_at, reason=decision.reason, at=now)
        target.attempt = max(target.attempt, decision.attempt or 0)


def _facts(tables: Tables, key: Key) -> TargetFacts | None:
    target = tables.targets[key]
    return target_facts(
        [tables.standing(one) for one in tables.naming(key)],
        state=target.state,
        policy=target.row.policy,
        commands=target.attempt,
    )
