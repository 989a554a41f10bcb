"""kill -9 loses nothing and keeps nothing twice: at every named step of every worker, and at any moment."""

from __future__ import annotations

import asyncio
import functools
import random
from typing import TYPE_CHECKING

from tests.stage.kills import MOMENTS, Kill
from tests.stage.stage import ALONE, WORKERS, StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_STEPS = {
    "edge": ("log.append",),
    "archive": ("subscription.fetch", "records.keep", "log.append", "subscription.commit"),
    "media": ("subscription.fetch", "log.append", "connector.open_part", "blobs.put", "subscription.commit"),
    "relay": ("records.claim_due", "log.append"),
    "erase": ("subscription.fetch", "connector.erase", "log.append", "subscription.commit"),
    "claim": ("subscription.fetch", "log.append", "subscription.commit"),
}
_BUSY = 60
"""While so many items are under way at the provider, no more are added."""


async def test_killed_at_every_step_of_every_worker(open_each_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    kills = {worker: _kills(worker, chance) for worker in WORKERS}

    async with open_each_stage(StageOptions(seed=fault_seed, registered=("umbrella",))) as stage:
        for worker in WORKERS:
            await stage.employ(worker, (worker,), kills=kills[worker])
        await stage.play()
        await stage.until("some bodies have no owner", lambda: _has_unclaimed(stage))
        stage.home.register("umbrella", "harbour")  # now the claim worker has something to do at all its steps
        while left := _left(stage):
            await stage.play()
            await stage.until("a process dies, or there is nothing to do", functools.partial(_wants_more, stage, left))
        await stage.play()  # so that the last media worker has fetched something, which vouches for what is gone
        await stage.settled()

        assert {worker: actor.struck for worker, actor in stage.actors.items()} == kills


async def test_killed_at_any_moment(open_private_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    victims = [*WORKERS, "postgres", *chance.choices(WORKERS, k=3)]
    chance.shuffle(victims)

    async with open_private_stage(StageOptions(seed=fault_seed, processes=ALONE)) as stage:
        await stage.start()
        for victim in victims:
            await stage.play()
            await stage.until("there is room for more", lambda: _has_room(stage))
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            if victim == "postgres":
                await stage.servers.by_role["log"].kill()
                await stage.servers.by_role["log"].restart()
            else:
                stage.actors[victim].kill()
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0


async def test_deletes_of_a_worker_that_did_not_live_to_tell_count_as_its_own(
    open_stage: OpenStage, fault_seed: int
) -> None:
    patient = {"workers": {"erase_lease_seconds": 60.0}}
    async with open_stage(StageOptions(seed=fault_seed, overrides=patient)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("rest", ("archive", "media", "relay", "claim"))
        while len(await _commanded(stage)) < 40:
            await stage.play()
            await stage.until("all is commanded", lambda: _waits_for_erasure(stage))
        moments = ("connector.erase", "after", 1 + fault_seed % 8), ("log.append", "before", 1)
        kills = [Kill(step=step, moment=moment, count=count) for step, moment, count in moments]
        erase = await stage.employ("erase", ("erase",), kills=kills)
        account = await stage.settled()

        assert erase.struck == kills
        assert account.erased == sum(one["outcome"] == "erased" for one in stage.provider.deletes())


def _kills(worker: str, chance: random.Random) -> list[Kill]:
    """Each step and moment once, in any order and at any of its first arrivals."""
    once = worker == "claim"  # what it does, it does once: the last thing last
    kills = [
        Kill(step=step, moment=moment, count=1 if once else chance.randint(1, 3))
        for step in _STEPS[worker]
        for moment in MOMENTS
    ]
    if not once:
        chance.shuffle(kills)
    return kills


def _left(stage: Stage) -> int:
    """How many kills are still to strike."""
    return sum(len(actor.kills) for actor in stage.actors.values())


async def _wants_more(stage: Stage, left: int) -> bool:
    return (_left(stage) < left and await _has_room(stage)) or not await stage.pending()


async def _has_room(stage: Stage) -> bool:
    return stage.provider.pending < _BUSY


async def _has_unclaimed(stage: Stage) -> bool:
    return await stage.unclaimed() > 0


async def _commanded(stage: Stage) -> list[object]:
    return [*await stage.servers.fetch("records", "SELECT FROM custody_pas.targets WHERE state = 'commanded'")]


async def _waits_for_erasure(stage: Stage) -> bool:
    """Whether nothing is left to do but to erase."""
    problems = await stage.pending()
    undecided = await stage.servers.fetch(
        "records", "SELECT FROM custody_pas.targets WHERE state IN ('waiting', 'due')"
    )
    return bool(problems) and all(" open is " in one for one in problems) and not undecided
