"""Works off `fetches`: several parts at once, nearest deadline first, failures again later, and never forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from broker.core import codec
from broker.core.delivery import DeliveryPolicy, code_of
from broker.core.errors import (
    CustodyError,
    LogChangedError,
    MalformedEntryError,
    OwnershipLostError,
    RetryableError,
    UnknownTopicError,
    UnregisteredError,
)
from broker.core.metrics import Metrics
from broker.core.model import FetchTask, PartOutcome, PartState
from broker.core.ports import Clock, EventLog, Subscription
from broker.core.seal import entry_of
from broker.core.topics import TopicPartition
from broker.core.values import replace
from broker.workers.deliver import Pulse, wait_for
from broker.workers.halt import forget_others, halt, halt_each
from broker.workers.media.agenda import Agenda, Job
from broker.workers.media.fetching import Fetching
from broker.workers.media.scan import task_entry
from broker.workers.records import part_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.ports import LogEntry

GROUP = "fetch"
_SHOW_EVERY = timedelta(seconds=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Fetcher:
    """One process's share of the parts.

    `concurrency` parts are fetched at once; `most_jobs` bounds memory. A job that holds its partition's offset back by
    more than `straggle_entries` is appended again, so that a restart has not everything since to read.
    """

    log: EventLog
    subscription: Subscription
    fetching: Fetching
    metrics: Metrics
    clock: Clock
    stop: asyncio.Event
    policy: DeliveryPolicy
    concurrency: int = 8
    most_jobs: int = 4_000
    straggle_entries: int = 5_000
    grace: timedelta = timedelta(minutes=5)
    pulse: Pulse = field(default_factory=Pulse)
    agenda: Agenda = field(default_factory=Agenda)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _committed: dict[TopicPartition, int] = field(default_factory=dict)
    _shown_at: datetime = _NEVER

    async def run(self) -> None:
        """Turns until `stop`; fetches under way are given up, and done again after the restart."""
        try:
            async with asyncio.TaskGroup() as group:
                hands = [group.create_task(self._work(), name="media.fetch") for _ in range(self.concurrency)]
                while not self.stop.is_set():
                    self.pulse.beats += 1
                    await self._read()
                    await self._settle()
                    self._show()
                for hand in hands:
                    hand.cancel()
        finally:
            await self._settle()
            await self.subscription.close()

    def reached(self) -> Mapping[TopicPartition, int] | None:
        """How far it has read, see `Watch.reached`: an open job holds back what it may commit, not its reading."""
        return None if self._is_full else self.agenda.read_to

    @property
    def _is_full(self) -> bool:
        return len(self.agenda) >= self.most_jobs

    async def _read(self) -> None:
        if self._is_full:
            self.subscription.keep_alive()
            await self._spill()
            await wait_for(self.stop, 0.25)
            return
        try:
            entries = await self.subscription.fetch(
                max_entries=min(self.policy.batch_entries, self.most_jobs - len(self.agenda)), wait_seconds=0.25
            )
        except RetryableError as error:
            self.pulse.waiting_for = code_of(error)
            self.metrics.count("custody.delivery.retries", worker="media", code=code_of(error))
            await wait_for(self.stop, self.policy.wait_seconds(4))
            return
        except LogChangedError as error:
            stop = partial(halt, worker="media", subscription=self.subscription, pulse=self.pulse, metrics=self.metrics)
            halt_each(error, stop)
            return
        forget_others(self.pulse, self.subscription)
        self.pulse.waiting_for = None
        self.agenda.keep_only(self.subscription.assignment)
        for entry in entries:
            self._note(entry)
        if entries:
            self._wake.set()

    def _note(self, entry: LogEntry) -> None:
        try:
            task = codec.decode(entry.value, FetchTask)
        except MalformedEntryError:
            logger.warning("not a task", action="media.read", topic=entry.topic, offset=entry.offset)
            self.agenda.read_past(entry.place, entry.offset)
            return
        self.agenda.add(Job(place=entry.place, offset=entry.offset, task=task, attempt=task.attempt))

    async def _settle(self) -> None:
        """Moves the offsets past what is done, and lets no straggler hold them back for long."""
        try:
            for job in self.agenda.stragglers(self.straggle_entries):
                await self._put_off(job, self.clock())
            read = self.agenda.positions()
            positions = {place: offset for place, offset in read.items() if place not in self.pulse.stopped}
            if positions != self._committed:
                await self.subscription.commit(positions)
                self._committed = positions
        except OwnershipLostError:
            self.agenda.keep_only(self.subscription.assignment)
        except RetryableError as error:
            self.metrics.count("custody.delivery.retries", worker="media", code=code_of(error))

    async def _spill(self) -> None:
        """Makes room when many wait: one provider that refuses must not keep the others' parts out."""
        try:
            for at, job in self.agenda.spillable(self.most_jobs // 20):
                await self._put_off(job, at)
        except RetryableError as error:
            self.metrics.count("custody.delivery.retries", worker="media", code=code_of(error))

    async def _put_off(self, job: Job, until: datetime) -> None:
        """Appends a job again, at the end of its topic, so that its place is free. Without a topic it stays."""
        try:
            await self.log.append([task_entry(replace(job.task, attempt=job.attempt, not_before=until))])
        except UnknownTopicError as error:
            self.metrics.count("custody.media.retries", code=error.code)
            return
        self.agenda.done(job)

    def _show(self) -> None:
        """Sets the gauges, once in a while."""
        if self.clock() < self._shown_at + _SHOW_EVERY:
            return
        self._shown_at = self.clock()
        self.metrics.gauge("custody.media.open", len(self.agenda))
        nearest = self.agenda.nearest_deadline()
        if nearest is not None:
            left = (nearest - self.clock()).total_seconds()
            self.metrics.gauge("custody.media.nearest_deadline_seconds", left)

    async def _work(self) -> None:
        while not self.stop.is_set():
            job = self.agenda.take(self.clock())
            if job is None:
                self._wake.clear()
                await wait_for(self._wake, 0.25)
                continue
            await self._try(job)

    async def _try(self, job: Job) -> None:
        try:
            outcome = await self.fetching.fetch(job.task)
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is tried again or said to be lost
            await self._failed(job, error)
            return
        await self._tell(job, outcome)

    async def _failed(self, job: Job, error: Exception) -> None:
        code = code_of(error)
        failures = {**job.failures, code: job.failures.get(code, 0) + 1}
        tried = replace(job, attempt=job.attempt + 1, failures=failures)
        verdict = self.fetching.judge(job.task, error, attempt=failures[code], now=self.clock(), grace=self.grace)
        if verdict.reason is not None:
            await self._tell(tried, self.fetching.lost(job.task, verdict))
            return
        self.metrics.count("custody.media.retries", code=code_of(error))
        logger.info(
            "part to be tried again",
            action="media.retry",
            record_id=job.task.record_id,
            part=job.task.media.part,
            attempt=tried.attempt,
            code=code_of(error),
            error_type=type(error).__name__,
            why=str(error) if isinstance(error, CustodyError) else "",
        )
        self.agenda.wait(tried, self.clock() + self._wait(error, tried))

    def _wait(self, error: Exception, job: Job) -> timedelta:
        """Doubling, at least the provider's wish, and a last try before the deadline."""
        wish = getattr(error, "retry_after_seconds", None) or 0.0
        seconds = max(self.policy.wait_seconds(job.attempt), wish)
        left = (job.task.fetch_by - self.clock()).total_seconds()
        return timedelta(seconds=min(seconds, left / 2) if left > 1 else seconds)

    async def _tell(self, job: Job, outcome: PartOutcome) -> None:
        """Appends the result; the job is done only then."""
        try:
            tenant = self.fetching.registry().tenant(job.task.tenant)
            record = part_record(job.task, outcome, key=tenant.key, now=self.clock())
            await self.log.append([entry_of(record)])
        except (RetryableError, UnregisteredError, UnknownTopicError) as error:
            self.metrics.count("custody.media.retries", code=code_of(error))
            self.agenda.wait(job, self.clock() + timedelta(seconds=self.policy.wait_seconds(job.attempt + 1)))
            return
        self.agenda.done(job)
        self.pulse.handled += 1
        reason = "" if outcome.state == PartState.KEPT else str(outcome.reason)
        self.metrics.count("custody.media.parts", state=outcome.state, reason=reason)
