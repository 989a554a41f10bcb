"""What the log lost of a partition before the store kept it, and accepting that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.losses import loss_at

if TYPE_CHECKING:
    from broker.core.ports import EventLog, Loss, RecordStore
    from broker.core.topics import TopicPartition


async def find_loss(log: EventLog, store: RecordStore, place: TopicPartition) -> Loss | None:
    """What is lost of a partition from the store's progress on; None where nothing is, or the store never saw it."""
    progress = (await store.progress(log.identity, [place.topic])).get(place)
    bounds = (await log.bounds([place.topic])).get(place)
    if progress is None or bounds is None:
        return None
    entries = await log.read(place, max(progress.next, bounds.first), max_entries=1)
    following = entries[0].offset if entries else None
    return loss_at(place, log=log.identity, progress=progress, bounds=bounds, following=following)
