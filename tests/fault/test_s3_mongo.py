"""Records on MongoDB and blobs on S3, whose servers are killed, voted out, frozen and full: all that costs is time."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil
import pytest
import pytest_asyncio
from pymongo.errors import PyMongoError

from backends.mongo.embedded import EmbeddedMongo
from backends.s3.embedded import EmbeddedS3
from tests.fault.outage import (
    has_delivered,
    only_parts_are_open,
    pauses_for_long,
    settles_without_a_dead_letter,
)
from tests.mongo_servers import SharedMongo, client_of, private_mongo
from tests.s3_servers import private_s3, shared
from tests.stage import Layout, StageOptions
from tests.stage.stage import ALONE, APART, WORKERS
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from backends.mongo.embedded.member import Member
    from tests.fault.conftest import OpenStage
    from tests.stage import Stage

ROOT = os.geteuid() == 0
_HURRY = {"CUSTODY_RECORDS__CONNECT_TIMEOUT_SECONDS": "1", "CUSTODY_RECORDS__COMMAND_TIMEOUT_SECONDS": "3"}
_FEW_BEATS = 3
"""A server that is silent refuses later than one that is down: it is asked less often."""
_FULL_BYTES = 4096
"""No file grows beyond: what a full disk means to a server that writes to large files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Three members of a replica set, and an S3 server: the tests' own, whole again after each."""

    mongo: EmbeddedMongo
    s3: EmbeddedS3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def homes() -> AsyncIterator[Homes]:
    async with private_mongo(members=3) as mongo, private_s3() as s3:
        yield Homes(mongo=mongo, s3=s3)


@pytest.fixture
def open_own_stage(open_stage: OpenStage, homes: Homes) -> OpenStage:
    """Opens a stage whose log is on the shared Postgres, its records and blobs on servers that the test may break."""

    @asynccontextmanager
    async def opened(options: StageOptions) -> AsyncGenerator[Stage]:
        async with (
            on_s3_mongo(SharedMongo(uri=homes.mongo.uri()), shared(homes.s3)) as there,
            open_stage(replace(options, layout=Layout(main=there), hurry=_HURRY)) as stage,
        ):
            yield stage

    return opened


async def test_primaries_go_in_the_midst_of_the_work(open_own_stage: OpenStage, homes: Homes, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    fates = ["steps down", "is killed", "is frozen"]
    chance.shuffle(fates)
    async with open_own_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        for fate in fates:
            goal = stage.delivered() + chance.randint(1, 60)
            await stage.play()
            await stage.until("some more is delivered", lambda goal=goal: has_delivered(stage, goal))  # type: ignore[misc]
            await _succeeded(homes.mongo, fate)
        await settles_without_a_dead_letter(stage)


async def test_all_waits_while_the_majority_is_lost(open_own_stage: OpenStage, homes: Homes, fault_seed: int) -> None:
    async with open_own_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        lost = random.Random(fault_seed).sample(homes.mongo.members, 2)
        if fault_seed % 2:
            await asyncio.gather(*(one.kill() for one in lost))
        else:
            for one in lost:
                one.freeze()
        await pauses_for_long(stage, beats=_FEW_BEATS)
        if fault_seed % 2:
            await asyncio.gather(*(one.restart() for one in lost))
        else:
            for one in lost:
                one.thaw()
        await settles_without_a_dead_letter(stage)


async def test_all_waits_while_the_disk_is_full(open_own_stage: OpenStage, homes: Homes, fault_seed: int) -> None:
    async with open_own_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        with _full(*(one.process_id for one in homes.mongo.members)):
            await pauses_for_long(stage, beats=_FEW_BEATS)
        await homes.mongo.restart()
        await settles_without_a_dead_letter(stage)


@pytest.mark.parametrize("fate", ["away", "full"])
async def test_nothing_is_erased_while_no_blob_can_be_kept(
    open_own_stage: OpenStage, homes: Homes, fault_seed: int, fate: str
) -> None:
    async with open_own_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        erased = len(list(stage.provider.deletes()))
        async with _blobs_refused(homes.s3, fate, kills=fault_seed % 2 == 1):
            await stage.play()
            await stage.until("all else is done", lambda: only_parts_are_open(stage))
            assert len(list(stage.provider.deletes())) == erased
            assert await stage.dead_letters() == 0
        await settles_without_a_dead_letter(stage)
        assert set((await stage.account()).parts_lost_by_reason) <= {"gone"}


async def test_killed_at_any_moment(open_own_stage: OpenStage, homes: Homes, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    victims = [*chance.sample(WORKERS, 3), "mongo", "s3"]
    chance.shuffle(victims)
    async with open_own_stage(StageOptions(seed=fault_seed, processes=ALONE)) as stage:
        await stage.start()
        for victim in victims:
            await stage.play()
            goal = stage.delivered() + chance.randint(1, 30)
            await stage.until("some more is delivered", lambda goal=goal: has_delivered(stage, goal))  # type: ignore[misc]
            if victim == "mongo":
                await homes.mongo.kill()
                await homes.mongo.restart()
            elif victim == "s3":
                await homes.s3.kill()
                await homes.s3.restart()
            else:
                stage.actors[victim].kill()
        account = await stage.settled()
        assert account.dead == 0
        assert await stage.dead_letters() == 0


async def _succeeded(mongo: EmbeddedMongo, fate: str) -> None:
    """The primary goes, another leads, and the first follows it."""
    first = await mongo.primary()
    if fate == "steps down":
        await _step_down(first, mongo)
        return
    if fate == "is killed":
        await first.kill()
    else:
        first.freeze()
    await _another(mongo, first)
    if fate == "is killed":
        await first.restart()
    else:
        first.thaw()


async def _step_down(first: Member, mongo: EmbeddedMongo) -> None:
    """Asks again while it leads: where no other has caught up in time it refuses, and that looks like going."""
    async with client_of(mongo.uri()) as client:
        while await mongo.primary() is first:
            with suppress(PyMongoError):  # it may close the connection before it answers
                await client.admin.command("replSetStepDown", 60, secondaryCatchUpPeriodSecs=10)


async def _another(mongo: EmbeddedMongo, first: Member) -> None:
    """Returns once another member leads."""
    while await mongo.primary() is first:  # noqa: ASYNC110 - a server's state
        await asyncio.sleep(0.1)


@contextmanager
def _full(*process_ids: int) -> Iterator[None]:
    """To these processes the disk is full, as far as they live to see it no longer is."""
    for one in process_ids:
        _limit_files(psutil.Process(one), f"{_FULL_BYTES}:")
    yield
    for one in process_ids:
        with suppress(psutil.NoSuchProcess):  # a server may end by it
            _limit_files(psutil.Process(one), "unlimited:")


def _limit_files(process: psutil.Process, limit: str) -> None:
    """Sets the soft limit on the size of a process's files, as its own account, which may."""
    user, group = (process.uids().real, process.gids().real) if ROOT else (None, None)
    words = [shutil.which("prlimit") or "prlimit", "--pid", str(process.pid), f"--fsize={limit}"]
    subprocess.run(words, check=True, user=user, group=group, extra_groups=[] if ROOT else None)


@asynccontextmanager
async def _blobs_refused(s3: EmbeddedS3, fate: str, *, kills: bool) -> AsyncGenerator[None]:
    if fate == "full":
        with _full(s3.process_id):
            yield
    else:
        await s3.kill() if kills else await s3.stop()
        yield
    await s3.restart()
