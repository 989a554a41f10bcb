"""Kafka away from the edge, or away from all: the provider is asked to come again, and nothing is missing after."""

from __future__ import annotations

import functools
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.fault.test_outages import post_signed
from tests.kafka_wire import Wire
from tests.stage import StageOptions
from tests.stage.traffic import more_is_delivered, traffic

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fault.conftest import OpenStage
    from tests.stage import Stage

_WORKERS = ("archive", "media", "relay", "erase", "claim")


async def test_a_log_that_only_the_edge_can_not_reach_costs_the_provider_another_try(
    open_kafka_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with (
        open_kafka_stage(StageOptions(seed=fault_seed, log="kafka")) as stage,
        _wire() as wire,
    ):
        bootstrap = ",".join(await wire.to(stage.servers.cluster().bootstrap))
        await stage.employ("edge", ("edge",), environment={"CUSTODY_LOG__BOOTSTRAP": bootstrap})
        await stage.employ("rest", _WORKERS)
        async with traffic(stage):
            for _ in range(2):
                await more_is_delivered(stage, chance.randint(5, 40))
                refused = _refused(stage)
                wire.cut()
                await _is_told_to_come_again(stage)
                await stage.until("the provider is refused", functools.partial(_is_refused, stage, refused))
                wire.mend()
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert await stage.dead_letters() == 0
        assert {name: actor.starts for name, actor in stage.actors.items()} == {"edge": 1, "rest": 1}


async def test_a_cluster_that_is_down_as_a_whole_costs_time_and_nothing_else(
    open_lone_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_lone_stage(StageOptions(seed=fault_seed, log="kafka")) as stage:
        cluster = stage.servers.cluster()
        await stage.start()
        async with traffic(stage):
            await more_is_delivered(stage, chance.randint(5, 40))
            refused = _refused(stage)
            await cluster.kill() if fault_seed % 2 else await cluster.stop()
            await _is_told_to_come_again(stage)
            await stage.until("the provider is refused", lambda: _is_refused(stage, refused))
            for name in ("edge", "rest"):
                assert (await stage.actors[name].health("live"))[0] == 200
            await cluster.restart()
            await more_is_delivered(stage, 10)
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert await stage.dead_letters() == 0
        assert {name: actor.starts for name, actor in stage.actors.items()} == {"edge": 1, "rest": 1}


@asynccontextmanager
async def _wire() -> AsyncGenerator[Wire]:
    wire = Wire()
    try:
        yield wire
    finally:
        await wire.close()


async def _is_told_to_come_again(stage: Stage) -> None:
    status, headers = await post_signed(stage, b"{}")
    assert (status, headers["Retry-After"]) == (503, "1")
    await stage.until("the edge is not ready", lambda: _answers(stage, "ready", 503))
    assert await _answers(stage, "live", 200)


async def _answers(stage: Stage, path: str, status: int) -> bool:
    return (await stage.actors["edge"].health(path))[0] == status


def _refused(stage: Stage) -> int:
    """How many posts were answered 503 so far."""
    answers = stage.provider.summary()["answers"]
    return int(answers.get("503", 0)) if isinstance(answers, dict) else 0


async def _is_refused(stage: Stage, before: int) -> bool:
    return _refused(stage) > before
