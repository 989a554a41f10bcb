"""Claims of targets by the relay, what a person decides of them, and what the clock alone makes of them.

Each takes a target's lock, and so is before or after a keep that touches the target, never beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo import UpdateOne

from backends.mongo.documents import key_id, micros
from backends.mongo.erasures import lock, move
from backends.mongo.standings import naming
from broker.core.erasure import PAST_DEADLINE, WELL_PAST, Decision, TargetState
from broker.core.model import EraseCommand
from broker.core.ports import ClaimedTarget
from broker.core.rows import object_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta

    from backends.mongo.documents import Ids
    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.standing import Standing

_EXPIRE_AT_ONCE = 1000
_DUE = (*("tenant", "target_id", "account", "provider", "conversation", "object_kind", "object_id", "attempt"),)


async def claim_due(work: Work, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
    """Claims targets within a transaction; none where there are no transactions.

    That a target is due was decided when its last part was kept. What names it now is looked at once more: a target
    with a part whose fate is open, or with none whose bytes are kept, goes back to waiting.
    """
    if not work.is_atomic:
        return []
    await _expire(work, now)
    wanted = {"state": {"$in": [TargetState.DUE, TargetState.COMMANDED]}, "due_at": {"$lte": micros(now)}}
    due = await work.find("targets", wanted, _DUE, order=("due_at", "target_id"), limit=limit) if limit else []
    if not due:
        return []
    keys = [_key(one) for one in due]
    await lock(work, keys)
    parts = await naming(work, keys)
    known = await _known(work, {(one.tenant, one.record_id) for some in parts.values() for one in some})
    ready = [one for one in due if _is_settled(parts.get(_key(one), ()), known)]
    claimed = [_claimed(one, parts[_key(one)], now) for one in ready]
    early = set(keys) - {_key(one) for one in ready}
    await move(work, dict.fromkeys(early, Decision(state=TargetState.WAITING)), now)
    await _command(work, [_key(one) for one in ready], now + lease, now)
    return claimed


async def unblock(work: Work, tenant: str, target_ids: Sequence[str], now: datetime) -> int:
    """What a person saw to: due again where the bytes are kept, else residue, since nothing else may be erased."""
    return await _decide(work, tenant, target_ids, now, lambda parts: _unblocked(parts, now))


async def accept_gone(work: Work, tenant: str, target_ids: Sequence[str], now: datetime) -> int:
    """What a person takes for gone: blocked targets, if how each part that names them ended is known."""
    return await _decide(work, tenant, target_ids, now, _accepted)


def _unblocked(parts: Sequence[Standing], now: datetime) -> Decision:
    if any(one.is_kept for one in parts):
        return Decision(state=TargetState.DUE, due_at=now)
    return Decision(state=TargetState.RESIDUE, reason="part_lost")


def _accepted(parts: Sequence[Standing]) -> Decision | None:
    if any(one.ending is None for one in parts):
        return None
    return Decision(state=TargetState.ALREADY_GONE, reason="accepted")


async def _decide(
    work: Work,
    tenant: str,
    target_ids: Sequence[str],
    now: datetime,
    decide: Callable[[Sequence[Standing]], Decision | None],
) -> int:
    wanted = {"_id": {"$in": [key_id((tenant, one)) for one in set(target_ids)]}, "state": TargetState.BLOCKED}
    blocked = {_key(one) for one in await work.find("targets", wanted, ("tenant", "target_id"))}
    if not blocked:
        return 0
    await lock(work, blocked)
    parts = await naming(work, blocked)
    decided = {key: one for key in blocked if (one := decide(parts.get(key, ()))) is not None}
    await move(work, decided, now)
    return len(decided)


async def _expire(work: Work, now: datetime) -> None:
    """Residue past its day is expired, and so is what nobody could command well past the provider's own deadline.

    What is due is commanded all the same: the deadline is our reckoning, and the provider has the last word.
    """
    past = {"state": TargetState.RESIDUE, "expires_at": {"$lte": micros(now)}}
    well_past = {
        "state": {"$in": [TargetState.WAITING, TargetState.BLOCKED]},
        "expires_at": {"$lte": micros(now - WELL_PAST)},
    }
    columns = ("tenant", "target_id", "reason")
    found = await work.find("targets", {"$or": [past, well_past]}, columns, limit=_EXPIRE_AT_ONCE)
    await lock(work, {_key(one) for one in found})
    expired = {_key(one): Decision(state=TargetState.EXPIRED, reason=one["reason"] or PAST_DEADLINE) for one in found}
    await move(work, expired, now)


async def _known(work: Work, keys: Collection[Ids]) -> set[Ids]:
    """Those of these records that are there."""
    found = await work.by_id("records", [key_id(key) for key in keys], ("tenant", "record_id"))
    return {(one["tenant"], one["record_id"]) for one in found}


def _is_settled(parts: Sequence[Standing], known: Collection[Ids]) -> bool:
    """Whether each part and its bytes' fate is known, and the object's bytes are kept for one of them at least."""
    ended = all(one.ending is not None and (one.tenant, one.record_id) in known for one in parts)
    return ended and any(one.is_kept for one in parts)


async def _command(work: Work, keys: Sequence[Ids], until: datetime, now: datetime) -> None:
    """Claims targets that are locked, and counts the attempt."""
    values = {
        "state": TargetState.COMMANDED,
        "due_at": micros(until),
        "reason": None,
        "changed_at": micros(now),
    }
    changes = {"$set": values, "$inc": {"attempt": 1}}
    await work.write("targets", [UpdateOne({"_id": key_id(key)}, changes) for key in keys])


def _claimed(target: Document, parts: Sequence[Standing], now: datetime) -> ClaimedTarget:
    command = EraseCommand(
        tenant=target["tenant"],
        account=target["account"],
        provider=target["provider"],
        target_id=target["target_id"],
        object_kind=target["object_kind"],
        object_id=object_id_of(target),
        attempt=target["attempt"] + 1,
        commanded_at=now,
        part_record_ids=tuple(sorted({one.record_id for one in parts})),
    )
    return ClaimedTarget(command=command, conversation=target["conversation"])


def _key(target: Document) -> Ids:
    return target["tenant"], target["target_id"]
