"""What a batch's parts, results and receipts make of targets, within the transaction that keeps them.

A part and its result may be kept by two transactions at once, neither of which sees the other's rows. So both take
locks that depend on the target alone, and whoever comes second sees what the first one wrote.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeAlias

from backends.postgres.sql import query
from broker.core.erasure import ANSWERED, MADE_GOOD, TargetFacts, TargetState, receive, settle
from broker.core.rows import policy_of, receipt_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg

    from backends.postgres.connections import Connection
    from broker.core.erasure import Decision
    from broker.core.model import ReceiptOutcome
    from broker.core.plan import KeepPlan

TargetKey: TypeAlias = tuple[str, str]
"""Tenant, target id."""

_STRIPES = 256


async def settle_targets(connection: Connection, plan: KeepPlan, now: datetime) -> None:
    """Shares results, and moves every target that the batch touches to where its facts put it."""
    affected = plan.affected_targets
    touched = sorted(affected | {(tenant, receipt.target_id) for tenant, receipt in plan.receipts})
    if not touched:
        return
    await _lock_stripes(connection, touched)
    found = await connection.fetch(query("records/lock_targets"), *_columns(touched))
    targets = {(row["tenant"], row["target_id"]): row for row in found}
    moves = await _receive(connection, targets, plan, now)
    states = {key: _state(targets[key], moves.get(key)) for key in affected & targets.keys()}
    facts = await _shared(connection, await _with_facts(connection, states), now)
    moves |= _settled(facts, states, targets, moves)
    await move(connection, moves, now)


async def move(connection: Connection, moves: dict[TargetKey, Decision], now: datetime) -> None:
    """Writes decisions on targets that are locked."""
    if not moves:
        return
    await connection.execute(
        query("records/move_targets"),
        *_columns(list(moves)),
        [one.state for one in moves.values()],
        [one.due_at for one in moves.values()],
        [one.reason for one in moves.values()],
        now,
        [one.attempt or 0 for one in moves.values()],
    )


async def _lock_stripes(connection: Connection, touched: Iterable[TargetKey]) -> None:
    stripes = sorted({(_signed_crc(tenant), _signed_crc(target_id) % _STRIPES) for tenant, target_id in touched})
    await connection.execute(
        query("records/lock_stripes"), [space for space, _ in stripes], [stripe for _, stripe in stripes]
    )


async def _with_facts(connection: Connection, states: Mapping[TargetKey, TargetState]) -> Sequence[TargetKey]:
    """Those of these targets that their parts may move, in order: not one that waits while no part of it has ended."""
    waiting = [key for key, state in states.items() if state == TargetState.WAITING]
    if not waiting:
        return sorted(states)
    found = await connection.fetch(query("records/heard_targets"), *_columns(waiting))
    heard = {(row["tenant"], row["target_id"]) for row in found}
    return sorted(states.keys() - set(waiting) | heard)


async def _shared(connection: Connection, affected: Sequence[TargetKey], now: datetime) -> Sequence[asyncpg.Record]:
    """How the parts of each target ended, once those that lack the bytes have those that were kept for another."""
    if not affected:
        return ()
    facts = await connection.fetch(query("records/target_facts"), *_columns(affected))
    if not any(0 < row["kept"] < row["parts"] for row in facts):
        return facts
    await connection.execute(query("records/share_results"), *_columns(affected), list(MADE_GOOD), now)
    return await connection.fetch(query("records/target_facts"), *_columns(affected))


async def _receive(
    connection: Connection, targets: dict[TargetKey, asyncpg.Record], plan: KeepPlan, now: datetime
) -> dict[TargetKey, Decision]:
    """What receipts, in order, make of their targets; also those that came before the targets this batch names."""
    moves: dict[TargetKey, Decision] = {}
    touched = {(tenant, one.target_id) for tenant, one in plan.receipts} | set(plan.targets)
    if not touched:
        return moves
    found = await connection.fetch(query("records/earlier_receipts"), *_columns(sorted(touched)))
    answered = _answered(found)
    for tenant, receipt in [*_unheard(found, targets, plan), *plan.receipts]:
        key = (tenant, receipt.target_id)
        if key not in targets:
            continue
        earlier = moves.get(key)
        decision = receive(
            _state(targets[key], earlier),
            receipt,
            commands=max(targets[key]["attempt"], (earlier and earlier.attempt) or 0),
            refused_before=sum(attempt < receipt.attempt for attempt in answered.get(key, ())),
            now=now,
        )
        if decision is not None:
            moves[key] = decision.after(earlier)
    return moves


def _answered(found: Sequence[asyncpg.Record]) -> dict[TargetKey, set[int]]:
    """The attempts that the provider answered without deleting, by target; this batch's receipts included."""
    attempts: dict[TargetKey, set[int]] = {}
    for row in found:
        if row["outcome"] in ANSWERED:
            attempts.setdefault((row["tenant"], row["target_id"]), set()).add(row["attempt"])
    return attempts


def _unheard(
    found: Sequence[asyncpg.Record], targets: dict[TargetKey, asyncpg.Record], plan: KeepPlan
) -> Iterator[tuple[str, ReceiptOutcome]]:
    """Receipts that came before the targets that this batch names, for commands that this store did not make."""
    given = {(tenant, one.target_id, one.attempt) for tenant, one in plan.receipts}
    for row in found:
        key = (row["tenant"], row["target_id"])
        if key in plan.targets and (*key, row["attempt"]) not in given and row["attempt"] > targets[key]["attempt"]:
            yield row["tenant"], receipt_outcome(row)


def _state(target: asyncpg.Record, moved: Decision | None) -> TargetState:
    return TargetState(target["state"]) if moved is None else moved.state


def _settled(
    facts: Sequence[asyncpg.Record],
    states: Mapping[TargetKey, TargetState],
    targets: dict[TargetKey, asyncpg.Record],
    moves: dict[TargetKey, Decision],
) -> dict[TargetKey, Decision]:
    """What the results of their parts make of targets, after what receipts made of them."""
    settled: dict[TargetKey, Decision] = {}
    for row in facts:
        key = (row["tenant"], row["target_id"])
        known = moves[key].attempt if key in moves else None
        decision = settle(_facts(row, states[key], targets[key], commands=max(targets[key]["attempt"], known or 0)))
        if decision is not None:
            settled[key] = decision.after(moves.get(key))
    return settled


def _facts(row: asyncpg.Record, state: TargetState, target: asyncpg.Record, *, commands: int) -> TargetFacts:
    return TargetFacts(
        state=state,
        parts=row["parts"],
        kept=row["kept"],
        lost=row["lost"],
        gone=row["gone"],
        witnessed=row["witnessed"],
        settled_at=row["settled_at"],
        policy=policy_of(target),
        commands=commands,
    )


def _columns(keys: Sequence[TargetKey]) -> tuple[list[str], list[str]]:
    return [tenant for tenant, _ in keys], [target_id for _, target_id in keys]


def _signed_crc(name: str) -> int:
    """A stable number within Postgres' `integer`."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
