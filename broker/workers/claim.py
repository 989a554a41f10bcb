"""The claim worker: bodies kept raw for accounts that nobody had registered, parsed afresh once someone has.

A pass reads all unclaimed bodies. What has an owner now goes to its tenant's topics; the rest is appended again
behind, and only then are the offsets moved past all of it. Dying in between costs a repeat, which record ids absorb.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from broker.core import codec, parcels
from broker.core.delivery import code_of
from broker.core.errors import FatalError, PermanentError, RetryableError
from broker.core.intake import Directory, Intake, claim
from broker.core.model import UnclaimedBody
from broker.core.ports import Connector, Entropy, EventLog, LogEntry, NewEntry, OpenBlobs, Subscription
from broker.core.registry import Registry
from broker.core.topics import TopicPartition, unclaimed_topic
from broker.workers.deliver import Pulse, wait_for

GROUP = "claim"
_PASS_ENTRIES = 500
logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Claim:
    """Looks whenever the registry is another one, and every `poll_seconds` besides."""

    log: EventLog
    subscription: Subscription
    connectors: Mapping[str, Connector]
    registry: Callable[[], Registry]
    entropy: Entropy
    stop: asyncio.Event
    blobs: OpenBlobs = parcels.no_blobs
    poll_seconds: float = 60.0
    look_seconds: float = 0.5
    pulse: Pulse = field(default_factory=Pulse)
    _seen: Registry | None = None
    _undone: dict[TopicPartition, int] = field(default_factory=dict)
    """The first offset of each partition that was fetched and is not done with."""

    async def run(self) -> None:
        """Turns until `stop`."""
        waited = self.poll_seconds
        while not self.stop.is_set():
            self.pulse.beats += 1
            if waited >= self.poll_seconds or self.registry() is not self._seen:
                waited = 0.0
                await self._look()
            await wait_for(self.stop, self.look_seconds)
            waited += self.look_seconds
        await self.subscription.close()

    async def _look(self) -> None:
        registry = self.registry()
        try:
            claimed = await self.claim_all(Directory(registry))
        except RetryableError as error:
            logger.warning("waiting", action="claim.waiting", code=code_of(error), why=str(error))
            return
        self._seen = registry
        self.pulse.handled += claimed
        if claimed:
            logger.info("claimed", action="claim.claimed", bodies=claimed)

    async def claim_all(self, directory: Directory) -> int:
        """One pass; how many bodies found their owner. Nothing moves when none did.

        However it ends, the next pass begins with what this one leaves undone: an offset is never moved past it.
        """
        try:
            return await self._settle(directory) if await self._any_is_claimable(directory) else 0
        finally:
            self._rewind()

    async def _any_is_claimable(self, directory: Directory) -> bool:
        claimable = False
        async for chunk in self._chunks(await self._ends()):
            for entry in chunk:
                claimable = claimable or await self._intake(entry, directory) is not None
        self._rewind()
        return claimable

    def _rewind(self) -> None:
        for place, offset in self._undone.items():
            if place in self.subscription.assignment:
                self.subscription.seek(place, offset)
        self._undone.clear()

    async def _settle(self, directory: Directory) -> int:
        claimed = 0
        async for chunk in self._chunks(await self._ends()):
            again = []
            for entry in chunk:
                intake = await self._intake(entry, directory)
                if intake is None:
                    again.append(_again(entry))
                elif await self._append(intake, entry):
                    claimed += 1
                else:
                    again.append(_again(entry))
            if again:
                await self.log.append(again)
            positions = {entry.place: entry.offset + 1 for entry in chunk}
            await self.subscription.commit(positions)
            for place in positions:
                self._undone.pop(place, None)
        return claimed

    async def _append(self, intake: Intake, entry: LogEntry) -> bool:
        """Whether the log took a body's records; not before its tenant's topics are there."""
        try:
            if intake.parcels:
                await parcels.stow(intake.parcels, await self.blobs())
            await self.log.append(intake.entries)
        except (FatalError, PermanentError) as error:
            logger.warning("not claimed", action="claim.refused", offset=entry.offset, code=code_of(error))
            return False
        return True

    async def _ends(self) -> dict[TopicPartition, int]:
        bounds = await self.log.bounds([unclaimed_topic().name])
        return {place: one.end for place, one in bounds.items()}

    async def _chunks(self, ends: Mapping[TopicPartition, int]) -> AsyncIterator[list[LogEntry]]:
        """What lies before `ends`, a chunk at a time; what comes behind it meanwhile is left to the next pass."""
        while fetched := await self.subscription.fetch(max_entries=_PASS_ENTRIES, wait_seconds=self.look_seconds):
            for entry in fetched:
                self._undone.setdefault(entry.place, entry.offset)
            chunk = [entry for entry in fetched if entry.offset < ends.get(entry.place, 0)]
            for entry in reversed(fetched):
                if entry.offset >= ends.get(entry.place, 0):
                    self.subscription.seek(entry.place, entry.offset)
            if not chunk:
                return
            yield chunk

    async def _intake(self, entry: LogEntry, directory: Directory) -> Intake | None:
        try:
            body = codec.decode(entry.value, UnclaimedBody)
            connector = self.connectors.get(body.provider)
            if connector is None:
                return None
            data = await parcels.body_of(body, self.blobs)
        except PermanentError as error:
            logger.warning("not readable", action="claim.unreadable", offset=entry.offset, code=code_of(error))
            return None
        intake = claim(
            body,
            data,
            parse=connector.parse,
            connector=body.delivery.connector,
            directory=directory,
            capabilities=connector.capabilities,
            packer=parcels.Packer(entry_bytes=self.log.entry_bytes, entropy=self.entropy),
        )
        return None if intake.unclaimed else intake


def _again(entry: LogEntry) -> NewEntry:
    return NewEntry(topic=entry.topic, key=entry.key, headers=entry.headers, value=entry.value)
