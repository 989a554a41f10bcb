"""A topic that is deleted and made anew under the workers: its partitions stop and say why, and nothing is passed over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiokafka.admin import NewTopic
from aiokafka.errors import for_code

from broker.core.topics import Stream, TopicPartition, topic_name
from tests.kafka_clients import admin_client
from tests.stage import StageOptions
from tests.stage.home import TENANTS

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage import Stage
    from tests.stage.actors import Actor

_APART = {"edge": ("edge",), "archive": ("archive",), "rest": ("media", "relay", "erase", "claim")}
_TOPIC = topic_name(TENANTS[0], Stream.MESSAGES)


async def test_a_topic_made_anew_stops_its_partitions_and_no_others(
    open_kafka_stage: OpenStage, fault_seed: int
) -> None:
    options = StageOptions(seed=fault_seed, log="kafka", processes=_APART, overrides={"log": {"session_seconds": 20.0}})
    async with open_kafka_stage(options) as stage:
        await stage.start()
        await stage.play()
        before = await stage.settled()
        import signal
        import asyncio

        if fault_seed % 2 == 0:
            stage.actors["archive"].send(signal.SIGSTOP)
        await _make_anew(stage)
        ends = {p: b.end for p, b in (await stage.log.bounds([_TOPIC])).items()}
        print("new", ends)
        await stage.play(60)
        await asyncio.sleep(3)
        print("delivered", stage.provider.pending, await stage.log.bounds([_TOPIC]))
        if fault_seed % 2 == 0:
            stage.actors["archive"].send(signal.SIGCONT)
        for _ in range(10):
            await asyncio.sleep(1)
            print(await stage.actors["archive"].health("workers"))
        print(await stage.store.progress(stage.log.identity, [_TOPIC]))
        print(await stage.command("lag", "--json"))
        print(stage.actors["archive"].tail())
        print(stage.actors["rest"].tail())
        assert False


async def _make_anew(stage: Stage) -> None:
    partitions = len(await stage.log.bounds([_TOPIC]))
    async with admin_client(stage.servers.cluster().bootstrap) as admin:
        await admin.delete_topics([_TOPIC])
        while True:
            answer = await admin.create_topics([NewTopic(_TOPIC, partitions, 1)])
            ((_, code, *_rest),) = answer.topic_errors
            if not code:
                return
            print("create", for_code(code))
