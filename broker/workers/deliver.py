"""The delivery loop that wraps every handler: fetch, hand over, commit; and what to do when the handler fails.

A handler gets a batch and returns when all of it is done for good. Only then do the explicit offsets move. The next
batch is fetched while one is being handled. What an error means is decided in `broker.core.delivery`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from broker.core.delivery import Action, DeliveryPolicy, action_for, code_of
from broker.core.errors import (
    DeadLetterLimitError,
    LogChangedError,
    OffsetGapError,
    OwnershipLostError,
    RetryableError,
    UnregisteredError,
)
from broker.core.metrics import Metrics
from broker.core.ports import LogEntry, Subscription
from broker.core.topics import TopicPartition
from broker.workers.halt import forget_others, halt, halt_each

Handler = Callable[[Sequence[LogEntry]], Awaitable[None]]
"""Returns when a whole batch is done for good."""
SetAside = Callable[[LogEntry, Exception, int], Awaitable[None]]
"""Puts one entry aside, with the error and how often it was tried."""
Mended = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Those of the stopped partitions that may go on now, and from which offset; raises retryable errors only."""

_MENDED_BY_REGISTRY = frozenset({UnregisteredError.code})
_MENDED_ELSEWHERE = frozenset({OffsetGapError.code, LogChangedError.code})
_FETCHING, _HANDLING = "fetching", "handling"
_BEATS_BEFORE_RESUMING = 4
_MOST_DOUBLINGS = 6

logger = structlog.get_logger(__name__)


class _YieldedError(Exception):
    """The batch is another member's now, or the loop is asked to stop: leave it uncommitted."""


@dataclass(slots=True, kw_only=True)
class Pulse:
    """A worker's signs of life. `beats` grows while the loop turns, whatever its dependencies do.

    `standing`: for how many seconds a partition has not moved though entries wait there.
    """

    beats: int = 0
    handled: int = 0
    waiting_for: str | None = None
    stopped: dict[TopicPartition, str] = field(default_factory=dict)
    standing: Mapping[TopicPartition, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One worker's loop over one subscription.

    `mended` looks again at partitions that stopped for what the log lost: an operator may have seen to it meanwhile.
    One that stopped for its many dead letters is tried again, less and less often, and sets nothing more aside until
    an entry of it comes through.
    """

    worker: str
    subscription: Subscription
    handler: Handler
    set_aside: SetAside
    policy: DeliveryPolicy
    metrics: Metrics
    stop: asyncio.Event
    mended: Mended | None = None
    idle_wait_seconds: float = 0.5
    pulse: Pulse = field(default_factory=Pulse)
    _in_a_row: Counter[TopicPartition] = field(default_factory=Counter)
    _tries: Counter[TopicPartition] = field(default_factory=Counter)
    _try_at: dict[TopicPartition, int] = field(default_factory=dict)
    _uncommitted: dict[TopicPartition, int] = field(default_factory=dict)
    _resume_at: int = 0
    _waits: dict[str, str] = field(default_factory=dict)
    """What is waited for, by what is being done: the next batch is fetched while one is being handled."""

    async def run(self) -> None:
        """Turns until `stop` is set; then finishes and commits the batch in hand, and gives the partitions back."""
        ahead: asyncio.Task[Sequence[LogEntry]] | None = None
        try:
            while not self.stop.is_set():
                self.pulse.beats += 1
                forget_others(self.pulse, self.subscription)
                await self._resume_mended()
                batch = await (ahead or self._fetch_task())
                ahead = self._fetch_task()
                done: dict[TopicPartition, int] = {}
                if not await self._hand_over(batch, done):
                    self._rewind(await _discard(ahead), {})
                    self._rewind(batch, done)  # after the one fetched ahead, since it lies before it
                    ahead = None
        finally:
            await _discard(ahead)
            await self.subscription.close()

    async def _resume_mended(self) -> None:
        """Goes on with partitions that stopped for what others mend: registry, log, store, or who accepts a loss."""
        if not self.pulse.stopped or self.pulse.beats < self._resume_at:
            return
        self._resume_at = self.pulse.beats + _BEATS_BEFORE_RESUMING
        mended = self._stopped_for(_MENDED_BY_REGISTRY) | self._tried_again()
        for place, offset in (await self._mended_elsewhere()).items():
            logger.info(
                "partition goes on",
                action="delivery.mended",
                worker=self.worker,
                topic=place.topic,
                partition=place.partition,
                offset=offset,
            )
            self.subscription.seek(place, offset)
            mended |= {place}
        for place in mended:
            del self.pulse.stopped[place]
        self.subscription.resume(mended)

    async def _mended_elsewhere(self) -> Mapping[TopicPartition, int]:
        asked = self._stopped_for(_MENDED_ELSEWHERE) & self.subscription.assignment
        if self.mended is None or not asked:
            return {}
        try:
            return await self.mended(asked)
        except RetryableError as error:
            logger.warning("can't look", action="delivery.mended", worker=self.worker, code=error.code)
            return {}

    def _tried_again(self) -> frozenset[TopicPartition]:
        """Those that stopped for their many dead letters, when it is time to see whether an entry comes through."""
        limited = self._stopped_for(frozenset({DeadLetterLimitError.code}))
        return frozenset(place for place in limited if self.pulse.beats >= self._try_at.get(place, 0))

    def _stopped_for(self, codes: frozenset[str]) -> frozenset[TopicPartition]:
        return frozenset(place for place, code in self.pulse.stopped.items() if code in codes)

    def stop_partition(self, place: TopicPartition, error: Exception) -> None:
        """Fetches nothing more of a partition, and says why: a person has to look."""
        self._resume_at = self.pulse.beats + _BEATS_BEFORE_RESUMING
        halt(
            place,
            error,
            worker=self.worker,
            subscription=self.subscription,
            pulse=self.pulse,
            metrics=self.metrics,
            again=isinstance(error, DeadLetterLimitError) and self._put_off(place),
        )

    def _put_off(self, place: TopicPartition) -> bool:
        """Whether it was tried again since it stopped; the next time it will be twice as late."""
        tries = self._tries[place]
        self._tries[place] = tries + 1
        self._try_at[place] = self.pulse.beats + _BEATS_BEFORE_RESUMING * 2 ** min(tries, _MOST_DOUBLINGS)
        return tries > 0

    def _fetch_task(self) -> asyncio.Task[Sequence[LogEntry]]:
        return asyncio.create_task(self._fetch(), name=f"{self.worker}.fetch")

    async def _fetch(self) -> Sequence[LogEntry]:
        attempt = 0
        while not self.stop.is_set():
            try:
                fetched = await self.subscription.fetch(
                    max_entries=self.policy.batch_entries, wait_seconds=self.idle_wait_seconds
                )
            except RetryableError as error:
                attempt += 1
                await self._wait_out(error, attempt, _FETCHING)
            except LogChangedError as error:
                halt_each(error, self.stop_partition)
            else:
                self._go_on(_FETCHING)
                return fetched
        return ()

    async def _hand_over(self, fetched: Sequence[LogEntry], done: dict[TopicPartition, int]) -> bool:
        """Whether the loop may go on with what it fetched ahead; `done` tells how far each partition came."""
        batch = [entry for entry in fetched if entry.place not in self.pulse.stopped]
        try:
            if batch:
                await self._deliver(batch, done)
        except _YieldedError:
            return False
        finally:
            self._go_on(_HANDLING)
            await self._commit(done)
        self.pulse.handled += len(batch)
        return True

    async def _deliver(self, batch: Sequence[LogEntry], done: dict[TopicPartition, int]) -> None:
        batch = [entry for entry in batch if entry.place not in self.pulse.stopped]
        attempt = 0
        while batch:
            attempt += 1
            try:
                await self.handler(batch)
            except Exception as error:  # noqa: BLE001 - the policy's table says what each one means
                if await self._after(error, batch, attempt, done):
                    return
            else:
                self._mark_done(batch, done)
                return

    async def _after(
        self, error: Exception, batch: Sequence[LogEntry], attempt: int, done: dict[TopicPartition, int]
    ) -> bool:
        """Whether the batch is dealt with; False to try it again."""
        action = action_for(error)
        if action is Action.RETRY:
            await self._wait_out(error, attempt, _HANDLING)
            if self.stop.is_set():
                raise _YieldedError from None
            return False
        if action is Action.YIELD:
            raise _YieldedError from None
        if action is Action.STOP:
            await self._stop_one(error, batch, done)
        elif len(batch) > 1:
            middle = len(batch) // 2
            await self._deliver(batch[:middle], done)
            await self._deliver(batch[middle:], done)
        else:
            await self._give_up_on(batch[0], error, attempt, done)
        return True

    async def _stop_one(self, error: Exception, batch: Sequence[LogEntry], done: dict[TopicPartition, int]) -> None:
        """Stops the partition at fault; the others of the batch are tried without it."""
        places = list(dict.fromkeys(entry.place for entry in batch))
        if len(places) > 1:
            for place in places:
                await self._deliver([entry for entry in batch if entry.place == place], done)
            return
        before = [entry for entry in batch if isinstance(error, OffsetGapError) and entry.offset < error.expected]
        if before and len(before) < len(batch):
            await self._deliver(before, done)  # up to the hole, which then is what an operator can accept
            batch = batch[len(before) :]
        if places[0] not in self.pulse.stopped:
            self.stop_partition(places[0], error)
            self.subscription.seek(places[0], batch[0].offset)

    async def _give_up_on(
        self, entry: LogEntry, error: Exception, attempts: int, done: dict[TopicPartition, int]
    ) -> None:
        self._in_a_row[entry.place] += 1
        if self._in_a_row[entry.place] > self.policy.dead_letters_in_a_row:
            limit = DeadLetterLimitError(
                f"{self.policy.dead_letters_in_a_row} dead letters in a row, the last for {code_of(error)}"
            )
            await self._stop_one(limit, [entry], done)
            return
        attempt = 0
        while True:
            attempt += 1
            try:
                await self.set_aside(entry, error, attempts)
                break
            except RetryableError as outage:
                await self._wait_out(outage, attempt, _HANDLING)
                if self.stop.is_set():
                    raise _YieldedError from None
            except Exception as failure:  # noqa: BLE001 - what can't even be set aside is a person's to look at
                await self._stop_one(failure, [entry], done)
                return
        self.metrics.count("custody.delivery.set_aside", worker=self.worker, code=code_of(error))
        logger.warning(
            "entry set aside",
            action="delivery.set_aside",
            worker=self.worker,
            topic=entry.topic,
            partition=entry.partition,
            offset=entry.offset,
            code=code_of(error),
            error_type=type(error).__name__,
        )
        done[entry.place] = entry.offset + 1

    async def _wait_out(self, error: Exception, attempt: int, doing: str) -> None:
        """Waits as the policy says, and goes on giving signs of life."""
        code = code_of(error)
        if self._waits.get(doing) != code:
            logger.warning("waiting", action="delivery.waiting", worker=self.worker, code=code, why=str(error))
            self._waits[doing] = code
            self._tell_waits()
        self.metrics.count("custody.delivery.retries", worker=self.worker, code=code)
        left = self.policy.wait_seconds(attempt)
        while left > 0 and not self.stop.is_set():
            self.pulse.beats += 1
            self.subscription.keep_alive()
            nap = min(left, 1.0)
            await wait_for(self.stop, nap)
            left -= nap

    def _go_on(self, doing: str) -> None:
        """What was waited for is there again, or is not waited for any more."""
        if self._waits.pop(doing, None) is not None:
            logger.info("going on", action="delivery.resumed", worker=self.worker)
            self._tell_waits()

    def _tell_waits(self) -> None:
        self.pulse.waiting_for = next(iter(self._waits.values()), None)
        self.metrics.gauge("custody.delivery.paused", 1 if self._waits else 0, worker=self.worker)

    def _mark_done(self, batch: Sequence[LogEntry], done: dict[TopicPartition, int]) -> None:
        self._go_on(_HANDLING)
        for entry in batch:
            done[entry.place] = entry.offset + 1
            self._in_a_row.pop(entry.place, None)
            self._tries.pop(entry.place, None)
        self.metrics.count("custody.delivery.entries", len(batch), worker=self.worker)

    async def _commit(self, done: dict[TopicPartition, int]) -> None:
        """Commits what is done, and what an earlier commit could not; at worst it is done again and absorbed."""
        self._uncommitted |= done
        if not self._uncommitted:
            return
        try:
            await self.subscription.commit(self._uncommitted)
        except OwnershipLostError as error:
            self._uncommitted = await self._commit_apart() if len(self._uncommitted) > 1 else {}
            self._commit_failed(error)
        except RetryableError as error:
            self._commit_failed(error)
        else:
            self._uncommitted = {}

    async def _commit_apart(self) -> dict[TopicPartition, int]:
        """Commits each partition by itself; gives back what may be tried again. What is refused is done again."""
        again: dict[TopicPartition, int] = {}
        for place, offset in self._uncommitted.items():
            try:
                await self.subscription.commit({place: offset})
            except OwnershipLostError:
                continue
            except RetryableError:
                again[place] = offset
        return again

    def _commit_failed(self, error: RetryableError) -> None:
        self.metrics.count("custody.delivery.retries", worker=self.worker, code=error.code)
        logger.warning("commit failed", action="delivery.commit", worker=self.worker, code=error.code)

    def _rewind(self, batch: Sequence[LogEntry], done: dict[TopicPartition, int]) -> None:
        """Fetches again, from where it stands, what a batch left undone."""
        for place in {entry.place for entry in batch} & self.subscription.assignment:
            first = min(entry.offset for entry in batch if entry.place == place)
            self.subscription.seek(place, done.get(place, first))


async def wait_for(stop: asyncio.Event, seconds: float) -> None:
    """Waits so many seconds, or until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _discard(task: asyncio.Task[Sequence[LogEntry]] | None) -> Sequence[LogEntry]:
    """Ends a fetch; gives back what it had fetched already, for the reader to fetch again."""
    if task is None:
        return ()
    task.cancel()
    await asyncio.wait({task})
    if task.cancelled():
        return ()
    return task.result()
