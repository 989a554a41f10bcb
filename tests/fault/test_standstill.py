"""A partition that stands still turns liveness red, so that a restart mends it; what a restart can't mend does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stage.kills import HOLD, Kill
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fault.conftest import OpenStage
    from tests.stage.actors import Actor
    from tests.stage.stage import Stage

_BOUND_SECONDS = 2
_MOST_WAIT_SECONDS = 0.1
_OPTIONS = {
    "workers": {
        "frozen_after_seconds": _BOUND_SECONDS,
        "first_wait_seconds": 0.05,
        "most_wait_seconds": _MOST_WAIT_SECONDS,
    }
}
_BEATS = 60
"""While an outage lasts, a loop gives one sign of life for each wait: so many take several times the bound."""


async def test_one_partition_that_stands_still_turns_liveness_red(open_log_stage: OpenStage, fault_seed: int) -> None:
    hold = Kill(step="subscription.fetch", moment="after", count=1 + fault_seed % 3, signal=HOLD)
    async with open_log_stage(StageOptions(seed=fault_seed, overrides=_OPTIONS)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("rest", ("media", "relay", "erase", "claim"))
        archive = await stage.employ("archive", ("archive",), kills=[hold])
        standing = await _red_for(stage, archive)
        assert all(one.startswith("archive custody.") and one.endswith("/0") for one in standing), standing

        await stage.dismiss("archive")
        await stage.employ("archive", ("archive",))
        await stage.settled()


async def test_parts_that_nobody_takes_in_turn_liveness_red(open_stage: OpenStage, fault_seed: int) -> None:
    hold = Kill(step="subscription.fetch", moment="after", signal=f"{HOLD}-fetches")
    async with open_stage(StageOptions(seed=fault_seed, overrides=_OPTIONS)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("rest", ("archive", "relay", "erase", "claim"))
        media = await stage.employ("media", ("media",), kills=[hold])
        standing = await _red_for(stage, media)
        assert all(one.startswith("media custody.") and one.endswith(".fetches.v1/0") for one in standing), standing

        await stage.dismiss("media")
        await stage.employ("media", ("media",))
        await stage.settled()


async def test_an_outage_of_the_store_leaves_liveness_green(open_wide_stage: OpenStage, fault_seed: int) -> None:
    async with open_wide_stage(StageOptions(seed=fault_seed, overrides=_OPTIONS)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("rest", ("media", "relay", "erase", "claim"))
        archive = await stage.employ("archive", ("archive",))
        await stage.play()
        await stage.settled()
        records = stage.servers.by_role["records"]
        await records.kill() if fault_seed % 2 else await records.stop()
        await stage.play()
        await stage.until("it waits for the store", lambda: _waits(archive))
        beats = await _beats(archive)
        await stage.until("the outage outlasts the bound by far", lambda: _has_beaten(archive, beats + _BEATS))
        assert (await archive.health("live"))[0] == 200

        await records.restart()
        account = await stage.settled()
        assert account.dead == 0


async def _red_for(stage: Stage, actor: Actor) -> Sequence[str]:
    """The partitions that liveness is red for, once it is red for one."""
    while not (found := await _standing(actor)):
        await stage.play()
        await stage.until("liveness is red, or all is done", lambda: _stands_or_done(stage, actor))
    return found


async def _stands_or_done(stage: Stage, actor: Actor) -> bool:
    return bool(await _standing(actor)) or not await stage.pending()


async def _standing(actor: Actor) -> Sequence[str]:
    """The partitions that stand still, as liveness says. On a slow machine it may find a loop slow, too."""
    _status, said = await actor.health("live")
    return [one for one in said.get("frozen", []) if " custody." in one] if isinstance(said, dict) else []


async def _worker(archive: Actor) -> dict[str, object]:
    _status, said = await archive.health("workers")
    found = said.get("archive", {}) if isinstance(said, dict) else {}
    return found if isinstance(found, dict) else {}


async def _waits(archive: Actor) -> bool:
    return (await _worker(archive)).get("waiting_for") == "store_unavailable"


async def _beats(archive: Actor) -> int:
    return int(str((await _worker(archive)).get("beats", 0)))


async def _has_beaten(archive: Actor, beats: int) -> bool:
    return await _beats(archive) >= beats
