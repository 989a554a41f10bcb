"""A member's view of its streams: batches in, explicit offsets out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, OffsetOutOfRangeError

from broker.core.errors import CustodyError, LogUnavailableError
from broker.core.topics import TopicPartition
from broker.log.kafka.errors import DRIVER_ERRORS, translated
from broker.log.kafka.holdings import Holdings
from broker.log.kafka.membership import Membership

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from broker.core.ports import LogEntry, StartAt
    from broker.log.kafka.catalog import Catalog
    from broker.log.kafka.connections import Connections
    from broker.log.kafka.cursors import Cursor
    from broker.log.kafka.membership import Member

logger = structlog.get_logger(__name__)

_NOWHERE = KafkaPartition("", -1)
"""Asked for where nothing is readable: the consumer still waits, and tells of errors."""


class KafkaSubscription:
    """Implements `Subscription`. One task fetches at a time; commits may run beside it.

    aiokafka gives signs of life and rejoins in the background, so that a slow handler keeps its partitions.
    A fetch that is cancelled has taken nothing: entries leave the consumer and reach the caller in one step.
    """

    def __init__(
        self,
        connections: Connections,
        catalog: Catalog,
        member: Member,
        *,
        start_at: StartAt | None,
        on_close: Callable[[KafkaSubscription], None],
    ) -> None:
        self._connections = connections
        self._options = connections.options
        self._on_close = on_close
        self._membership = Membership(connections.broker, member, options=self._options, owner=self)
        self._holdings = Holdings(
            catalog,
            member.group,
            start_at=start_at,
            seek=self._membership.seek,
            look_seconds=self._options.metadata_seconds,
        )
        self._fetching = asyncio.Lock()
        self._waiting: asyncio.Timeout | None = None
        self._used_at = self._heard_at = _now()
        self._watches: list[asyncio.Task[None]] = []
        self._closed = False

    async def join(self) -> None:
        """Becomes a member, or goes on trying to in the background; whoever fetches meets what fails, and names it."""
        self._watches = [
            asyncio.create_task(self._leave_when_hanging(), name="log-watch"),
            asyncio.create_task(self._look_for_new_topics(), name="log-topics"),
        ]
        deadline = _now() + self._options.request_seconds
        while not await self._joined(deadline):
            if _now() >= deadline:
                return
        with suppress(CustodyError):
            await self._holdings.settle()

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        return self._holdings.places

    async def fetch(self, *, max_entries: int, wait_seconds: float) -> Sequence[LogEntry]:
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}: at least 1")
        if self._closed:
            raise LogUnavailableError("the subscription is closed: subscribe again")
        deadline = _now() + wait_seconds
        async with self._fetching:
            while not self._closed:
                self._used_at = _now()
                entries = await self._next(max_entries, deadline)
                if entries:
                    self._heard_at = _now()
                    return entries
                if _now() >= deadline:
                    await self._refuse_outage()
                    return []
        return []

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """See `Subscription.commit`. While the group changes it waits to learn who owns what."""
        self._used_at = _now()
        deadline = self._used_at + self._options.request_seconds
        refused = False
        while positions:
            await self._holdings.settle()  # first: an ownership that began meanwhile knows what may not be its own
            cursors = self._holdings.claim(positions)
            seen = self._holdings.round
            if self._holdings.settled:
                moved = await self._moved([(cursor, positions[cursor.place]) for cursor in cursors], deadline)
                if moved:
                    return
                refused = refused or moved is False
            if not await self._holdings.changed(seen, deadline):
                if refused:
                    raise self._holdings.refused(positions)
                raise LogUnavailableError("the group is changing while committing; try again later")

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self._holdings.pause(partitions)
        self._wake()

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self._holdings.resume(partitions)
        self._wake()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if offset < 0:
            raise ValueError(f"offset {offset}: offsets begin at 0")
        self._holdings.seek(partition, offset)

    def keep_alive(self) -> None:
        self._used_at = _now()

    def trimmed(self, partition: TopicPartition, first: int) -> None:
        """Hands out nothing before `first` any more, fetched already or not."""
        self._holdings.trimmed(partition, first)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._wake()
        for watch in self._watches:
            watch.cancel()
        self._holdings.clear()
        async with self._fetching:
            await self._membership.stop()
        self._on_close(self)

    # --- what the membership tells ---

    def revoked(self) -> None:
        """See `Owner.revoked`."""
        self._holdings.revoked()
        self._wake()

    def assigned(self, places: frozenset[TopicPartition]) -> None:
        """See `Owner.assigned`."""
        self._holdings.assigned(places)
        self._wake()

    # --- fetching ---

    async def _next(self, max_entries: int, deadline: float) -> Sequence[LogEntry]:
        if not await self._joined(deadline):
            return []
        await self._holdings.settle()
        self._holdings.refuse_lost()
        try:
            if self._membership.is_broken():
                raise KafkaError
            return await self._pull(max_entries, deadline)
        except OffsetOutOfRangeError as error:
            astray, problem = [TopicPartition(*one) for one in error.args[0]], None
        except DRIVER_ERRORS as error:
            astray, problem = [], translated(error, "fetching")
        if problem is None:
            if not await self._holdings.notice_new_topics():
                await self._holdings.return_into_log(astray)
            return []
        await self._leave()
        raise problem

    async def _pull(self, max_entries: int, deadline: float) -> Sequence[LogEntry]:
        wanted = self._holdings.readable() or [_NOWHERE]
        async with self._until(deadline):
            left = max(0, int((deadline - _now()) * 1000))
            fetched = await self._membership.consumer.getmany(*wanted, timeout_ms=left, max_records=max_entries)
            return self._holdings.take(fetched, self._options.fetch_bytes)
        return []

    async def _joined(self, deadline: float) -> bool:
        """Whether the group has assigned its partitions once. A failed try is given up, for the next call to begin."""
        joining = await self._membership.start()
        if not joining.done():
            async with self._until(deadline):
                await asyncio.wait({joining})
        if not joining.done() or joining.cancelled():
            return False
        error = joining.exception()
        if error is None:
            return True
        await self._leave()
        raise translated(error, "joining the group")

    async def _leave(self) -> None:
        self._holdings.clear()
        await self._membership.stop()

    async def _refuse_outage(self) -> None:
        """The consumer hides an outage: it tries again, for ever. So when nothing came for long, the log is asked."""
        if _now() - self._heard_at > self._options.request_seconds:
            await self._connections.ping()
            self._heard_at = _now()

    @asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        """Ends what is waited for in it at the deadline, or when there is news."""
        try:
            async with asyncio.timeout_at(deadline) as self._waiting:
                yield
        except TimeoutError:
            return
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(_now())

    # --- committing ---

    async def _moved(self, moves: Sequence[tuple[Cursor, int]], deadline: float) -> bool | None:
        """Whether the group took the offsets; None where it is changing, and the consumer did not even ask it."""
        for cursor, offset in moves:
            cursor.committing(offset)
        try:
            async with asyncio.timeout_at(deadline):
                await self._membership.commit((cursor.place, offset) for cursor, offset in moves)
        except CommitFailedError:
            return False
        except IllegalStateError:
            return None
        except DRIVER_ERRORS as error:
            problem = translated(error, "committing")
        else:
            for cursor, offset in moves:
                cursor.committed(offset)
            self._heard_at = _now()
            return True
        raise problem

    # --- watching over its topics and its reader ---

    async def _look_for_new_topics(self) -> None:
        """Notices topics that were made anew under their old names."""
        while True:
            await asyncio.sleep(self._options.metadata_seconds)
            with suppress(CustodyError):
                if await self._holdings.notice_new_topics():
                    self._wake()

    async def _leave_when_hanging(self) -> None:
        """Lets others take over when its reader has given no sign of life for `poll_seconds`."""
        while True:
            await asyncio.sleep(max(0.0, self._used_at + self._options.poll_seconds - _now()))
            if self._fetching.locked():
                self._used_at = _now()
            elif self._membership.up and _now() >= self._used_at + self._options.poll_seconds:
                logger.warning("its reader hangs", action="log.left", group=self._membership.member.group)
                with suppress(*DRIVER_ERRORS):
                    await self._leave()
                self._used_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
