"""One dead letter for each entry set aside: also when the store was away in between, or the worker died.

The bytes go onto `dead` before the gap is kept, so that neither is ever without the other for good. Whoever sets an
entry aside again, in this process or the next, looks first whether its dead letter lies there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.ports import EventLog
from broker.core.topics import TopicPartition

if TYPE_CHECKING:
    from broker.core.ports import NewEntry

_CHUNK_ENTRIES = 500


@dataclass(slots=True, kw_only=True)
class DeadStream:
    """The `dead` stream of every tenant. What lies there is remembered by its key, the place of the entry set aside."""

    log: EventLog
    _seen: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    _read_to: dict[TopicPartition, int] = field(default_factory=dict)

    async def add(self, letter: NewEntry) -> None:
        """Appends a dead letter, unless there is one of its key. `LogUnavailableError`: add it again."""
        await self._look(letter.topic)
        if letter.key not in self._seen[letter.topic]:
            await self.log.append([letter])

    async def _look(self, topic: str) -> None:
        """Reads what came since the last look: others add too, and take over from who died."""
        for place, bounds in (await self.log.bounds([topic])).items():
            at = max(self._read_to.get(place, 0), bounds.first)
            while at < bounds.end:
                entries = await self.log.read(place, at, max_entries=_CHUNK_ENTRIES)
                if not entries:
                    break
                self._seen[topic].update(one.key for one in entries)
                at = self._read_to[place] = entries[-1].offset + 1
