"""Watching that every partition moves on: a loop may turn, and one partition of it stand still for ever.

What stands still though entries wait, while no dependency is down and nobody stopped it, is what only a restart mends.
Source: what others were bitten by: aiokafka #727, faststream #1414, jasmin #1241 (stuck, and health still green).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.errors import RetryableError
from broker.core.ports import EventLog, Subscription
from broker.core.topics import TopicPartition
from broker.workers.deliver import Pulse, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

Monotonic = Callable[[], float]


@dataclass(slots=True)
class Standstills:
    """Since when each partition has stood still with entries waiting. Pure; times in seconds of one clock."""

    _since: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)

    def look(
        self, waiting: Iterable[TopicPartition], committed: Mapping[TopicPartition, int], now: float
    ) -> dict[TopicPartition, float]:
        """For how long each of `waiting` has not moved. What is not among them is forgotten."""
        before, self._since = self._since, {}
        for place in waiting:
            at = committed.get(place, -1)
            known = before.get(place)
            self._since[place] = known if known is not None and known[0] == at else (at, now)
        return {place: now - since for place, (_, since) in self._since.items()}


@dataclass(slots=True, kw_only=True)
class Watch:
    """Compares, now and then, what a group has committed with where its partitions end.

    The result is `pulse.standing`. While the worker waits for a dependency, or the log does not answer, nothing counts
    as standing still: a restart would not help.
    """

    log: EventLog
    group: str
    subscription: Subscription
    pulse: Pulse
    stop: asyncio.Event
    poll_seconds: float
    monotonic: Monotonic
    standstills: Standstills = field(default_factory=Standstills)

    async def run(self) -> None:
        """Looks until `stop` is set."""
        while not self.stop.is_set():
            self.pulse.standing = await self._look()
            await wait_for(self.stop, self.poll_seconds)

    async def _look(self) -> Mapping[TopicPartition, float]:
        owned = self.subscription.assignment - self.pulse.stopped.keys()
        if self.pulse.waiting_for is not None:
            owned = frozenset()
        topics = sorted({place.topic for place in owned})
        try:
            committed = await self.log.committed(self.group, topics) if topics else {}
            bounds = await self.log.bounds(topics) if topics else {}
        except RetryableError:
            return self.standstills.look((), {}, self.monotonic())
        waiting = [
            place
            for place in owned & bounds.keys()
            if bounds[place].end > max(committed.get(place, 0), bounds[place].first)
        ]
        return self.standstills.look(waiting, committed, self.monotonic())
