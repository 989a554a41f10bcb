"""The fetcher's loop: what one tenant's topics lack holds up no other tenant's parts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from broker.core import codec
from broker.core.delivery import DeliveryPolicy
from broker.core.errors import UnknownTopicError
from broker.core.identity import TenantKey
from broker.core.metrics import NoMetrics
from broker.core.model import FetchTask, MediaObject, PartOutcome, PartState
from broker.core.registry import Registry, Tenant
from broker.core.topics import Stream, TopicPartition, split_topic, topic_name
from broker.core.values import replace
from broker.workers.media.fetcher import Fetcher
from tests.scripted_log import ScriptedSubscription, entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.core.ports import EventLog, LogEntry, NewEntry
    from broker.workers.media import Fetching

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACME, ZETA = (TopicPartition(topic_name(tenant, Stream.FETCHES), 0) for tenant in ("acme", "zeta"))


def tasks(place: TopicPartition, count: int) -> list[LogEntry]:
    task = FetchTask(
        tenant=split_topic(place.topic)[0],
        account="1",
        provider="p",
        record_id="rec_a",
        conversation="cnv_a",
        fingerprint=b"f",
        target_id="tgt_a",
        media=MediaObject(part=1, object_id="m"),
        mime="image/jpeg",
        received_at=NOW,
        fetch_by=NOW + timedelta(days=1),
    )
    return [
        entry(place.topic, number, value=codec.canonical(replace(task, record_id=f"rec_{number}")))
        for number in range(count)
    ]


class Log:
    """Has no topic of these tenants."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.refused = 0

    async def append(self, entries: Sequence[NewEntry]) -> None:
        for one in entries:
            if split_topic(one.topic)[0] in self.missing:
                self.refused += 1
                raise UnknownTopicError([one.topic])


class Parts:
    """Every part is there."""

    def registry(self) -> Registry:
        tenants = {name: Tenant(name=name, zone="UTC", key=TenantKey(bytes(32))) for name in ("acme", "zeta")}
        return Registry(tenants=tenants, apps={}, accounts={})

    async def fetch(self, task: FetchTask) -> PartOutcome:
        return PartOutcome(
            record_id=task.record_id,
            fingerprint=task.fingerprint,
            number=1,
            target_id=task.target_id,
            state=PartState.KEPT,
            salt=bytes(32),
        )


def fetcher(log: Log, entries: Sequence[LogEntry]) -> tuple[Fetcher, ScriptedSubscription]:
    subscription = ScriptedSubscription(entries)
    return (
        Fetcher(
            log=cast("EventLog", log),
            subscription=subscription,
            fetching=cast("Fetching", Parts()),
            metrics=NoMetrics(),
            clock=lambda: NOW,
            stop=asyncio.Event(),
            policy=DeliveryPolicy(first_wait_seconds=0.001, most_wait_seconds=0.002),
        ),
        subscription,
    )


async def run_until(one: Fetcher, condition: Callable[[], bool]) -> None:
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(20):
        while not condition() and not running.done():  # noqa: ASYNC110 - the condition is any of the test's own
            await asyncio.sleep(0.001)
    one.stop.set()
    await running


async def test_a_partition_that_lost_entries_stops_and_the_others_parts_are_fetched() -> None:
    one, subscription = fetcher(Log(), tasks(ACME, 3))
    subscription.lost = frozenset({ZETA})
    await run_until(one, lambda: subscription.committed.get(ACME) == 3)
    assert one.pulse.stopped == {ZETA: "log_changed"}


async def test_a_tenant_without_a_topic_for_results_waits_and_the_others_parts_are_fetched() -> None:
    log = Log("zeta")
    one, subscription = fetcher(log, [*tasks(ZETA, 3), *tasks(ACME, 3)])
    await run_until(one, lambda: subscription.committed.get(ACME) == 3 and log.refused >= 3)
    assert subscription.committed == {ACME: 3, ZETA: 0}


async def test_a_job_that_cannot_be_put_off_for_want_of_a_topic_stays_where_it_is() -> None:
    log = Log("zeta")
    one, subscription = fetcher(log, [*tasks(ZETA, 3), *tasks(ACME, 3)])
    one.policy = DeliveryPolicy(first_wait_seconds=60, most_wait_seconds=60)  # so that they wait, and are stragglers
    one.straggle_entries = 0
    await run_until(one, lambda: subscription.committed.get(ACME) == 3 and log.refused > 9)
    assert subscription.committed == {ACME: 3, ZETA: 0}
