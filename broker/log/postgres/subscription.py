"""A member's view of its streams: what it owns, where it stands, and the batches it is handed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from broker.core.errors import CustodyError, LogChangedError, LogUnavailableError, OwnershipLostError
from broker.log.postgres.cursors import Cursor, to_give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from broker.core.ports import LogEntry, StartAt
    from broker.core.topics import TopicPartition
    from broker.log.postgres.membership import Membership, Standing, Start
    from broker.log.postgres.options import PostgresLogOptions
    from broker.log.postgres.reading import Reader
    from broker.log.postgres.wakeups import Wakeups


class PostgresSubscription:
    """Implements `Subscription`. One task fetches at a time; commits may run beside it.

    The lease is renewed in the background, so that a slow handler keeps its partitions; what is taken and given back
    changes within `fetch` alone.
    """

    def __init__(
        self,
        membership: Membership,
        reader: Reader,
        wakeups: Wakeups,
        *,
        options: PostgresLogOptions,
        start_at: StartAt | None,
        on_close: Callable[[PostgresSubscription], None],
    ) -> None:
        self._membership = membership
        self._reader = reader
        self._wakeups = wakeups
        self._options = options
        self._start_at = start_at
        self._on_close = on_close
        self._cursors: dict[int, Cursor] = {}
        self._fetching = asyncio.Lock()
        self._wake = asyncio.Event()
        self._look_again = True
        self._looked_at = self._lease_until = self._alive_since = self._used_at = float("-inf")
        self._turn = 0
        self._heartbeat: asyncio.Task[None] | None = None
        self._closed = False

    async def join(self) -> None:
        """Becomes a member, and takes what is free."""
        self._wakeups.add(self)
        await self._look()
        self._wakeups.regrouped(self._membership.group_id)  # the others may have partitions to give
        self._heartbeat = asyncio.create_task(self._keep_alive(), name="log-heartbeat")

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(cursor.place for cursor in self._cursors.values())

    async def fetch(self, *, max_entries: int, wait_seconds: float) -> Sequence[LogEntry]:
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}: at least 1")
        if self._closed:
            raise LogUnavailableError("the subscription is closed: subscribe again")
        deadline = _now() + wait_seconds
        async with self._fetching:
            while not self._closed:
                self._used_at = _now()
                self._wake.clear()
                await self._settle_in()
                entries = await self._read(max_entries)
                if entries or _now() >= deadline:
                    return entries
                await self._sleep(deadline)
        return []

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._used_at = _now()
        if not positions:
            return
        cursors = self._owned(positions)
        moves = [(cursor.partition_id, cursor.epoch, positions[cursor.place]) for cursor in cursors]
        if not await self._membership.commit(moves):
            self._look_again = True
            raise _lost(positions)
        for cursor in cursors:
            cursor.commit(positions[cursor.place])

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        for cursor in self._cursors.values():
            cursor.paused = cursor.paused or cursor.place in partitions

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        for cursor in self._cursors.values():
            cursor.paused = cursor.paused and cursor.place not in partitions
        self._wake.set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if offset < 0:
            raise ValueError(f"offset {offset}: offsets begin at 0")
        cursor = self._cursor(partition)
        if cursor is not None:  # another member's now: there is nothing to fetch from it
            cursor.start(offset)
            self._wake.set()

    def keep_alive(self) -> None:
        self._used_at = _now()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        self._wakeups.remove(self)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        async with self._fetching:
            self._cursors.clear()
        self._on_close(self)
        with suppress(CustodyError):  # where the log is down, the lease ends it
            await self._membership.leave()
            self._wakeups.regrouped(self._membership.group_id)

    def entries_came(self, partition_ids: frozenset[int] | None) -> None:
        if partition_ids is None or not partition_ids.isdisjoint(self._cursors):
            self._wake.set()

    def group_changed(self, group_id: int | None) -> None:
        if group_id is None or group_id == self._membership.group_id:
            self._look_again = True
            self._wake.set()

    # --- what it owns ---

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._options.heartbeat_seconds)
            if self._used_at + self._options.idle_seconds < _now():
                continue  # its reader hangs: others take over
            with suppress(CustodyError):  # whoever fetches meets it too, and names it
                asked_at = _now()
                if await self._membership.renew():
                    self._renewed(asked_at)
                else:
                    self._look_again = True

    def _renewed(self, asked_at: float) -> None:
        """The lease counts from before it was asked for. `_alive_since`: without a lapse."""
        if asked_at > self._lease_until:
            self._alive_since = asked_at
        self._lease_until = asked_at + self._options.lease_seconds

    @property
    def _may_expel(self) -> bool:
        """Not right after being away: an outage lets every lease run out, and the others are just coming back."""
        now = _now()
        return self._alive_since + self._options.lease_seconds / 2 <= now < self._lease_until

    async def _settle_in(self) -> None:
        """Looks at the group when it is time to, and finds out where to start in what is new."""
        leaving = any(cursor.leaving and cursor.idle for cursor in self._cursors.values())
        if self._look_again or leaving or _now() >= self._look_due:
            await self._look()
        fresh = [cursor for cursor in self._cursors.values() if cursor.position is None and not cursor.paused]
        if fresh:
            await self._position(fresh)

    @property
    def _look_due(self) -> float:
        return min(self._looked_at + self._options.heartbeat_seconds, self._lease_until)

    async def _look(self) -> None:
        asked_at = _now()
        self._look_again = False
        try:
            standing = await self._membership.look(expel=self._may_expel)
            self._renewed(asked_at)
            self._looked_at = asked_at
            self._adopt(standing)
            await self._give_back(standing)
        except BaseException:
            self._look_again = True
            raise

    def _adopt(self, standing: Standing) -> None:
        """Owns what the group says: forgets what was lost, begins with what is new."""
        kept = {
            partition_id: cursor
            for partition_id, cursor in self._cursors.items()
            if partition_id in standing.owned and standing.owned[partition_id][1] == cursor.epoch
        }
        for partition_id, (place, epoch) in standing.owned.items():
            if partition_id not in kept:
                kept[partition_id] = Cursor(place=place, partition_id=partition_id, epoch=epoch)
        self._cursors = kept

    async def _give_back(self, standing: Standing) -> None:
        """Gives up what others wait for: at once where nothing is in hand, else as soon as it is committed."""
        for cursor in self._cursors.values():
            cursor.leaving = False
        given: list[Cursor] = []
        for surplus, partition_ids in standing.surplus:
            now, later = to_give_back(surplus, [self._cursors[partition_id] for partition_id in partition_ids])
            given += now
            for cursor in later:
                cursor.leaving = True
        if given:
            for cursor in given:
                del self._cursors[cursor.partition_id]
            await self._membership.give([cursor.partition_id for cursor in given])
            self._wakeups.regrouped(self._membership.group_id)

    async def _position(self, fresh: Sequence[Cursor]) -> None:
        wanted: Mapping[TopicPartition, int] = {}
        if self._start_at is not None:
            wanted = await self._start_at(frozenset(cursor.place for cursor in fresh))
        starts = await self._membership.starts([cursor.partition_id for cursor in fresh])
        lost: dict[TopicPartition, LogChangedError] = {}
        for cursor in fresh:
            if cursor.position is None:  # nobody sought meanwhile
                try:
                    cursor.start(start_of(cursor.place, starts[cursor.partition_id], wanted.get(cursor.place)))
                except LogChangedError as error:
                    lost[cursor.place] = error
        if lost:  # the others have begun; these go on being refused until they are paused, or sought
            raise LogChangedError("; ".join(map(str, lost.values())), places=frozenset(lost))

    def _owned(self, partitions: Mapping[TopicPartition, int]) -> Sequence[Cursor]:
        cursors = {place: self._cursor(place) for place in partitions}
        held = [cursor for place, cursor in cursors.items() if cursor and cursor.covers(partitions[place])]
        if len(held) < len(partitions):
            raise _lost(partitions)
        return held

    def _cursor(self, place: TopicPartition) -> Cursor | None:
        return next((cursor for cursor in self._cursors.values() if cursor.place == place), None)

    # --- what it reads ---

    async def _read(self, max_entries: int) -> Sequence[LogEntry]:
        """A batch from what is readable. Another partition comes first each time."""
        readable = [cursor for cursor in self._cursors.values() if cursor.readable]
        if not readable:
            return []
        self._turn = (self._turn + 1) % len(readable)
        return await self._reader.batch(
            readable[self._turn :] + readable[: self._turn], max_entries, self._options.fetch_bytes
        )

    async def _sleep(self, deadline: float) -> None:
        until = min(deadline, self._look_due, _now() + self._options.poll_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - _now())):
                await self._wake.wait()


def start_of(place: TopicPartition, start: Start, wanted: int | None) -> int:
    """The lower of the group's committed offset and the reader's own wish; the first entry where there is neither.

    `LogChangedError` for an offset that the partition has not reached: what would lie there was lost.
    """
    known = [offset for offset in (start.committed, wanted) if offset is not None]
    offset = min(known, default=start.first)
    if offset > start.end:
        raise LogChangedError(
            f"{place.topic}[{place.partition}] ends at {start.end}, before offset {offset} that was to be read next: "
            "the log lost entries, or is another one. Restore it"
        )
    return offset


def _lost(partitions: Iterable[TopicPartition]) -> OwnershipLostError:
    names = ", ".join(sorted(f"{place.topic}[{place.partition}]" for place in partitions))
    return OwnershipLostError(f"at least one of {names} is no longer this member's; no offset was moved")


def _now() -> float:
    return asyncio.get_running_loop().time()
