"""Claims of targets by the relay, and what the clock alone makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.postgres.erasures import move
from backends.postgres.sql import query
from broker.core.erasure import WELL_PAST, Decision, TargetState
from broker.core.model import EraseCommand
from broker.core.ports import ClaimedTarget
from broker.core.rows import object_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from backends.postgres.connections import Connection

_EXPIRE_AT_ONCE = 1000


async def claim_due(connection: Connection, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
    """Claims targets within the transaction that `connection` is in.

    That a target is due was decided when its last part was kept. What names it now is looked at once more: a target
    with a part whose fate is open, or with none whose bytes are kept, goes back to waiting.
    """
    await connection.execute(query("records/expire_targets"), now, now - WELL_PAST, _EXPIRE_AT_ONCE)
    due = await connection.fetch(query("records/lock_due"), now, limit)
    if not due:
        return []
    keys = [row["tenant"] for row in due], [row["target_id"] for row in due]
    naming = {
        (row["tenant"], row["target_id"]): row for row in await connection.fetch(query("records/naming_parts"), *keys)
    }
    claimed, early = [], {}
    for row in due:
        key = (row["tenant"], row["target_id"])
        if key in naming and naming[key]["settled"]:
            claimed.append(_claimed(row, naming[key]["record_ids"], now))
        else:
            early[key] = Decision(state=TargetState.WAITING)
    await move(connection, early, now)
    await _command(connection, claimed, now + lease, now)
    return claimed


async def _command(connection: Connection, claimed: Sequence[ClaimedTarget], until: datetime, now: datetime) -> None:
    tenants = [one.command.tenant for one in claimed]
    target_ids = [one.command.target_id for one in claimed]
    await connection.execute(query("records/command_targets"), tenants, target_ids, until, now)


def _claimed(row: asyncpg.Record, record_ids: Sequence[str], now: datetime) -> ClaimedTarget:
    command = EraseCommand(
        tenant=row["tenant"],
        account=row["account"],
        provider=row["provider"],
        target_id=row["target_id"],
        object_kind=row["object_kind"],
        object_id=object_id_of(row),
        attempt=row["attempt"] + 1,
        commanded_at=now,
        part_record_ids=tuple(record_ids),
    )
    return ClaimedTarget(command=command, conversation=row["conversation"])
