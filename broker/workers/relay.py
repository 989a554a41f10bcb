"""The relay: targets that are due, from the store onto `erasures` as deletion commands.

A target is claimed with a lease before its command goes out: if the relay dies between the two, the lease runs out
and the target is claimed again. An attempt is counted with each claim.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from broker.core import codec
from broker.core.delivery import DeliveryPolicy, code_of
from broker.core.errors import RetryableError, UnknownTopicError
from broker.core.metrics import Metrics
from broker.core.ports import Clock, EventLog, NewEntry, RecordStore
from broker.core.seal import event_headers
from broker.core.topics import Stream, split_topic, topic_name
from broker.core.tracing import NoTracing, Tracing
from broker.workers.deliver import Pulse, wait_for
from broker.workers.erase import GROUP as ERASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import ClaimedTarget

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Relay:
    """Claims and commands, until `stop` is set."""

    log: EventLog
    store: RecordStore
    metrics: Metrics
    clock: Clock
    stop: asyncio.Event
    lease: timedelta
    batch: int = 500
    most_outstanding: int = 5_000
    poll_seconds: float = 0.25
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    pulse: Pulse = field(default_factory=Pulse)
    tracing: Tracing = field(default_factory=NoTracing)
    _lacking: str | None = None
    """Why tenants wait, among those that were commanded last."""

    async def run(self) -> None:
        """Turns until `stop`; an outage of store or log is waited out."""
        failures = 0
        while not self.stop.is_set():
            self.pulse.beats += 1
            try:
                commanded = await self.command_due()
            except RetryableError as error:
                failures += 1
                self.pulse.waiting_for = code_of(error)
                self.metrics.count("custody.delivery.retries", worker="relay", code=code_of(error))
                logger.warning("waiting", action="relay.waiting", code=code_of(error), why=str(error))
                await wait_for(self.stop, self.policy.wait_seconds(failures))
                continue
            failures, self.pulse.waiting_for = 0, self._lacking
            self.pulse.handled += commanded
            if commanded < self.batch:
                await wait_for(self.stop, self.poll_seconds)

    async def command_due(self) -> int:
        """Commands the erasure of what is due now; how many. Nothing while the erase worker is far behind."""
        if await self._outstanding() >= self.most_outstanding:
            return 0
        claimed = await self.store.claim_due(now=self.clock(), limit=self.batch, lease=self.lease)
        if claimed:
            with self.tracing.span("command", targets=str(len(claimed))):
                return await self._command(claimed)
        return 0

    async def _command(self, claimed: Sequence[ClaimedTarget]) -> int:
        """Appends each tenant's by themselves: one whose topic is missing waits alone, until its leases are over."""
        by_tenant: dict[str, list[NewEntry]] = defaultdict(list)
        for one in claimed:
            by_tenant[one.command.tenant].append(command_entry(one))
        answers = await asyncio.gather(*map(self.log.append, by_tenant.values()), return_exceptions=True)
        commanded = 0
        self._lacking = None
        problem: BaseException | None = None
        for entries, answer in zip(by_tenant.values(), answers, strict=True):
            if answer is None:
                commanded += len(entries)
                self.metrics.count("custody.erase.commands", len(entries))
            elif isinstance(answer, UnknownTopicError):
                self._lacking = answer.code
                self.metrics.count("custody.delivery.retries", worker="relay", code=answer.code)
                logger.error("tenant waits", action="relay.waiting", code=answer.code, why=str(answer))
            else:
                problem = problem or answer
        if problem is not None:
            raise problem
        return commanded

    async def _outstanding(self) -> int:
        """Commands in the log that the erase worker has not come to yet."""
        topics = [one for one in await self.log.topics() if split_topic(one)[1] == Stream.ERASURES]
        bounds, done = await self.log.bounds(topics), await self.log.committed(ERASE, topics)
        return sum(one.end - max(one.first, done.get(place, 0)) for place, one in bounds.items())


def command_entry(claimed: ClaimedTarget) -> NewEntry:
    """The log entry of a deletion command, keyed by what shares a rate at the provider."""
    command = claimed.command
    return NewEntry(
        topic=topic_name(command.tenant, Stream.ERASURES),
        key=f"{command.provider}/{command.account}".encode(),
        headers=event_headers(
            event_id=f"{command.target_id}/{command.attempt}",
            event_type="custody.erasure.v1",
            source=f"/{command.provider}/{command.account}",
            subject=command.target_id,
            time=command.commanded_at,
        ),
        value=codec.canonical(command),
    )
