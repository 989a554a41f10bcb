"""Entries that a log lost before the store kept them, and what becomes of that. Pure.

A log loses entries when its retention passes what is not kept yet, or when part of it is destroyed. The store refuses
to go on behind them, and the partition stops, until the log is restored or an operator accepts the loss.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from broker.core.errors import LossRefusedError
from broker.core.plan import KeepPlan, record_row
from broker.core.ports import Loss

if TYPE_CHECKING:
    from datetime import datetime

    from broker.core.model import Record
    from broker.core.ports import Bounds, Progress
    from broker.core.topics import TopicPartition

LOST = "lost"
"""The type of the gap record, and its cause."""


def loss_at(
    place: TopicPartition, *, log: str, progress: Progress, bounds: Bounds, following: int | None
) -> Loss | None:
    """What the log lost of a partition that the store has not kept; None where it lost nothing.

    `following` is the offset of the first entry that the log still gives from progress on, None where it gives none.
    """
    if following is None:
        # Only a partition that says it is empty has nothing to give. One that was too slow to answer lost nothing.
        following = bounds.first if bounds.first == bounds.end else progress.next
    if following <= progress.next:
        return None
    return Loss(log=log, place=place, first=progress.next, end=following)


def plan_loss(loss: Loss, gap: Record, *, progress: Progress, known: bool, now: datetime) -> KeepPlan:
    """What accepting a loss writes: the gap record, and progress past it. Empty where it is accepted already.

    `known`: the gap record is there. `LossRefusedError`: progress is not where the loss begins.
    """
    if known:
        return KeepPlan()
    if progress.next != loss.first or loss.end <= loss.first:
        raise LossRefusedError(
            f"{loss.place.topic}[{loss.place.partition}]: the store is at offset {progress.next}, so that {loss.first} "
            f"to {loss.end} is not what it lacks; nothing was written. Look again: custody lag"
        )
    envelope = gap.envelope
    row = record_row(
        gap,
        record_id=envelope.record_id,
        variant_of=None,
        worker_made=True,
        keep_seq=progress.keep_seq + 1,
        kept_at=now,
    )
    after = replace(
        progress,
        next=loss.end,
        lost=progress.lost + loss.end - loss.first,
        keep_seq=row.keep_seq,
        last_event_id="",  # of an entry that nobody has seen
    )
    return KeepPlan(rows=[row], gaps=[(envelope.tenant, row.record_id, LOST)], progress={loss.place: after})
