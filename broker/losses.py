"""What the log lost of a partition before the store kept it, and accepting that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.losses import loss_at
from broker.core.ports import NOTHING_KEPT

if TYPE_CHECKING:
    from broker.core.ports import EventLog, Loss, RecordStore
    from broker.core.topics import TopicPartition


async def find_loss(log: EventLog, store: RecordStore, place: TopicPartition) -> Loss | None:
    """What is lost of a partition from the store's progress on; None where nothing is.

    Nothing is lost of a log that is still to take another one's place: what it has is not kept from it yet.
    """
    progress = (await store.progress(log.identity, [place.topic])).get(place)
    bounds = (await log.bounds([place.topic])).get(place)
    if bounds is None or (progress is None and await store.other_logs(log.identity, [place.topic])):
        return None
    progress = progress or NOTHING_KEPT
    entries = await log.read(place, max(progress.next, bounds.first), max_entries=1)
    following = entries[0].offset if entries else None
    return loss_at(place, log=log.identity, progress=progress, bounds=bounds, following=following)
