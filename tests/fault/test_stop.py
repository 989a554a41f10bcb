"""SIGTERM: every process ends by itself with nothing half done, and the next one goes on where it stopped."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from broker.core.topics import ARCHIVED_STREAMS, topic_name
from broker.workers.archive import GROUP
from tests.stage.home import TENANTS
from tests.stage.stage import ALONE, WORKERS, StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage


async def test_sigterm_ends_each_process_with_its_batch_finished(open_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    async with open_stage(StageOptions(seed=fault_seed, processes=ALONE)) as stage:
        await stage.start()
        for _ in range(2):
            await stage.until("all are up", lambda: _are_up(stage))
            playing = asyncio.create_task(stage.play(60))
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            codes = await stage.dismiss(*chance.sample(WORKERS, len(WORKERS)))
            progress = await stage.store.progress(stage.log.identity, topics)
            committed = await stage.log.committed(GROUP, topics)
            await stage.start()
            await playing

            assert codes == dict.fromkeys(WORKERS, 0)
            assert committed == {place: one.next for place, one in progress.items()}
        account = await stage.settled()

        assert account.dead == 0


async def _are_up(stage: Stage) -> bool:
    """Whether every process answers: until then it has not begun, and a signal ends it as any program."""
    return all([(await actor.health("live"))[0] == 200 for actor in stage.actors.values()])
