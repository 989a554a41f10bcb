"""Stores change places under load, as docs/moving-stores.md says, and change back: one account goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from broker.core.erasure import TargetState
from broker.core.topics import ARCHIVED_STREAMS, topic_name
from tests.fault.test_two_stores import differences, parity
from tests.stage import Layout, StageOptions
from tests.stage.home import TENANTS
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from broker.core.ports import Progress
    from broker.core.topics import TopicPartition
    from tests.fault.conftest import OpenStage
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3
    from tests.stage import Stage

_PROCESSES = {
    "edge": ("edge",),
    "rest": ("archive", "media", "erase", "claim"),
    "more": ("archive", "media"),
    "relay": ("relay",),
}
"""Two of a kind start again one after the other: for a while one goes by the new settings, and one by the old."""
_BUT_RELAY = ("edge", "rest", "more")
_TOPICS = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
_MESSAGES, _PAUSE_SECONDS = 12, 0.4
_MOST_WAITING = 1_000


async def test_stores_change_places_under_load_and_back(
    open_stage: OpenStage, fault_seed: int, mongo_server: SharedMongo, s3_server: SharedS3
) -> None:
    async with on_s3_mongo(mongo_server, s3_server) as there:
        options = StageOptions(seed=fault_seed, processes=_PROCESSES, layout=Layout(other=there))
        async with open_stage(options) as stage:
            here = stage.home.on_postgres
            await stage.start()
            await stage.play()
            async with _load(stage):
                await _says_yes(stage, "copy", "main", "other", "--why", "moving")
                await _write_both(stage, Layout(other=there, writes_both=True))
            before = await _closed_alike(stage)

            async with _load(stage):
                await _change_places(stage, Layout(main=there, other=here, writes_both=True))
            between = await _closed_alike(stage)
            assert between > before

            async with _load(stage):
                await _change_places(stage, Layout(main=here, other=there, writes_both=True))
            assert await _closed_alike(stage) > between

            async with _load(stage):
                await _change_places(stage, Layout(main=there, other=here, writes_both=True))
                await _go_by(stage, Layout(main=there))
            account = await stage.settled()
            assert account.dead == account.lost == 0


async def _write_both(stage: Stage, layout: Layout) -> None:
    """Nothing is erased between the last copy and the moment at which both hold what is to be erased."""
    await stage.dismiss("relay")
    await stage.until("no command is out", lambda: _all_received(stage))
    await _says_yes(stage, "copy", "main", "other", "--why", "moving")
    await _go_by(stage, layout, *_BUT_RELAY)
    ends = {place: max(ours.next, theirs.next) for place, (ours, theirs) in (await _progress(stage)).items()}
    await stage.until("the other one has caught up", lambda: _is_at(stage, ends))
    await stage.start("relay")


async def _progress(stage: Stage) -> Mapping[TopicPartition, tuple[Progress, Progress]]:
    """How far the store that is behind has come in each partition, and how far the other one."""
    found = await stage.store.progress(stage.log.identity, _TOPICS)
    return {place: (one, one.beside or one) for place, one in found.items()}


async def _is_at(stage: Stage, ends: Mapping[TopicPartition, int]) -> bool:
    now = await _progress(stage)
    return all(now[place][0].next >= end for place, end in ends.items())


async def _change_places(stage: Stage, layout: Layout) -> None:
    """No command may be out meanwhile: its receipt would find its target uncommanded in the other store."""
    await stage.dismiss("relay")
    await stage.until("no command is out", lambda: _all_received(stage))
    await _go_by(stage, layout, *_BUT_RELAY)
    await stage.start("relay")


async def _all_received(stage: Stage) -> bool:
    return not [
        one for tenant in TENANTS async for one in stage.store.targets(tenant) if one.state == TargetState.COMMANDED
    ]


async def _go_by(stage: Stage, layout: Layout, *names: str) -> None:
    """New settings, and each of these processes started again with them; all by default."""
    await stage.lay_out(layout)
    await stage.restart(*names)


async def _closed_alike(stage: Stage) -> int:
    """The account closes, and both stores hold the same; how much was kept so far."""
    account = await stage.settled()
    assert account.dead == account.lost == 0
    same = await parity(stage)
    assert same["same"], differences(same)
    return account.kept


async def _says_yes(stage: Stage, *arguments: str) -> None:
    code, output = await stage.command(*arguments)
    assert code == 0, output.decode()


@asynccontextmanager
async def _load(stage: Stage) -> AsyncGenerator[None]:
    """The provider sends all the time, no faster than this machine can take in what comes of it."""
    done = asyncio.Event()
    sending = asyncio.create_task(_send(stage, done))
    try:
        yield
    finally:
        done.set()
        await sending


async def _send(stage: Stage, done: asyncio.Event) -> None:
    while not done.is_set():
        if await _waiting(stage) < _MOST_WAITING:
            await stage.play(_MESSAGES)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _waiting(stage: Stage) -> int:
    """How many entries of the log the store that is behind has not kept yet."""
    kept = await _progress(stage)
    ends = {place: bounds.end for place, bounds in (await stage.log.bounds(_TOPICS)).items()}
    return sum(end - (kept[place][0].next if place in kept else 0) for place, end in ends.items())
