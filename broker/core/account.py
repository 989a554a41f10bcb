"""The account: what was accepted, what became of it, and whether the sum closes. Pure; definitions that close.

`accepted` is counted from the log's offsets and everything else from the store's rows: otherwise the sum could not
fail.

(1) accepted = kept + duplicates + variants + dead + unprocessed + lost
(2) parts = parts_kept + parts_lost + parts_open
(3) targets = erased + already_gone + residue + expired + open
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from broker.core.erasure import OPEN_STATES, TargetState
from broker.core.ports import NOTHING_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.core.ports import Bounds, BucketTally, Tally
    from broker.core.topics import TopicPartition


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The figures of one tenant, or of several added up. Bodies that nobody claimed belong to no tenant."""

    accepted: int = 0
    kept: int = 0
    duplicates: int = 0
    variants: int = 0
    dead: int = 0
    unprocessed: int = 0
    lost: int = 0
    gaps: int = 0
    gaps_by_cause: Mapping[str, int] = field(default_factory=dict)
    parts: int = 0
    parts_kept: int = 0
    parts_lost: int = 0
    parts_lost_by_reason: Mapping[str, int] = field(default_factory=dict)
    parts_open: int = 0
    targets: int = 0
    erased: int = 0
    already_gone: int = 0
    residue: int = 0
    expired: int = 0
    open: int = 0

    def __add__(self, other: Account) -> Account:
        summed: dict[str, Any] = {
            one.name: _added(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)
        }
        return Account(**summed)

    def problems(self) -> list[str]:
        """What keeps the account from closing, by itself: the three sums, and what is still under way."""
        return [*self._broken_sums(), *self._under_way()]

    def _broken_sums(self) -> list[str]:
        sums = (
            (
                "accepted",
                self.accepted,
                self.kept + self.duplicates + self.variants + self.dead + self.unprocessed + self.lost,
            ),
            ("parts", self.parts, self.parts_kept + self.parts_lost + self.parts_open),
            (
                "targets",
                self.targets,
                self.erased + self.already_gone + self.residue + self.expired + self.open,
            ),
        )
        return [
            f"{name} is {left}, what became of them adds up to {right}" for name, left, right in sums if left != right
        ]

    def _under_way(self) -> list[str]:
        names = ("unprocessed", "lost", "parts_open", "open")
        return [f"{name} is {count}, not 0" for name in names if (count := getattr(self, name))]


def draw(tally: Tally, bounds: Mapping[TopicPartition, Bounds]) -> Account:
    """The account of one tenant, from the store's snapshot and the offsets of its accounted topics."""
    at = {place: tally.progress.get(place, NOTHING_KEPT) for place in bounds}
    counted = [*at.values(), *tally.before]
    before = sum(one.next - one.start for one in tally.before)
    redriven = sum(one.redriven for one in counted)
    states = Counter(tally.target_states)
    return Account(
        accepted=sum(bounds[place].end - one.start for place, one in at.items()) + before - redriven,
        kept=tally.kept,
        duplicates=sum(one.duplicates for one in counted),
        variants=tally.variants,
        dead=tally.dead,
        unprocessed=sum(bounds[place].end - one.next for place, one in at.items()),
        lost=sum(one.lost for one in counted),
        gaps=sum(tally.gaps.values()),
        gaps_by_cause=dict(tally.gaps),
        parts=tally.parts,
        parts_kept=tally.parts_kept,
        parts_lost=sum(tally.parts_lost.values()),
        parts_lost_by_reason=dict(tally.parts_lost),
        parts_open=tally.parts - tally.parts_kept - sum(tally.parts_lost.values()),
        targets=tally.targets,
        **_by_state(states),
    )


def of_bucket(bucket: BucketTally) -> Account:
    """The account of one number and quarter of an hour. What is unprocessed is not known by day."""
    parts_lost = bucket.parts_lost
    return Account(
        accepted=bucket.entries,
        kept=bucket.kept,
        duplicates=bucket.duplicates,
        variants=bucket.variants,
        dead=bucket.dead,
        gaps=bucket.gaps,
        parts=bucket.parts,
        parts_kept=bucket.parts_kept,
        parts_lost=parts_lost,
        parts_open=bucket.parts - bucket.parts_kept - parts_lost,
        targets=bucket.targets,
        **_by_state(Counter(bucket.target_states)),
    )


def total(accounts: Iterable[Account]) -> Account:
    """Several accounts added up."""
    return sum(accounts, Account())


def _by_state(states: Counter[str]) -> Any:  # noqa: ANN401 - keyword arguments of Account, by name
    return {
        "erased": states[TargetState.ERASED],
        "already_gone": states[TargetState.ALREADY_GONE],
        "residue": states[TargetState.RESIDUE],
        "expired": states[TargetState.EXPIRED],
        "open": sum(states[state] for state in OPEN_STATES),
    }


def _added(left: int | Mapping[str, int], right: int | Mapping[str, int]) -> int | dict[str, int]:
    if isinstance(left, int) or isinstance(right, int):
        return int(left) + int(right)  # type: ignore[arg-type]  # both are counts, or both are counts by name
    return dict(Counter(left) + Counter(right))
