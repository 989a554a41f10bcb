"""How far the readers of the log are behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from broker.core.errors import LogChangedError, OffsetGapError
from broker.core.losses import loss_at
from broker.core.topics import TopicPartition

if TYPE_CHECKING:
    from broker.core.ports import Bounds, LogEntry, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    """How far one group is behind in one partition.

    Attributes:
        place: the partition.
        group: who reads it.
        first: the first offset that the log still has.
        end: the offset that its next entry will get.
        committed: the group's next offset, as the log has it; None where it committed nothing yet.
        kept_to: the store's next offset; None where the group keeps nothing, or another log is still to be adopted.
        entries: how many are still to be read or, where the group keeps them, to be kept.
        lost: how many of these the log has lost.
        oldest_at: when the oldest of them that the log still has was appended; None where there is none.
        stopped: the code of what is known to stop it, from the log and the store alone.
    """

    place: TopicPartition
    group: str
    first: int
    end: int
    committed: int | None
    kept_to: int | None
    entries: int
    lost: int = 0
    oldest_at: datetime | None = None
    stopped: str | None = None

    def age_seconds(self, now: datetime) -> float:
        """For how long the oldest entry has been waiting; 0 where none is."""
        return 0.0 if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())


def position(bounds: Bounds, committed: int | None, progress: Progress | None) -> int:
    """The next offset of a group: where its store stands, else what it committed, else the first there is."""
    if progress is not None:
        return progress.next
    return bounds.first if committed is None else max(committed, bounds.first)


def lag_of(  # noqa: PLR0913 - what the log says, what the store says, and the entry in between
    place: TopicPartition,
    group: str,
    *,
    log: str,
    bounds: Bounds,
    committed: int | None,
    progress: Progress | None,
    following: LogEntry | None,
) -> PartitionLag:
    """The lag; `following` is the first entry that the log gives from the group's position on."""
    at = position(bounds, committed, progress)
    offset = None if following is None else following.offset
    loss = None if progress is None else loss_at(place, log=log, progress=progress, bounds=bounds, following=offset)
    stopped = OffsetGapError.code if loss is not None else None
    if progress is not None and bounds.end < progress.next:
        stopped = LogChangedError.code
    return PartitionLag(
        place=place,
        group=group,
        first=bounds.first,
        end=bounds.end,
        committed=committed,
        kept_to=None if progress is None else progress.next,
        entries=max(0, bounds.end - at),
        lost=0 if loss is None else loss.end - loss.first,
        oldest_at=None if following is None else following.appended_at,
        stopped=stopped,
    )
