"""The erase worker: deletion commands to the provider, and a receipt for each.

It never fails for what a provider answers: that is what receipts are for, and the state machine decides what comes
next. A command that may have been carried out before, by a worker that did not live to tell, is marked as repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from msgspec import UNSET

from broker.core import codec, identity
from broker.core.entropy import drawn
from broker.core.errors import ProviderRefusedError
from broker.core.metrics import Metrics
from broker.core.model import EraseCommand, ErasureOutcome, ReceiptOutcome
from broker.core.ports import Clock, Connector, Entropy, EraseAnswer, EventLog
from broker.core.registry import Registry
from broker.core.seal import entry_of
from broker.core.topics import TopicPartition
from broker.workers.records import receipt_record
from broker.workers.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import LogEntry

GROUP = "erase"
logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Erase:
    """Carries commands out, several at once, in batches small enough to give signs of life in between."""

    log: EventLog
    connectors: Mapping[str, Connector]
    registry: Callable[[], Registry]
    witness: Witness
    metrics: Metrics
    clock: Clock
    entropy: Entropy
    concurrency: int = 8
    _repeated_below: dict[TopicPartition, int] = field(default_factory=dict)
    _answered: dict[str, ReceiptOutcome] = field(default_factory=dict)

    @property
    def batch_entries(self) -> int:
        """As many commands as are under way at once: a number's lie in one partition, which has one worker."""
        return self.concurrency

    async def start_at(self, places: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """No wish where to start; but two batches past the commit may have been carried out before.

        Two, since the commit of the one before may have failed.
        """
        topics = sorted({place.topic for place in places})
        bounds, committed = await self.log.bounds(topics), await self.log.committed(GROUP, topics)
        for place in places & bounds.keys():
            reach = committed.get(place, bounds[place].first) + 2 * self.batch_entries
            self._repeated_below[place] = min(reach, bounds[place].end)
        return {}

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        """Carries a batch out and appends its receipts. Tried again, it does not ask the provider twice."""
        slots = asyncio.Semaphore(self.concurrency)
        commands = [(entry, codec.decode(entry.value, EraseCommand)) for entry in batch]
        outcomes = await asyncio.gather(*(self._outcome(slots, entry, one) for entry, one in commands))
        await self.log.append(
            [
                entry_of(
                    receipt_record(command, outcome, key=self.registry().tenant(command.tenant).key),
                    key=f"{command.provider}/{command.account}",
                )
                for (_, command), outcome in zip(commands, outcomes, strict=True)
            ]
        )
        self._answered.clear()

    async def set_aside(self, entry: LogEntry, error: Exception, attempts: int) -> None:
        """A command that can't be read: its target's lease runs out and it is commanded again."""
        logger.error(
            "not a command",
            action="erase.read",
            topic=entry.topic,
            partition=entry.partition,
            offset=entry.offset,
            attempts=attempts,
            error_type=type(error).__name__,
        )

    async def _outcome(self, slots: asyncio.Semaphore, entry: LogEntry, command: EraseCommand) -> ReceiptOutcome:
        known = self._answered.get(entry.event_id)
        if known is not None:
            return known
        async with slots:
            answer = await self._ask(command)
        if answer.outcome == ErasureOutcome.ERASED:
            self.witness.saw(command.provider, command.account)
        self.metrics.count("custody.erase.receipts", outcome=answer.outcome)
        outcome = ReceiptOutcome(
            target_id=command.target_id,
            attempt=command.attempt,
            outcome=answer.outcome,
            evidence=answer.evidence,
            at=self.clock(),
            salt=drawn(self.entropy, identity.SALT_BYTES, command.target_id, str(command.attempt), answer.outcome),
            witnessed=self.witness.vouches(command.provider, command.account),
            repeated=entry.offset < self._repeated_below.get(entry.place, 0),
            retry_after_seconds=UNSET if answer.retry_after_seconds is None else answer.retry_after_seconds,
        )
        self._answered[entry.event_id] = outcome
        return outcome

    async def _ask(self, command: EraseCommand) -> EraseAnswer:
        try:
            account = self.registry().require(provider=command.provider, account=command.account)
        except ProviderRefusedError:
            return EraseAnswer(outcome=ErasureOutcome.BLOCKED, evidence="unregistered")
        return await self.connectors[command.provider].erase(account, command)
