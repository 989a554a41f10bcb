"""Workers that join and leave all the time: partitions go from hand to hand, and nothing falls between them."""

from __future__ import annotations

import functools
import random
import signal
from typing import TYPE_CHECKING

from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.media.scan import GROUP as MEDIA
from tests.stage.kills import Kill
from tests.stage.stage import StageOptions
from tests.stage.traffic import more_is_delivered, traffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.topics import TopicPartition
    from tests.fault.conftest import OpenStage
    from tests.stage.actors import Actor
    from tests.stage.stage import Stage

_GROUPS = {"archive": ARCHIVE, "media": MEDIA}
_STEADY = {"edge": ("edge",), "archive": ("archive",), "media": ("media",), "rest": ("relay", "erase", "claim")}
_ROUNDS = 6
_LEAVING = (signal.SIGTERM, signal.SIGKILL)


async def test_workers_that_come_and_go_under_load_lose_nothing(open_log_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_log_stage(StageOptions(seed=fault_seed, processes=_STEADY)) as stage:
        await stage.start()
        async with traffic(stage):
            for number in range(_ROUNDS):
                workers = chance.choice([("archive",), ("media",), ("archive", "media")])
                await _come(stage, f"guest-{number}", workers)
                await more_is_delivered(stage, chance.randint(1, 30))
                leaving = chance.choice([f"guest-{number}", *workers])  # the guest, or whose place it takes
                await stage.dismiss(leaving, number=_LEAVING[number % 2])
                if leaving in _STEADY:
                    await stage.start(leaving)
                    await stage.dismiss(f"guest-{number}", number=chance.choice(_LEAVING))
        await stage.play()  # so that whoever is there now has fetched something, which vouches for what is gone
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert await stage.dead_letters() == 0


async def test_what_a_worker_that_leaves_has_in_hand_is_done_by_the_next(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    """It leaves in good order, with a batch fetched ahead: what it did not do it may not commit."""
    without = {name: workers for name, workers in _STEADY.items() if name != "media"}
    small = {"workers": {"batch_entries": 5}}
    async with open_log_stage(StageOptions(seed=fault_seed, processes=without, overrides=small)) as stage:
        await stage.start()
        await stage.play()
        await stage.until("the provider is done", lambda: _delivered(stage))
        for count in (1, 2):
            freeze = Kill(step="log.append", moment="after", count=count, signal="SIGSTOP")
            leaving = await stage.employ("leaving", ("media",), kills=[freeze])
            await stage.until("it has one batch done and one in hand", functools.partial(_is_frozen, leaving))
            assert await stage.dismiss("leaving") == {"leaving": 0}
        await stage.employ("media", ("media",))
        await stage.play()  # as above
        account = await stage.settled()

        assert account.dead == account.lost == 0


async def _come(stage: Stage, name: str, workers: Sequence[str]) -> None:
    """Starts one more process, and waits until others have given it partitions."""
    before = {worker: set((await stage.log.members(_GROUPS[worker])).values()) for worker in workers}
    await stage.employ(name, workers)

    async def shared() -> bool:
        return all([_is_shared(await stage.log.members(_GROUPS[one]), before[one]) for one in workers])

    await stage.until(f"{name} has partitions", shared)


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0


async def _is_frozen(actor: Actor) -> bool:
    return actor.frozen


def _is_shared(members: Mapping[TopicPartition, str], before: set[str]) -> bool:
    return not set(members.values()) <= before
