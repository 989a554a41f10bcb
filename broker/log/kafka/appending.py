"""Appending: each caller's entries go to their partitions, and the caller waits for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from broker.core.errors import LogUnavailableError, TooLargeError
from broker.core.topics import TopicPartition, split_topic
from broker.log.kafka.lane import Lane, Share
from broker.log.kafka.partitions import partition_of
from broker.log.kafka.producing import Producers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.metrics import Metrics
    from broker.core.ports import NewEntry
    from broker.log.kafka.catalog import Catalog
    from broker.log.kafka.connections import Connections


class Appender:
    """Hands entries to the lanes of their partitions."""

    def __init__(self, connections: Connections, catalog: Catalog, *, metrics: Metrics) -> None:
        self._options = connections.options
        self._catalog = catalog
        self._metrics = metrics
        self._producers = Producers(connections)
        self._lanes: dict[TopicPartition, Lane] = {}
        self._closed = False

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """See `EventLog.append`."""
        if self._closed:
            raise LogUnavailableError("the log is closed: open it again; nothing was appended")
        if not entries:
            return
        self._refuse_large(entries)
        partitions = await self._catalog.partitions({entry.topic for entry in entries})
        deadline = asyncio.get_running_loop().time() + self._options.request_seconds
        await asyncio.gather(
            *(self._put(place, share, deadline) for place, share in _by_place(entries, partitions).items())
        )
        for topic, amount in Counter(entry.topic for entry in entries).items():
            self._metrics.count("custody.log.appended", amount, stream=split_topic(topic)[1])

    async def close(self) -> None:
        """Writes what callers wait for, then ends."""
        self._closed = True
        await asyncio.gather(*(lane.idle() for lane in self._lanes.values()))
        await self._producers.close()

    def _put(self, place: TopicPartition, entries: Sequence[NewEntry], deadline: float) -> asyncio.Future[None]:
        share = Share(entries=entries, deadline=deadline, done=asyncio.get_running_loop().create_future())
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(
                place, self._producers, linger_seconds=self._options.linger_seconds, on_give_up=self._catalog.doubt
            )
        lane.put(share)
        return share.done

    def _refuse_large(self, entries: Sequence[NewEntry]) -> None:
        largest = max(entry.size for entry in entries)
        if largest > self._options.entry_bytes:
            raise TooLargeError(
                f"an entry of {largest} bytes; the log takes {self._options.entry_bytes}. Nothing was appended: put "
                "large bytes into the blob store"
            )


def _by_place(
    entries: Sequence[NewEntry], partitions: Mapping[str, int]
) -> Mapping[TopicPartition, Sequence[NewEntry]]:
    found: dict[TopicPartition, list[NewEntry]] = defaultdict(list)
    for entry in entries:
        found[TopicPartition(entry.topic, partition_of(entry.key, partitions[entry.topic]))].append(entry)
    return found
