"""Where a member stands in the partitions it owns. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.core.topics import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True, eq=False, kw_only=True)
class Cursor:
    """One owned partition.

    `position` is the next offset to fetch, None until it is known. Up to `settled` everything handed out was
    committed, and below `floor` nothing was handed out under this epoch. `leaving`: another member waits for this
    partition, so nothing more of it is fetched.
    """

    place: TopicPartition
    partition_id: int
    epoch: int
    position: int | None = None
    settled: int = 0
    floor: int = 0
    paused: bool = False
    leaving: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing of it is in its reader's hands."""
        return self.position is None or self.position <= self.settled

    @property
    def readable(self) -> bool:
        return self.position is not None and not self.paused and not self.leaving

    def start(self, offset: int) -> None:
        """Begins there, or goes there: nothing is in hand after it."""
        self.floor = offset if self.position is None else min(self.floor, offset)
        self.position = self.settled = offset

    def advance(self, planned: int, following: int) -> bool:
        """Moves past what was fetched from `planned` on; False when it was paused or moved meanwhile."""
        if self.position != planned or not self.readable:
            return False
        self.position = following
        return True

    def covers(self, offset: int) -> bool:
        """Whether a commit may be one of this ownership's: a former one's may lie below its floor."""
        return offset >= self.floor

    def commit(self, offset: int) -> None:
        """Everything up to there is out of the reader's hands."""
        self.settled = max(self.settled, offset)


def to_give_back(surplus: int, candidates: Sequence[Cursor]) -> tuple[list[Cursor], list[Cursor]]:
    """Which cursors to give back now, and which once they are idle; a paused one stays."""
    movable = sorted((one for one in candidates if not one.paused), key=lambda one: (not one.idle, one.partition_id))
    chosen = movable[:surplus]
    return [one for one in chosen if one.idle], [one for one in chosen if not one.idle]
