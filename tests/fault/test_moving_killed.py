"""`custody copy` killed again and again: the next run goes on, and in the end both stores hold the same."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

from backends.mongo.steps import shapes
from broker.store_options import s3_options
from tests.fault.test_two_stores import parity
from tests.mongo_stores import administered
from tests.s3_servers import bare_client
from tests.stage import Layout, StageOptions
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3
    from tests.stage import Stage

_MESSAGES, _KILLS = 400, 4
_COPY = ("copy", "main", "other", "--why", "a test", "--bytes-per-second", "400000")


async def test_a_copy_that_is_killed_again_and_again_is_completed_by_the_next_run(
    open_stage: OpenStage, mongo_server: SharedMongo, s3_server: SharedS3, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with (
        on_s3_mongo(mongo_server, s3_server) as there,
        open_stage(StageOptions(seed=fault_seed, layout=Layout(other=there))) as stage,
    ):
        await stage.start()
        await stage.play(_MESSAGES)
        account = await stage.settled()
        await stage.dismiss()
        uri, total = str(there.records["admin_uri"]), account.kept + account.parts_kept

        goals = sorted(chance.sample(range(total), _KILLS))
        struck = [await _is_struck(stage, uri, goal) for goal in goals]
        assert any(struck), "every copy was done before it could be killed"
        assert not (await parity(stage))["same"]

        code, said = await stage.command(*_COPY)
        assert code == 0, said.decode()
        assert (await parity(stage))["same"]


async def _is_struck(stage: Stage, uri: str, goal: int) -> bool:
    """Whether the copy was killed once so much was there, and not done before."""
    child, _ = await stage.begin(*_COPY)
    while not child.ended.done() and await _amount(stage, uri) < goal:  # noqa: ASYNC110 - a server's state
        await asyncio.sleep(0.02)
    child.send(signal.SIGKILL)
    return await child.ended == -signal.SIGKILL


async def _amount(stage: Stage, uri: str) -> int:
    """How many documents and objects the other store has."""
    view = stage.settings.second()
    assert view is not None
    options = s3_options(view)
    async with administered(uri) as database, bare_client(options) as client:
        documents: list[int] = [await database[name].count_documents({}) for name in shapes()]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=options.bucket)
        objects: list[int] = [page["KeyCount"] async for page in pages]
    return sum(documents) + sum(objects)
