"""Watching that every partition moves on: a loop may turn, and one partition of it stand still for ever.

What stands still though entries wait, while no dependency is down and nobody stopped it, is what only a restart mends.
Source: what others were bitten by: aiokafka #727, faststream #1414, jasmin #1241 (stuck, and health still green).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from broker.core.errors import RetryableError
from broker.core.ports import EventLog, Subscription
from broker.core.topics import TopicPartition
from broker.workers.deliver import Pulse, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

Monotonic = Callable[[], float]
Reached = Callable[[], Mapping[TopicPartition, int] | None]
"""The next offsets that a reader is to read, as far as it knows them."""


def committed_only() -> Mapping[TopicPartition, int]:
    """Of a reader that commits all that it has read."""
    return {}


class Reader(Protocol):
    """A worker that reads the log in a group."""

    @property
    def subscription(self) -> Subscription:
        """What it reads."""
        ...

    @property
    def pulse(self) -> Pulse:
        """Its signs of life."""
        ...

    async def run(self) -> None:
        """Turns until it is to stop."""
        ...


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
    """Compares, now and then, how far a group is with where its partitions end.

    That is what it committed, or, where that may stay back for good reasons, what it has `reached`; None while its
    reading is held up on purpose. `patience_seconds`: how long an entry may lie there before it is looked at.

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
    reached: Reached = committed_only
    patience_seconds: float = 0.0
    standstills: Standstills = field(default_factory=Standstills)

    async def run(self) -> None:
        """Looks until `stop` is set."""
        while not self.stop.is_set():
            self.pulse.standing = await self._look()
            await wait_for(self.stop, self.poll_seconds)

    async def _look(self) -> Mapping[TopicPartition, float]:
        owned, reached = self.subscription.assignment - self.pulse.stopped.keys(), self.reached()
        if self.pulse.waiting_for is not None or reached is None:
            owned, reached = frozenset(), {}
        topics = sorted({place.topic for place in owned})
        try:
            positions = {**(await self.log.committed(self.group, topics) if topics else {}), **reached}
            bounds = await self.log.bounds(topics) if topics else {}
        except RetryableError:
            return self.standstills.look((), {}, self.monotonic())
        waiting = [
            place
            for place in owned & bounds.keys()
            if bounds[place].end > max(positions.get(place, 0), bounds[place].first)
        ]
        standing = self.standstills.look(waiting, positions, self.monotonic())
        return {place: seconds - self.patience_seconds for place, seconds in standing.items()}
