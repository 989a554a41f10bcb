"""What a batch's parts, results and receipts make of targets, within the transaction that keeps them.

A part and its result may be kept by two transactions at once, neither of which sees the other's rows. So both take
locks that depend on the target alone, and whoever comes second sees what the first one wrote.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeAlias

from backends.postgres.sql import query
from broker.core.erasure import ANSWERED, MADE_GOOD, TargetFacts, TargetState, receive, settle
from broker.core.rows import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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
    await connection.execute(query("records/share_results"), *_columns(sorted(affected)), list(MADE_GOOD), now)
    moves = await _receive(connection, targets, plan.receipts, now)
    moves |= await _settle(connection, {key: targets[key] for key in affected & targets.keys()}, moves)
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
    )


async def _lock_stripes(connection: Connection, touched: Iterable[TargetKey]) -> None:
    stripes = sorted({(_signed_crc(tenant), _signed_crc(target_id) % _STRIPES) for tenant, target_id in touched})
    await connection.execute(
        query("records/lock_stripes"), [space for space, _ in stripes], [stripe for _, stripe in stripes]
    )


async def _receive(
    connection: Connection,
    targets: dict[TargetKey, asyncpg.Record],
    receipts: Sequence[tuple[str, ReceiptOutcome]],
    now: datetime,
) -> dict[TargetKey, Decision]:
    """What receipts, in order, make of their targets."""
    moves: dict[TargetKey, Decision] = {}
    if not receipts:
        return moves
    answered = await _answered(connection, {(tenant, one.target_id) for tenant, one in receipts})
    for tenant, receipt in receipts:
        key = (tenant, receipt.target_id)
        if key not in targets:
            continue
        state = moves[key].state if key in moves else TargetState(targets[key]["state"])
        refused = sum(attempt < receipt.attempt for attempt in answered.get(key, ()))
        decision = receive(state, receipt, refused_before=refused, now=now)
        if decision is not None:
            moves[key] = decision
    return moves


async def _answered(connection: Connection, keys: set[TargetKey]) -> dict[TargetKey, set[int]]:
    """The attempts that the provider answered without deleting, by target; this batch's receipts included."""
    attempts: dict[TargetKey, set[int]] = {}
    for row in await connection.fetch(query("records/earlier_receipts"), *_columns(sorted(keys))):
        if row["outcome"] in ANSWERED:
            attempts.setdefault((row["tenant"], row["target_id"]), set()).add(row["attempt"])
    return attempts


async def _settle(
    connection: Connection, targets: dict[TargetKey, asyncpg.Record], moves: dict[TargetKey, Decision]
) -> dict[TargetKey, Decision]:
    """What the results of their parts make of targets, after what receipts made of them."""
    settled: dict[TargetKey, Decision] = {}
    for row in await connection.fetch(query("records/target_facts"), *_columns(list(targets))):
        key = (row["tenant"], row["target_id"])
        state = moves[key].state if key in moves else TargetState(targets[key]["state"])
        decision = settle(_facts(row, state, targets[key]))
        if decision is not None:
            settled[key] = decision
    return settled


def _facts(row: asyncpg.Record, state: TargetState, target: asyncpg.Record) -> TargetFacts:
    return TargetFacts(
        state=state,
        parts=row["parts"],
        kept=row["kept"],
        lost=row["lost"],
        gone=row["gone"],
        witnessed=row["witnessed"],
        settled_at=row["settled_at"],
        policy=policy_of(target),
        commands=target["attempt"],
    )


def _columns(keys: Sequence[TargetKey]) -> tuple[list[str], list[str]]:
    return [tenant for tenant, _ in keys], [target_id for _, target_id in keys]


def _signed_crc(name: str) -> int:
    """A stable number within Postgres' `integer`."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
