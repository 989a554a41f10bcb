"""The stage with its log on Kafka: it settles, starts afresh each time, and outlives a lost broker."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

from tests.kafka_clients import admin_client
from tests.stage import StageOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fault.conftest import OpenStage
    from tests.stage import Stage

_MESSAGES = 60


def _delivered(stage: Stage, count: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return stage.delivered() >= count

    return holds


async def test_workers_killed_on_kafka_lose_nothing(open_kafka_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_kafka_stage(StageOptions(seed=fault_seed, log="kafka")) as stage:
        assert stage.log.identity.startswith("kafka:")
        await stage.start()
        await stage.play(_MESSAGES)
        for _ in range(2):
            await stage.until("some are delivered", _delivered(stage, chance.randrange(5, _MESSAGES // 2)))
            await stage.dismiss("rest", number=signal.SIGKILL)
            await stage.start("rest")
        account = await stage.settled(unblocking=True)
    assert account.accepted >= _MESSAGES


async def test_a_killed_and_a_frozen_broker_of_three_lose_nothing(
    open_cluster_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_cluster_stage(StageOptions(seed=fault_seed, log="kafka")) as stage:
        brokers = stage.servers.cluster().brokers
        await stage.start()
        await stage.play(_MESSAGES)
        await stage.until("some are delivered", _delivered(stage, 10))
        await (killed := chance.choice(brokers)).kill()
        await stage.until("more are delivered", _delivered(stage, _MESSAGES))
        await killed.restart()
        (frozen := chance.choice(brokers)).freeze()
        await stage.play(_MESSAGES)
        await stage.until("more are delivered", _delivered(stage, 2 * _MESSAGES))
        frozen.thaw()
        account = await stage.settled(unblocking=True)
    assert account.accepted >= 2 * _MESSAGES


async def test_a_stage_finds_no_topic_of_the_one_before(open_kafka_stage: OpenStage, fault_seed: int) -> None:
    for _ in range(2):
        async with open_kafka_stage(StageOptions(seed=fault_seed, log="kafka")) as stage:
            async with admin_client(stage.servers.cluster().bootstrap) as admin:
                assert await admin.list_topics()
            assert (await stage.account()).accepted == 0
            await stage.start()
            await stage.play()
            assert (await stage.settled(unblocking=True)).accepted > 0
