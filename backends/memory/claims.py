"""Claims of targets, and what the clock alone makes of them, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.erasure import PAST_DEADLINE, WELL_PAST, TargetState
from broker.core.model import EraseCommand
from broker.core.ports import ClaimedTarget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from backends.memory.tables import Key, Tables, Target


def claim_due(tables: Tables, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
    """Claims targets; one with a part whose fate is open, or none whose bytes are kept, goes back."""
    for target in tables.targets.values():
        if _is_expired(target, now):
            target.move(TargetState.EXPIRED, reason=target.reason or PAST_DEADLINE, at=now)
    return [one for key in _due(tables, now)[:limit] if (one := _claim(tables, key, now, lease)) is not None]


def _is_expired(target: Target, now: datetime) -> bool:
    expires_at = target.row.policy.expires_at
    if target.state == TargetState.RESIDUE:
        return expires_at <= now
    return target.state in {TargetState.WAITING, TargetState.BLOCKED} and expires_at <= now - WELL_PAST


def _due(tables: Tables, now: datetime) -> list[Key]:
    due = [
        (target.due_at, target_id, tenant)
        for (tenant, target_id), target in tables.targets.items()
        if target.state in {TargetState.DUE, TargetState.COMMANDED} and target.due_at and target.due_at <= now
    ]
    return [(tenant, target_id) for _, target_id, tenant in sorted(due)]


def _claim(tables: Tables, key: Key, now: datetime, lease: timedelta) -> ClaimedTarget | None:
    target, naming, tenant = tables.targets[key], tables.naming(key), key[0]
    known = all((tenant, one.part.record_id) in tables.records and tables.result_of(one) for one in naming)
    if not known or not any(tables.is_kept(one) for one in naming):
        target.move(TargetState.WAITING, at=now)
        return None
    target.move(TargetState.COMMANDED, due_at=now + lease, at=now)
    target.attempt += 1
    command = _command(target, sorted({one.part.record_id for one in naming}), now)
    return ClaimedTarget(command=command, conversation=target.row.conversation)


def _command(target: Target, record_ids: Sequence[str], now: datetime) -> EraseCommand:
    row = target.row
    return EraseCommand(
        tenant=row.tenant,
        account=row.account,
        provider=row.provider,
        target_id=row.target_id,
        object_kind=row.object_kind,
        object_id=row.object_id,
        attempt=target.attempt,
        commanded_at=now,
        part_record_ids=tuple(record_ids),
    )
