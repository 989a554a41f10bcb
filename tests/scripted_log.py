"""A log in memory for tests of the loops around it: single member, faults on demand, nothing durable."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from broker.core.errors import CustodyError, RetryableError
from broker.core.ports import LogEntry
from broker.core.topics import TopicPartition


def entry(topic: str, offset: int, *, partition: int = 0, value: bytes = b"") -> LogEntry:
    """An entry for a scripted log."""
    return LogEntry(
        topic=topic,
        partition=partition,
        offset=offset,
        key=b"k",
        headers=(("ce_id", f"{topic}/{partition}/{offset}".encode()),),
        value=value,
        appended_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class ScriptedSubscription:
    """Serves entries from memory; `commit_fault` and `fetch_fault` raise once each."""

    entries: Sequence[LogEntry]
    positions: dict[TopicPartition, int] = field(default_factory=lambda: defaultdict(int))
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)
    commit_fault: RetryableError | None = None
    fetch_fault: CustodyError | None = None
    closed: bool = False

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(one.place for one in self.entries)

    async def fetch(self, *, max_entries: int, wait_seconds: float) -> Sequence[LogEntry]:
        await asyncio.sleep(0)
        if self.fetch_fault is not None:
            fault, self.fetch_fault = self.fetch_fault, None
            raise fault
        found = [
            one for one in self.entries if one.offset >= self.positions[one.place] and one.place not in self.paused
        ][:max_entries]
        for one in found:
            self.positions[one.place] = one.offset + 1
        if not found:
            await asyncio.sleep(min(wait_seconds, 0.01))
        return found

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if self.commit_fault is not None:
            fault, self.commit_fault = self.commit_fault, None
            raise fault
        self.committed |= positions

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self.paused |= partitions

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self.paused -= partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    async def close(self) -> None:
        self.closed = True
