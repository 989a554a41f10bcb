"""A worker that hangs loses its partitions to others; what it does when it wakes is absorbed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from broker.core.errors import OwnershipLostError
from broker.core.topics import TopicPartition, topic_name
from broker.workers.lag import READ_BY
from tests.stage.home import TENANTS
from tests.stage.kills import MOMENTS, Kill
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.fault.conftest import OpenStage
    from tests.stage.actors import Actor
    from tests.stage.stage import Stage

_STEPS = {
    "archive": ("records.keep", "log.append", "subscription.commit"),
    "media": ("connector.open_part", "blobs.put", "log.append", "subscription.commit"),
}
_GROUPS = {"archive": ("archive",), "media": ("media", "fetch")}


async def test_a_frozen_worker_is_taken_over_and_absorbed_when_it_wakes(
    open_each_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_each_stage(StageOptions(seed=fault_seed)) as stage:
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

        reached = await _committed(stage)
        for actor in frozen:
            actor.wake()
        await stage.play()
        await stage.until("both share the work again", lambda: _owned_by(stage, 2))
        await stage.play()
        account = await stage.settled()

        assert account.dead == 0
        _refuse_going_back(reached, await _committed(stage))


async def test_a_commit_that_comes_after_the_session_is_refused_and_moves_nothing(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    late = Kill(step="subscription.commit", moment="before", count=1 + fault_seed % 2, signal="SIGSTOP")
    async with open_log_stage(StageOptions(seed=fault_seed)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("rest", ("media", "relay", "erase", "claim"))
        archive = await stage.employ("archive", ("archive",), kills=[late])
        while not archive.frozen:
            await stage.play()
            await stage.until("it froze, or there is nothing to do", lambda: _wants_more(stage, [archive]))
        await stage.employ("archive-other", ("archive",))
        await stage.play()  # so that the other one comes further than the late commit
        await stage.until("the other did it all", lambda: _is_done(stage))
        reached = await _committed(stage)

        archive.wake()
        await stage.until("its commit is refused", lambda: _is_refused(archive))
        _refuse_going_back(reached, await _committed(stage))
        await stage.play()
        account = await stage.settled()

        assert account.dead == account.lost == 0


async def _employ_two(stage: Stage, worker: str, chance: random.Random) -> Actor:
    """Two of a kind; the one that will freeze, with a batch or a part in hand."""
    kill = Kill(
        step=chance.choice(_STEPS[worker]), moment=chance.choice(MOMENTS), count=chance.randint(1, 2), signal="SIGSTOP"
    )
    await stage.employ(f"{worker}-other", (worker,))
    return await stage.employ(worker, (worker,), kills=[kill])


async def _owned_by(stage: Stage, owners: int) -> bool:
    """Whether so many members of each group own all of its partitions."""
    for group in _groups():
        members = await stage.log.members(group)
        if members.keys() != (await stage.log.bounds(_topics(group))).keys() or len(set(members.values())) != owners:
            return False
    return True


async def _committed(stage: Stage) -> Mapping[tuple[str, TopicPartition], int]:
    """How far each group has come."""
    return {
        (group, place): offset
        for group in _groups()
        for place, offset in (await stage.log.committed(group, _topics(group))).items()
    }


def _refuse_going_back(
    before: Mapping[tuple[str, TopicPartition], int], after: Mapping[tuple[str, TopicPartition], int]
) -> None:
    assert {one: after[one] for one, offset in before.items() if after[one] < offset} == {}, "offsets went back"


def _groups() -> Sequence[str]:
    return [group for groups in _GROUPS.values() for group in groups]


def _topics(group: str) -> Sequence[str]:
    return [topic_name(tenant, stream) for tenant in TENANTS for stream in READ_BY[group]]


async def _wants_more(stage: Stage, frozen: list[Actor]) -> bool:
    return all(actor.frozen for actor in frozen) or not await stage.pending()


async def _is_done(stage: Stage) -> bool:
    return not await stage.pending()


async def _is_refused(actor: Actor) -> bool:
    lines = [json.loads(line) for line in actor.log.read_text().splitlines() if line.startswith("{")]
    return any(one.get("action") == "delivery.commit" and one["code"] == OwnershipLostError.code for one in lines)
