"""Drawing the account.

The store's snapshot comes first and the log's offsets after it, so that what came meanwhile counts as unprocessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.account import Account, draw
from broker.core.topics import ACCOUNTED_STREAMS, topic_name, unclaimed_topic
from broker.workers.claim import GROUP as CLAIM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from broker.core.ports import EventLog, RecordStore


async def draw_accounts(log: EventLog, store: RecordStore, tenants: Iterable[str]) -> Mapping[str, Account]:
    """The account of each tenant. Unclaimed bodies belong to none: see `count_unclaimed`."""
    drawn: dict[str, Account] = {}
    for tenant in tenants:
        tally = await store.tally(tenant, log.identity)
        bounds = await log.bounds([topic_name(tenant, stream) for stream in ACCOUNTED_STREAMS])
        drawn[tenant] = draw(tally, bounds)
    return drawn


async def count_unclaimed(log: EventLog) -> int:
    """Bodies kept raw that nobody has claimed yet."""
    topics = [unclaimed_topic().name]
    bounds, claimed = await log.bounds(topics), await log.committed(CLAIM, topics)
    return sum(one.end - max(one.first, claimed.get(place, 0)) for place, one in bounds.items())
