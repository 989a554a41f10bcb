"""Where the parts that name a provider object stand, and what that makes of their bytes and their target. Pure.

For stores that read rows and decide here; Postgres says the same in SQL (part_states, share_results, target_facts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from broker.core.erasure import MADE_GOOD, LossReason, TargetFacts, TargetState
from broker.core.model import PartState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from broker.core.ports import ErasurePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a fetch ended; `order` tells results of one part, or of one target, apart by age."""

    order: int
    state: str
    reason: str | None
    witnessed: bool
    shared: bool
    kept_at: datetime
    size: int | None = None
    sha256: bytes | None = field(default=None, repr=False)
    place: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A part that a record names since `named_at`, and the result that counts; None while there is none.

    Results are addressed to `origin_id`, `fingerprint` and `number`.
    """

    tenant: str
    record_id: str
    number: int
    media_kind: str
    origin_id: str
    fingerprint: bytes = field(repr=False)
    target_id: str
    named_at: datetime
    ending: Ending | None

    @property
    def is_kept(self) -> bool:
        """Whether the bytes of the part are kept."""
        return self.ending is not None and self.ending.state == PartState.KEPT


def counting(endings: Iterable[Ending]) -> Ending | None:
    """The result that counts: the first that kept the bytes, else the first."""
    return min(endings, key=lambda one: (one.state != PartState.KEPT, one.order), default=None)


def sharing(naming: Sequence[Standing]) -> tuple[Ending | None, list[Standing]]:
    """The bytes kept for one part of a target, and its other parts that have none, or none any more."""
    kept = [one.ending for one in naming if one.ending is not None and one.is_kept]
    if not kept:
        return None, []
    return min(kept, key=lambda one: one.order), [one for one in naming if _lacks_bytes(one.ending)]


def _lacks_bytes(ending: Ending | None) -> bool:
    return ending is None or (ending.state == PartState.LOST and ending.reason in MADE_GOOD)


def target_facts(naming: Sequence[Standing], *, state: str, policy: ErasurePolicy, commands: int) -> TargetFacts | None:
    """What is known of a target; None if no part names it."""
    if not naming:
        return None
    endings = [one.ending for one in naming if one.ending is not None]
    lost = [one for one in endings if one.state == PartState.LOST]
    gone = [one for one in lost if one.reason == LossReason.GONE]
    return TargetFacts(
        state=TargetState(state),
        parts=len(naming),
        kept=len(endings) - len(lost),
        lost=len(lost),
        gone=len(gone),
        witnessed=any(one.witnessed for one in gone),
        settled_at=max([one.named_at for one in naming] + [one.kept_at for one in endings]),
        policy=policy,
        commands=commands,
    )
