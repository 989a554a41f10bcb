"""What a batch's parts, results and receipts make of targets, within the transaction that keeps them.

A part and its result may be kept by two transactions at once, neither of which sees the other's documents. So all that
decides on a target writes the target's lock first: the second is begun again, and sees what the first one wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo import UpdateOne

from backends.mongo.documents import documents_of, key_id, micros, row_of
from backends.mongo.standings import by_tenant, naming
from broker.core.erasure import ANSWERED, TargetState, receive, settle
from broker.core.model import PartState
from broker.core.rows import RECEIPT_COLUMNS, RESULT_COLUMNS, policy_of, receipt_outcome
from broker.core.standing import sharing, target_facts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from backends.mongo.documents import Ids
    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.erasure import Decision
    from broker.core.model import ReceiptOutcome
    from broker.core.plan import KeepPlan
    from broker.core.rows import Values
    from broker.core.standing import Ending, Standing

_TARGET_COLUMNS = (*("tenant", "target_id", "state", "attempt", "not_before", "erase_after_seconds", "expires_at"),)


async def settle_targets(work: Work, plan: KeepPlan, now: datetime) -> None:
    """Shares results, and moves every target that the batch touches to where its facts put it."""
    affected = plan.affected_targets
    touched = affected | {(tenant, receipt.target_id) for tenant, receipt in plan.receipts}
    if not touched:
        return
    await lock(work, touched)
    found = await work.by_id("targets", [key_id(key) for key in sorted(touched)], _TARGET_COLUMNS)
    targets = {(one["tenant"], one["target_id"]): row_of(one) for one in found}
    moves = await _receive(work, targets, plan, now)
    standing = await naming(work, affected)
    if await _share(work, standing, now):
        standing = await naming(work, affected)
    moves |= _settle({key: targets[key] for key in affected & targets.keys()}, standing, moves)
    await move(work, moves, now)


async def lock(work: Work, keys: Collection[Ids]) -> None:
    """Writes the locks of targets, in the order that everybody takes them in."""
    ids = [key_id(key) for key in sorted(keys)]
    if work.is_atomic:
        await work.write("locks", [UpdateOne({"_id": one}, {"$inc": {"lock": 1}}, upsert=True) for one in ids])


async def move(work: Work, moves: Mapping[Ids, Decision], now: datetime) -> None:
    """Writes decisions on targets that are locked."""
    await work.write(
        "targets", [UpdateOne({"_id": key_id(key)}, {"$set": _moved(one, now)}) for key, one in moves.items()]
    )


def _moved(decision: Decision, now: datetime) -> Document:
    attempt = {} if decision.attempt is None else {"attempt": decision.attempt}
    return attempt | {
        "state": decision.state,
        "due_at": None if decision.due_at is None else micros(decision.due_at),
        "reason": decision.reason,
        "changed_at": micros(now),
    }


async def insert_results(work: Work, results: Sequence[Values], *, shared: bool) -> None:
    """Adds how fetches ended."""
    if results:
        first = await work.next_number("part_results", len(results))
        numbered = [(*values, number) for number, values in enumerate(results, first)]
        columns = (*RESULT_COLUMNS, "result_number")
        await work.insert("part_results", documents_of("part_results", columns, numbered, shared=shared))


async def _share(work: Work, standing: Mapping[Ids, Sequence[Standing]], now: datetime) -> bool:
    """Gives the bytes kept for one part of a target to its other parts that have none; whether there were any."""
    shared: list[Values] = []
    for _, parts in sorted(standing.items()):
        source, lacking = sharing(parts)
        if source is not None:
            shared += [_shared_values(part, source, now) for part in lacking]
    await insert_results(work, shared, shared=True)
    return bool(shared)


def _shared_values(part: Standing, source: Ending, now: datetime) -> Values:
    """Of `RESULT_COLUMNS`."""
    return (
        part.tenant,
        part.origin_id,
        part.number,
        part.fingerprint,
        part.target_id,
        PartState.KEPT,
        None,
        False,
        source.size,
        source.sha256,
        source.place,
        source.version,
        now,
    )


async def _receive(work: Work, targets: Mapping[Ids, Document], plan: KeepPlan, now: datetime) -> dict[Ids, Decision]:
    """What receipts, in order, make of their targets; also those that came before the targets this batch names."""
    moves: dict[Ids, Decision] = {}
    touched = {(tenant, one.target_id) for tenant, one in plan.receipts} | set(plan.targets)
    found = await _receipts(work, touched & targets.keys())
    answered = _answered(found)
    for tenant, receipt in [*_unheard(found, targets, plan), *plan.receipts]:
        key = (tenant, receipt.target_id)
        if key not in targets:
            continue
        earlier = moves.get(key)
        decision = receive(
            TargetState(targets[key]["state"]) if earlier is None else earlier.state,
            receipt,
            commands=max(targets[key]["attempt"], (earlier and earlier.attempt) or 0),
            refused_before=sum(attempt < receipt.attempt for attempt in answered.get(key, ())),
            now=now,
        )
        if decision is not None:
            moves[key] = decision.after(earlier)
    return moves


async def _receipts(work: Work, keys: Iterable[Ids]) -> list[Document]:
    """The receipts of targets so far, in the order they came; this batch's included."""
    found: list[Document] = []
    for tenant, target_ids in by_tenant(keys).items():
        wanted = {"tenant": tenant, "target_id": {"$in": target_ids}}
        found += [row_of(one) for one in await work.find("receipts", wanted, (*RECEIPT_COLUMNS, "receipt_number"))]
    return sorted(found, key=lambda one: int(one["receipt_number"]))


def _answered(found: Sequence[Document]) -> dict[Ids, set[int]]:
    """The attempts that the provider answered without deleting, by target."""
    attempts: dict[Ids, set[int]] = {}
    for one in found:
        if one["outcome"] in ANSWERED:
            attempts.setdefault((one["tenant"], one["target_id"]), set()).add(one["attempt"])
    return attempts


def _unheard(
    found: Sequence[Document], targets: Mapping[Ids, Document], plan: KeepPlan
) -> Iterator[tuple[str, ReceiptOutcome]]:
    """Receipts that came before the targets that this batch names, for commands that this store did not make."""
    given = {(tenant, one.target_id, one.attempt) for tenant, one in plan.receipts}
    for one in found:
        key = (one["tenant"], one["target_id"])
        if key in plan.targets and (*key, one["attempt"]) not in given and one["attempt"] > targets[key]["attempt"]:
            yield one["tenant"], receipt_outcome(one)


def _settle(
    targets: Mapping[Ids, Document], standing: Mapping[Ids, Sequence[Standing]], moves: Mapping[Ids, Decision]
) -> dict[Ids, Decision]:
    """What the results of their parts make of targets, after what receipts made of them."""
    settled: dict[Ids, Decision] = {}
    for key, target in targets.items():
        state = moves[key].state if key in moves else target["state"]
        known = moves[key].attempt if key in moves else None
        commands = max(target["attempt"], known or 0)
        facts = target_facts(standing.get(key, ()), state=state, policy=policy_of(target), commands=commands)
        decision = None if facts is None else settle(facts)
        if decision is not None:
            settled[key] = decision.after(moves.get(key))
    return settled
