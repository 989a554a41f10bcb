"""Everything that lies on a log, whatever it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.ports import EventLog, LogEntry

_AT_ONCE = 500


async def logged(log: EventLog, topics: Sequence[str] | None = None) -> AsyncIterator[LogEntry]:
    """Every entry of these topics that is still there; of all of Custody's topics where none is named."""
    for place, bounds in (await log.bounds(topics if topics is not None else await log.topics())).items():
        offset = bounds.first
        while offset < bounds.end and (entries := await log.read(place, offset, max_entries=_AT_ONCE)):
            for entry in entries:
                yield entry
            offset = entries[-1].offset + 1
