"""A worker that hangs loses its partitions to others; what it does when it wakes is absorbed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.stage.kills import MOMENTS, Kill
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.actors import Actor
    from tests.stage.stage import Stage

_STEPS = {
    "archive": ("records.keep", "log.append", "subscription.commit"),
    "media": ("connector.open_part", "blobs.put", "log.append", "subscription.commit"),
}
_OWNERS = """
SELECT count(DISTINCT owner) AS owners, count(*) FILTER (WHERE owner IS NULL) AS free
FROM custody_log.claims JOIN custody_log.groups USING (group_id) WHERE name = $1
"""
_GROUPS = {"archive": ("archive",), "media": ("media", "fetch")}


async def test_a_frozen_worker_is_taken_over_and_absorbed_when_it_wakes(open_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_stage(StageOptions(seed=fault_seed)) as stage:
        for name, workers in {"edge": ("edge",), "rest": ("relay", "erase", "claim")}.items():
            await stage.employ(name, workers)
        frozen = [await _employ_two(stage, worker, chance) for worker in _STEPS]
        await stage.until("both share the work", lambda: _owned_by(stage, 2))
        while not all(actor.frozen for actor in frozen):
            await stage.play()
            await stage.until("they froze, or there is nothing to do", lambda: _wants_more(stage, frozen))
        await stage.until("the others took over", lambda: _owned_by(stage, 1))
        await stage.play()
        await stage.until("the others did it all", lambda: _is_done(stage))

        for actor in frozen:
            actor.wake()
        await stage.play()
        await stage.until("both share the work again", lambda: _owned_by(stage, 2))
        await stage.play()
        account = await stage.settled()

        assert account.dead == 0


async def _employ_two(stage: Stage, worker: str, chance: random.Random) -> Actor:
    """Two of a kind; the one that will freeze, with a batch or a part in hand."""
    kill = Kill(
        step=chance.choice(_STEPS[worker]), moment=chance.choice(MOMENTS), count=chance.randint(1, 2), signal="SIGSTOP"
    )
    await stage.employ(f"{worker}-other", (worker,))
    return await stage.employ(worker, (worker,), kills=[kill])


async def _owned_by(stage: Stage, owners: int) -> bool:
    """Whether so many members of each group own all of its partitions."""
    for group in (group for groups in _GROUPS.values() for group in groups):
        (row,) = await stage.servers.fetch("log", _OWNERS, group)
        if (row["owners"], row["free"]) != (owners, 0):
            return False
    return True


async def _wants_more(stage: Stage, frozen: list[Actor]) -> bool:
    return all(actor.frozen for actor in frozen) or not await stage.pending()


async def _is_done(stage: Stage) -> bool:
    return not await stage.pending()
