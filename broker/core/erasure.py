"""The erasure state machine: what a target's facts and receipts make of its state. Pure.

A target is a provider object. It is due only when every record and part that names it is kept and its digest checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core.model import ErasureOutcome
from broker.core.ports import ErasurePolicy

if TYPE_CHECKING:
    from broker.core.model import ReceiptOutcome

RETRY_FIRST_SECONDS = 2.0
RETRY_MOST_SECONDS = 900.0


class TargetState(StrEnum):
    """Where a target stands."""

    WAITING = "waiting"
    DUE = "due"
    COMMANDED = "commanded"
    ERASED = "erased"
    ALREADY_GONE = "already_gone"
    BLOCKED = "blocked"
    RESIDUE = "residue"
    EXPIRED = "expired"


OPEN_STATES = frozenset({TargetState.WAITING, TargetState.DUE, TargetState.COMMANDED, TargetState.BLOCKED})
SETTLED_STATES = frozenset(TargetState) - OPEN_STATES

_STILL_UNCOMMANDED = frozenset({TargetState.WAITING, TargetState.DUE})
_GIVEN_UP = frozenset({TargetState.RESIDUE, TargetState.ALREADY_GONE, TargetState.BLOCKED})
_FINAL = frozenset({TargetState.ERASED, TargetState.ALREADY_GONE, TargetState.EXPIRED})


class LossReason(StrEnum):
    """Why a part's bytes will never be kept."""

    GONE = "gone"
    TOO_LARGE = "too_large"
    DIGEST_MISMATCH = "digest_mismatch"
    EXPIRED = "expired"
    UNADDRESSED = "unaddressed"


MADE_GOOD = (LossReason.GONE, LossReason.EXPIRED)
"""Losses for want of the object alone: bytes kept for another part of the same object make them good."""
ANSWERED = frozenset({ErasureOutcome.RETRY, ErasureOutcome.BLOCKED, ErasureOutcome.ABSENT})
"""Outcomes of commands that the provider answered without deleting anything."""
WELL_PAST = timedelta(days=1)
"""So long after the provider's own deadline, what could not even be commanded has expired there."""
PAST_DEADLINE = "past_deadline"
"""Why a target expired that had no reason of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What is known of a target: the parts that name it, and how they ended.

    `gone` of the `lost` were absent at the provider, `witnessed` says that the same credential then worked on another
    object of the account. `settled_at` is the time of the newest keep among them. `commands` counts those that went
    out so far.
    """

    state: TargetState
    parts: int
    kept: int
    lost: int
    gone: int
    witnessed: bool
    settled_at: datetime
    policy: ErasurePolicy
    commands: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The state a target goes to, and from when on it may be claimed.

    `attempt`: so many commands went out, where that is more than this store knew of.
    """

    state: TargetState
    due_at: datetime | None = None
    reason: str | None = None
    attempt: int | None = None

    def after(self, earlier: Decision | None) -> Decision:
        """This decision, of a target that was decided on before in the same batch."""
        known = None if earlier is None else earlier.attempt
        return self if self.attempt is not None or known is None else replace(self, attempt=known)


def settle(facts: TargetFacts) -> Decision | None:
    """What the parts' results make of a target that nobody has commanded yet; None when nothing changes.

    A part that arrives while its target is due puts the target back to waiting. A target that was given up for its
    parts alone, and whose bytes are kept after all, is still at the provider: it comes due.
    """
    if facts.state in _GIVEN_UP and not facts.commands and facts.kept and facts.kept + facts.lost >= facts.parts:
        return _by_parts(facts)
    if facts.state not in _STILL_UNCOMMANDED:
        return None
    decision = _by_parts(facts)
    return None if decision.state == facts.state == TargetState.WAITING else decision


def _by_parts(facts: TargetFacts) -> Decision:
    if facts.kept + facts.lost < facts.parts:
        return Decision(state=TargetState.WAITING)
    if facts.kept:
        return Decision(state=TargetState.DUE, due_at=due_at(facts.policy, facts.settled_at))
    if facts.gone < facts.lost:
        return Decision(state=TargetState.RESIDUE, reason="part_lost")
    if facts.witnessed:
        return Decision(state=TargetState.ALREADY_GONE, reason=LossReason.GONE)
    return Decision(state=TargetState.BLOCKED, reason="gone_unwitnessed")


def due_at(policy: ErasurePolicy, settled_at: datetime) -> datetime:
    """Not before the provider's minimum age, nor before the wait after the keep; but the provider's deadline wins."""
    wished = settled_at + timedelta(seconds=policy.erase_after_seconds)
    return max(policy.not_before, min(wished, policy.expires_at - timedelta(minutes=1)))


def receive(
    state: TargetState, receipt: ReceiptOutcome, *, commands: int, refused_before: int, now: datetime
) -> Decision | None:
    """What a receipt makes of a target. `refused_before`: earlier commands that the provider answered with a no.

    Absent after a command of ours that nobody answered counts as erased: it was ours to delete. `commands`: as many
    went out from this store. A receipt for a later one tells of a command that another store's relay made, while both
    are written: so the target counts as commanded, that often.
    """
    if state in _FINAL:
        return None
    is_news = receipt.attempt > commands
    decision = _received(TargetState.COMMANDED if is_news else state, receipt, refused_before, now)
    return decision if decision is None or not is_news else replace(decision, attempt=receipt.attempt)


def _received(state: TargetState, receipt: ReceiptOutcome, refused_before: int, now: datetime) -> Decision | None:
    if receipt.outcome == ErasureOutcome.ERASED:
        return Decision(state=TargetState.ERASED)
    if receipt.outcome == ErasureOutcome.ABSENT:
        return _absent(receipt, refused_before)
    if state != TargetState.COMMANDED:
        return None
    if receipt.outcome == ErasureOutcome.BLOCKED:
        return Decision(state=TargetState.BLOCKED, reason=receipt.evidence)
    return Decision(state=TargetState.DUE, due_at=now + retry_wait(receipt), reason=receipt.evidence)


def _absent(receipt: ReceiptOutcome, refused_before: int) -> Decision:
    if receipt.repeated or receipt.attempt - 1 > refused_before:
        return Decision(state=TargetState.ERASED, reason="absent_after_command")
    if receipt.witnessed:
        return Decision(state=TargetState.ALREADY_GONE, reason="absent")
    return Decision(state=TargetState.BLOCKED, reason="absent_unwitnessed")


def retry_wait(receipt: ReceiptOutcome) -> timedelta:
    """How long to wait before the next command: the provider's wish, or doubling, at most a quarter of an hour."""
    doubling = min(RETRY_MOST_SECONDS, RETRY_FIRST_SECONDS * 2 ** min(receipt.attempt - 1, 16))
    wish = receipt.retry_after_seconds
    return timedelta(seconds=doubling if wish is UNSET else max(doubling, wish))
