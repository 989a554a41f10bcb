"""The relay: a tenant that can't be commanded waits alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from broker.core.errors import CustodyError, LogUnavailableError, UnknownTopicError
from broker.core.metrics import NoMetrics
from broker.core.model import EraseCommand
from broker.core.ports import ClaimedTarget, NewEntry
from broker.core.topics import Stream, topic_name
from broker.workers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import EventLog, RecordStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACME, ZETA = topic_name("acme", Stream.ERASURES), topic_name("zeta", Stream.ERASURES)


def target(tenant: str, number: int) -> ClaimedTarget:
    command = EraseCommand(
        tenant=tenant,
        account="1",
        provider="p",
        target_id=f"tgt_{number}",
        object_kind="media",
        object_id="m",
        attempt=1,
        commanded_at=NOW,
    )
    return ClaimedTarget(command=command, conversation="cnv_a")


@dataclass
class Log:
    """Refuses what one topic is to take."""

    trouble: Mapping[str, CustodyError]
    appended: list[NewEntry] = field(default_factory=list)

    async def append(self, entries: Sequence[NewEntry]) -> None:
        for one in entries:
            if one.topic in self.trouble:
                raise self.trouble[one.topic]
        self.appended += entries

    async def topics(self) -> Sequence[str]:
        return []

    async def bounds(self, _: Sequence[str]) -> Mapping[str, int]:
        return {}

    async def committed(self, _group: str, _topics: Sequence[str]) -> Mapping[str, int]:
        return {}


@dataclass
class Store:
    """Has targets of two tenants, once."""

    due: list[ClaimedTarget] = field(default_factory=lambda: [target(t, n) for n in range(3) for t in ("zeta", "acme")])

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        assert (now, limit, lease) == (NOW, 500, timedelta(minutes=5))
        due, self.due = self.due, []
        return due


def relay(log: Log) -> Relay:
    return Relay(
        log=cast("EventLog", log),
        store=cast("RecordStore", Store()),
        metrics=NoMetrics(),
        clock=lambda: NOW,
        stop=asyncio.Event(),
        lease=timedelta(minutes=5),
        poll_seconds=0.001,
    )


async def test_a_tenant_whose_topic_is_missing_waits_and_the_others_are_commanded() -> None:
    log = Log({ZETA: UnknownTopicError([ZETA])})
    one = relay(log)
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(20):
        while one.pulse.waiting_for is None and not running.done():  # noqa: ASYNC110 - a condition
            await asyncio.sleep(0)
    one.stop.set()
    await running
    assert one.pulse.waiting_for == "unknown_topic"
    assert [entry.topic for entry in log.appended] == [ACME] * 3
    assert one.pulse.handled == 3


async def test_a_tenant_whose_topic_takes_nothing_holds_up_no_other() -> None:
    log = Log({ZETA: LogUnavailableError("no leader")})
    one = relay(log)
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(20):
        while one.pulse.waiting_for is None and not running.done():  # noqa: ASYNC110 - a condition
            await asyncio.sleep(0)
    one.stop.set()
    await running
    assert [entry.topic for entry in log.appended] == [ACME] * 3
