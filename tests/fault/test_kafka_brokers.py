"""Brokers that are killed under load: what was acknowledged is there, what was not comes again."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING

from tests.stage import StageOptions
from tests.stage.brokers import all_in_sync, busiest_leader
from tests.stage.stage import APART
from tests.stage.traffic import more_is_delivered, traffic

if TYPE_CHECKING:
    from broker.log.kafka.local.node import LocalBroker
    from tests.fault.conftest import OpenStage


async def test_the_leader_of_a_busy_partition_killed_again_and_again_loses_nothing(
    open_cluster_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_cluster_stage(StageOptions(seed=fault_seed, log="kafka", processes=APART)) as stage:
        await stage.start()
        killed: list[LocalBroker] = []
        async with traffic(stage):
            for _ in range(2):
                await more_is_delivered(stage, chance.randint(20, 60))
                await stage.until("every replica is in sync", functools.partial(all_in_sync, stage))
                killed.append(await busiest_leader(stage, but=killed))
                await killed[-1].kill()
                await more_is_delivered(stage, 40)  # by two brokers
                await killed[-1].restart()
        account = await stage.settled(unblocking=True)

        assert account.dead == account.lost == 0
        assert await stage.dead_letters() == 0
        assert {name: actor.starts for name, actor in stage.actors.items()} == dict.fromkeys(APART, 1)
