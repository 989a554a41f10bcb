"""The claim worker: bodies kept raw for accounts that nobody had registered, parsed afresh once someone has.

A pass reads all unclaimed bodies. What has an owner now goes to its tenant's topics, a slice at a time, so that memory
is bounded however many items a body has; the rest is appended again behind, and only then are the offsets moved past
all of it. Dying in between, also between two slices, costs a repeat, which record ids absorb.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from broker.core import codec, parcels
from broker.core.delivery import code_of
from broker.core.errors import FatalError, LogChangedError, PermanentError, RetryableError
from broker.core.intake import Directory, Intake, claim, may_be_owned
from broker.core.item import Change
from broker.core.metrics import Metrics, NoMetrics
from broker.core.model import UnclaimedBody
from broker.core.ports import Connector, Entropy, EventLog, LogEntry, NewEntry, OpenBlobs, Subscription
from broker.core.registry import Registry
from broker.core.topics import TopicPartition, unclaimed_topic
from broker.workers.deliver import Pulse, wait_for
from broker.workers.halt import forget_others, halt, halt_each

GROUP = "claim"
_PASS_ENTRIES = 500
_THREAD_BYTES = 65_536
"""Larger bodies are parsed and sealed in a thread, so that the loop turns meanwhile."""
T = TypeVar("T")
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """An unclaimed body, read and parsed afresh."""

    body: UnclaimedBody
    connector: Connector
    changes: Sequence[Change]
    is_large: bool


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
    slice_items: int = 1_000
    pulse: Pulse = field(default_factory=Pulse)
    metrics: Metrics = field(default_factory=NoMetrics)
    _seen: Registry | None = None
    _undone: dict[TopicPartition, int] = field(default_factory=dict)
    """The first offset of each partition that was fetched and is not done with."""
    _reached: dict[TopicPartition, int] = field(default_factory=dict)
    """The next offset that the pass under way, or the last one, is to look at."""
    _refused: set[tuple[TopicPartition, int]] = field(default_factory=set)
    """Bodies that can't be claimed as long as the registry stays as it is: they are not parsed again and again."""

    async def run(self) -> None:
        """Turns until `stop`."""
        waited = self.poll_seconds
        while not self.stop.is_set():
            self._beat()
            if waited >= self.poll_seconds or self.registry() is not self._seen:
                waited = 0.0
                await self._look()
            await wait_for(self.stop, self.look_seconds)
            waited += self.look_seconds
        await self.subscription.close()

    def _beat(self) -> None:
        self.pulse.beats += 1
        self.subscription.keep_alive()

    def _turn_to(self, entry: LogEntry) -> None:
        self._beat()
        self._reached[entry.place] = entry.offset + 1

    def reached(self) -> Mapping[TopicPartition, int]:
        """How far it is in a pass, see `Watch.reached`: what nobody owns is read, and for good reasons stays."""
        return self._reached

    async def _look(self) -> None:
        registry = self.registry()
        if registry is not self._seen:
            self._refused.clear()
        try:
            claimed = await self.claim_all(Directory(registry))
        except (RetryableError, PermanentError) as error:
            self.pulse.waiting_for = code_of(error)
            logger.warning("waiting", action="claim.waiting", code=code_of(error), why=str(error))
            return
        self.pulse.waiting_for = None
        self._seen = registry
        self.pulse.handled += claimed
        if claimed:
            logger.info("claimed", action="claim.claimed", bodies=claimed)

    async def claim_all(self, directory: Directory) -> int:
        """One pass; how many bodies found their owner. Nothing moves when none did.

        However it ends, the next pass begins with what this one leaves undone: an offset is never moved past it.
        """
        try:
            claimable = await self._claimable(directory)
            return await self._settle(directory, claimable) if claimable else 0
        finally:
            self._rewind()

    async def _claimable(self, directory: Directory) -> set[tuple[TopicPartition, int]]:
        """Where the bodies lie that can be claimed whole; nothing is written."""
        found: set[tuple[TopicPartition, int]] = set()
        async for chunk in self._chunks(await self._ends()):
            for entry in chunk:
                self._turn_to(entry)
                if await self._is_claimable(entry, directory):
                    found.add((entry.place, entry.offset))
        self._rewind()
        return found

    async def _is_claimable(self, entry: LogEntry, directory: Directory) -> bool:
        if (entry.place, entry.offset) in self._refused:
            return False
        parsed = await self._read(entry, directory)
        if parsed is None:
            return False
        slices = faults = 0
        async for intake in self._slices(parsed, directory):
            slices, faults = slices + 1, faults + len(intake.faults)
        if not slices or faults:
            self._refused.add((entry.place, entry.offset))
        return bool(slices) and not faults

    def _rewind(self) -> None:
        for place, offset in self._undone.items():
            if place in self.subscription.assignment and place not in self.pulse.stopped:
                self.subscription.seek(place, offset)
        self._undone.clear()

    async def _settle(self, directory: Directory, claimable: set[tuple[TopicPartition, int]]) -> int:
        claimed = 0
        async for chunk in self._chunks(await self._ends()):
            # First, since it may be refused: then no record was written, to be written again with each pass.
            await self._append_again([entry for entry in chunk if (entry.place, entry.offset) not in claimable])
            for entry in chunk:
                self._turn_to(entry)
                if (entry.place, entry.offset) not in claimable:
                    continue
                if await self._append(entry, directory):
                    claimed += 1
                else:
                    await self._append_again([entry])
            positions = {entry.place: entry.offset + 1 for entry in chunk}
            await self.subscription.commit(positions)
            for place in positions:
                self._undone.pop(place, None)
        return claimed

    async def _append_again(self, left: Sequence[LogEntry]) -> None:
        if left:
            await self.log.append([_again(entry) for entry in left])

    async def _append(self, entry: LogEntry, directory: Directory) -> bool:
        """Whether the log took all of a body's records; not before its tenant's topics are there."""
        parsed = await self._read(entry, directory)
        if parsed is None:
            return False
        try:
            async for intake in self._slices(parsed, directory):
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
        while fetched := await self._fetch():
            for entry in fetched:
                self._undone.setdefault(entry.place, entry.offset)
            chunk = [entry for entry in fetched if entry.offset < ends.get(entry.place, 0)]
            for entry in reversed(fetched):
                if entry.offset >= ends.get(entry.place, 0):
                    self.subscription.seek(entry.place, entry.offset)
            if not chunk:
                return
            yield chunk

    async def _fetch(self) -> Sequence[LogEntry]:
        """The next bodies; a partition that lost some is stopped, and the others go on."""
        while True:
            forget_others(self.pulse, self.subscription)
            try:
                return await self.subscription.fetch(max_entries=_PASS_ENTRIES, wait_seconds=self.look_seconds)
            except LogChangedError as error:
                stop = partial(
                    halt, worker=GROUP, subscription=self.subscription, pulse=self.pulse, metrics=self.metrics
                )
                halt_each(error, stop)

    async def _read(self, entry: LogEntry, directory: Directory) -> _Parsed | None:
        """A body parsed, or None where it is no use, or can't be."""
        try:
            body = codec.decode(entry.value, UnclaimedBody)
            connector = self.connectors.get(body.provider)
            if connector is None or not may_be_owned(body, directory):
                return None
            data = await parcels.body_of(body, self.blobs)
        except PermanentError as error:
            logger.warning("not readable", action="claim.unreadable", offset=entry.offset, code=code_of(error))
            return None
        is_large = len(data) > _THREAD_BYTES
        try:
            changes = await _apart(is_large, lambda: connector.parse(data))
        except Exception as error:  # noqa: BLE001 - it lies there because of such a fault, or waits until it is mended
            logger.warning("not parsed", action="claim.unparsed", offset=entry.offset, error_type=type(error).__name__)
            return None
        return _Parsed(body=body, connector=connector, changes=changes, is_large=is_large)

    async def _slices(self, parsed: _Parsed, directory: Directory) -> AsyncIterator[Intake]:
        slices = claim(
            parsed.body,
            parsed.changes,
            connector=parsed.body.delivery.connector,
            directory=directory,
            capabilities=parsed.connector.capabilities,
            packer=parcels.Packer(entry_bytes=self.log.entry_bytes, entropy=self.entropy),
            slice_items=self.slice_items,
        )
        while (intake := await _apart(parsed.is_large, lambda: _next(slices))) is not None:
            self._beat()
            yield intake


async def _apart(is_large: bool, work: Callable[[], T]) -> T:  # noqa: FBT001 - how, and what
    """What work comes to, done in a thread where it is much."""
    return await asyncio.to_thread(work) if is_large else work()


def _next(slices: Iterator[Intake]) -> Intake | None:
    return next(slices, None)


def _again(entry: LogEntry) -> NewEntry:
    return NewEntry(topic=entry.topic, key=entry.key, headers=entry.headers, value=entry.value)
