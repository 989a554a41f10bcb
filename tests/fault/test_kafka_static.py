"""Workers with a name of their own, killed and started again within their session, take nobody else's work away."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING

from broker.core.topics import ARCHIVED_STREAMS, topic_name
from broker.workers.archive import GROUP
from tests.stage import StageOptions
from tests.stage.home import TENANTS
from tests.stage.traffic import more_is_delivered, traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.topics import TopicPartition
    from tests.fault.conftest import OpenStage
    from tests.stage import Stage

_APART = {"edge": ("edge",), "rest": ("media", "relay", "erase", "claim")}
_NAMED = ("archive-0", "archive-1")
_LOG = {"session_seconds": 600.0}
"""By far more than anybody here waits: what a dead worker had comes back with its name, or not at all."""
_TOPICS = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
_REBALANCE = f"Preparing to rebalance group {GROUP} "


async def test_a_named_worker_that_is_killed_gets_its_partitions_back_unnoticed(
    open_kafka_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    options = StageOptions(seed=fault_seed, log="kafka", processes=_APART, overrides={"log": _LOG})
    async with open_kafka_stage(options) as stage:
        await stage.start()
        for name in _NAMED:
            await stage.employ(name, ("archive",), environment={"CUSTODY_LOG__INSTANCE": name})
        await stage.until("both share the work", lambda: _is_shared(stage))
        owners, rebalances = await stage.log.members(GROUP), _rebalances(stage)
        assert rebalances > 0

        async with traffic(stage):
            for name in chance.sample([*_NAMED, chance.choice(_NAMED)], 3):
                await more_is_delivered(stage, chance.randint(5, 30))
                stage.actors[name].kill()
                ends = {place: one.end for place, one in (await stage.log.bounds(_TOPICS)).items()}
                await stage.until("all that was there is kept", functools.partial(_reaches, stage, ends))
        account = await stage.settled()

        assert await stage.log.members(GROUP) == owners
        assert _rebalances(stage) == rebalances
        assert sum(stage.actors[name].starts for name in _NAMED) == len(_NAMED) + 3
        assert account.dead == account.lost == 0


async def _is_shared(stage: Stage) -> bool:
    members: Mapping[TopicPartition, str] = await stage.log.members(GROUP)
    places = await stage.log.bounds(_TOPICS)
    return members.keys() == places.keys() and len(set(members.values())) == len(_NAMED)


async def _reaches(stage: Stage, ends: Mapping[TopicPartition, int]) -> bool:
    progress = await stage.store.progress(stage.log.identity, _TOPICS)
    return all(place in progress and progress[place].next >= end for place, end in ends.items() if end)


def _rebalances(stage: Stage) -> int:
    """How often the archive workers' group was shared out anew, by the broker's word."""
    (broker,) = stage.servers.cluster().brokers
    return broker.log.read_text(errors="replace").count(_REBALANCE)
