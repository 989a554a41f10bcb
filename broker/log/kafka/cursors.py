"""Where a member stands in the partitions it owns. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.errors import LogChangedError
from broker.core.topics import TopicPartition

if TYPE_CHECKING:
    from broker.core.ports import Bounds


@dataclass(slots=True, eq=False, kw_only=True)
class Cursor:
    """One owned partition.

    `position` is the next offset to hand out. Below `floor` nothing was handed out in this ownership. `settled` is
    where this ownership's own commits have come, or where it began. `known` is where the group's offset may stand as
    far as this member can tell: more than one place after a commit whose answer never came. `astray`: the partition
    ends before it; nothing can be read until its reader seeks another place.
    """

    place: TopicPartition
    position: int
    floor: int = field(init=False)
    settled: int = field(init=False)
    known: frozenset[int | None]
    astray: bool = False

    def __post_init__(self) -> None:
        self.floor = self.settled = self.position

    def goes_on(self, committed: int | None) -> bool:
        """Whether this ownership goes on over a rebalance: the group's offset stands where it left it.

        If someone else had the partition meanwhile and moved it, this one is over. If someone had it and moved
        nothing, nobody can tell, and nothing is passed over.
        """
        return committed in self.known

    def accepts(self, first: int) -> bool:
        """Whether a fetched entry may be handed out next. Others' transactions leave holes; older ones are stale."""
        return first >= self.position

    def seek(self, offset: int) -> None:
        """Goes there: nothing is in hand after it."""
        self.floor = min(self.floor, offset)
        self.position = self.settled = offset
        self.astray = False

    def covers(self, offset: int) -> bool:
        """Whether a commit may be one of this ownership's: a former one's may lie below its floor."""
        return offset >= self.floor

    def committing(self, offset: int) -> None:
        """A commit is on its way."""
        self.known |= {offset}

    def committed(self, offset: int) -> None:
        """A commit was acknowledged."""
        self.known = frozenset({offset})
        self.settled = offset

    def go_back(self) -> None:
        """What was handed out since the last commit comes again."""
        self.position = self.settled


def start_of(place: TopicPartition, *, committed: int | None, wanted: int | None, bounds: Bounds) -> int:
    """The lower of the group's committed offset and the reader's own wish; the first entry where there is neither.

    What is gone already is passed by: whoever may not lose it refuses the gap.
    `LogChangedError` for an offset that the partition has not reached: what would lie there was lost.
    """
    offset = min((one for one in (committed, wanted) if one is not None), default=bounds.first)
    refuse_beyond(place, offset, bounds)
    return max(offset, bounds.first)


def refuse_beyond(place: TopicPartition, offset: int, bounds: Bounds) -> None:
    """`LogChangedError` for an offset past the end."""
    if offset > bounds.end:
        raise LogChangedError(
            f"{place.topic}[{place.partition}] ends at {bounds.end}, before offset {offset} that was to be read next: "
            "the log lost entries, or the topic was made anew. Restore it",
            place=place,
        )
