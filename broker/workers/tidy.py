"""Keeps the log small: what is older than its topic's retention, and tasks and bodies that are done with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from broker.core.delivery import code_of
from broker.core.errors import RetryableError
from broker.core.ports import Clock, EventLog
from broker.core.topics import Stream, TopicPartition, split_topic
from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.claim import GROUP as CLAIM
from broker.workers.deliver import Pulse, wait_for
from broker.workers.erase import GROUP as ERASE
from broker.workers.media.fetcher import GROUP as FETCH
from broker.workers.media.scan import GROUP as MEDIA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SETTLED_BY = {Stream.FETCHES: FETCH, Stream.BODIES: CLAIM}
"""Streams without an expiry whose entries are done with once this group has committed past them."""

READ_BY = {
    Stream.MESSAGES: (ARCHIVE, MEDIA),
    Stream.STATUSES: (ARCHIVE,),
    Stream.PARTS: (ARCHIVE,),
    Stream.RECEIPTS: (ARCHIVE,),
    Stream.ERASURES: (ERASE,),
}
"""Streams of which nothing may go before these groups have read it, however old it is."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Tidy:
    """Looks every `poll_seconds`, until `stop`."""

    log: EventLog
    clock: Clock
    stop: asyncio.Event
    poll_seconds: float = 300.0
    pulse: Pulse = field(default_factory=Pulse)

    async def run(self) -> None:
        """Turns until `stop`; an outage of the log is left to the next look."""
        while not self.stop.is_set():
            try:
                await self.tidy()
            except RetryableError as error:
                logger.warning("waiting", action="tidy.waiting", code=code_of(error), why=str(error))
            await self._rest()

    async def tidy(self) -> None:
        """One look."""
        topics = await self.log.topics()
        for stream, group in SETTLED_BY.items():
            settled = await self.log.committed(group, [one for one in topics if split_topic(one)[1] == stream])
            for place, offset in settled.items():
                await self.log.trim(place, offset)
        expired = await self.log.expire(self.clock(), floors=await self._floors(topics))
        if expired:
            logger.info("expired", action="tidy.expired", entries=expired)
        self.pulse.handled += expired

    async def _floors(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """The lowest offset that each partition's readers have committed; 0 where one has read nothing yet."""
        floors: dict[TopicPartition, int] = {}
        for stream, groups in READ_BY.items():
            of_stream = [one for one in topics if split_topic(one)[1] == stream]
            places = await self.log.bounds(of_stream)
            committed = [await self.log.committed(group, of_stream) for group in groups]
            floors |= {place: min(one.get(place, 0) for one in committed) for place in places}
        return floors

    async def _rest(self) -> None:
        left = self.poll_seconds
        while left > 0 and not self.stop.is_set():
            self.pulse.beats += 1
            await wait_for(self.stop, min(left, 5.0))
            left -= 5.0
