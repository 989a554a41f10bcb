"""`custody copy` and `custody parity` killed again and again: the next run goes on, and ends as one that was not."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from broker import app
from broker.core.parity import KINDS
from broker.core.tables import PROGRESS, RECORDS, TABLES
from tests.fault.test_two_stores import differences, parity
from tests.kept import all_rows
from tests.mongo_stores import administered
from tests.stage import Layout, StageOptions
from tests.stage.holdings import OnPostgres, OnS3Mongo
from tests.stage.home import TENANTS
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from broker.core.tables import Row
    from tests.fault.conftest import OpenStage
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3
    from tests.stage import Stage
    from tests.stage.holdings import Holdings

_MESSAGES, _KILLS = 200, 3
_COPY = ("copy", "main", "other", "--why", "a test")
_SLOWLY = ("--bytes-per-second", "200000")
_COMPARE = ("parity", "main", "other", "--json")
_NOT_YET = {
    "records": {"only_left"},
    "parts": {"only_left", "state", "reason", "size", "sha256"},  # its result comes after it
    "targets": {"only_left"},
    "blobs": {"missing_right"},
}
"""In what a store that is copied to may differ, by kind: what is there is whole, and nothing is there but what was."""
_KIND = RECORDS.columns.index("kind")
_LOOK_SECONDS = 0.02

Amount: TypeAlias = Callable[[], Awaitable[int]]


@pytest.mark.parametrize("is_back", [False, True], ids=["to_s3_mongo", "to_postgres"])
async def test_a_copy_killed_among_records_and_among_blobs_is_completed_by_the_next_run(
    open_stage: OpenStage,
    mongo_server: SharedMongo,
    s3_server: SharedS3,
    fault_seed: int,
    is_back: bool,
) -> None:
    chance = random.Random(fault_seed)
    async with _two_stores(open_stage, mongo_server, s3_server, fault_seed, is_back=is_back) as (stage, right):
        account, blobs = await stage.account(), await _places(stage)
        for amount, total in ((right.records, account.kept), (right.blobs, len(blobs))):
            goals = sorted(chance.sample(range(1, total - 1), _KILLS))
            struck = [await _is_killed(stage, (*_COPY, *_SLOWLY), amount, goal) for goal in goals]
            assert any(struck), "every copy was done before it could be killed"
            await _is_whole_so_far(stage)

        code, said = await stage.command(*_COPY, "--json")
        assert code == 0, said.decode()
        found = await parity(stage)
        assert found["same"], differences(found)
        assert await _rows(stage, "other") == await _rows(stage, "main")
        assert await right.blobs() == len(blobs)


async def test_a_comparison_killed_again_and_again_goes_on_and_ends_as_one_that_was_not(
    open_stage: OpenStage, mongo_server: SharedMongo, s3_server: SharedS3, fault_seed: int, tmp_path: Path
) -> None:
    chance, state = random.Random(fault_seed), tmp_path / "parity.json"
    resumed = (*_COMPARE, "--resume", str(state))
    async with _two_stores(open_stage, mongo_server, s3_server, fault_seed) as (stage, right):
        code, said = await stage.command(*_COPY)
        assert code == 0, said.decode()
        whole = await parity(stage)
        assert whole["same"], differences(whole)

        async def compared() -> int:
            return sum(_compared(state).values())

        total = sum(one[kind]["left"]["rows"] for one in whole["tenants"].values() for kind in KINDS)
        stood = [0]
        for goal in sorted(chance.sample(range(1, total // 2), _KILLS)):
            assert await _is_killed(stage, resumed, compared, goal)
            stood.append(await compared())
        assert stood == sorted(stood)
        assert 0 < stood[1] <= stood[-1] < total

        # What was compared is not read again: so the run that goes on does not see that it is altered meanwhile.
        assert isinstance(right, OnS3Mongo)
        async with _first_record_altered(right.uri):
            code, said = await stage.command(*resumed)
            assert (code, json.loads(said)) == (0, whole), said.decode()
            assert not state.exists()
            assert not (await parity(stage))["same"]
        assert await parity(stage) == whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_stops_either_with_a_line_that_says_how_to_go_on(
    open_stage: OpenStage,
    mongo_server: SharedMongo,
    s3_server: SharedS3,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    state = tmp_path / "parity.json"
    async with _two_stores(open_stage, mongo_server, s3_server, code) as (stage, right):
        said = await _stopped(stage, (*_COPY, *_SLOWLY), right.records, number)
        how = "what is copied is passed over when the same command is run again"
        assert said == (code, f"custody: stopped by {number.name}: {how}\n")
        assert (await stage.command(*_COPY))[0] == 0

        async def compared() -> int:
            return sum(_compared(state).values())

        said = await _stopped(stage, (*_COMPARE, "--resume", str(state)), compared, number)
        how = f"the same command goes on from what is in {state}"
        assert said == (code, f"custody: stopped by {number.name}: {how}\n")
        assert (await stage.command(*_COMPARE, "--resume", str(state)))[0] == 0


@asynccontextmanager
async def _two_stores(
    open_stage: OpenStage, mongo: SharedMongo, s3: SharedS3, seed: int, *, is_back: bool = False
) -> AsyncGenerator[tuple[Stage, Holdings]]:
    """A stage at rest after some traffic, and the empty store beside it: S3 with MongoDB, or the other way round."""
    async with on_s3_mongo(mongo, s3) as there:
        layout = Layout(main=there) if is_back else Layout(other=there)
        async with open_stage(StageOptions(seed=seed, layout=layout)) as stage:
            await stage.start()
            await stage.play(_MESSAGES)
            await stage.settled()
            await stage.dismiss()
            if is_back:
                await stage.lay_out(Layout(main=there, other=stage.home.on_postgres))
                code, said = await stage.command("init", "--logins")
                assert code == 0, said.decode()
            yield stage, OnPostgres(stage.servers) if is_back else OnS3Mongo.of(there)


async def _is_killed(stage: Stage, command: Sequence[str], amount: Amount, goal: int) -> bool:
    """Whether the command was killed once so much was done, and not at its end before."""
    child, _ = await stage.begin(*command)
    while not child.ended.done() and await amount() < goal:  # noqa: ASYNC110 - a server's state
        await asyncio.sleep(_LOOK_SECONDS)
    child.send(signal.SIGKILL)
    return await child.ended == -signal.SIGKILL


async def _stopped(stage: Stage, command: Sequence[str], amount: Amount, number: signal.Signals) -> tuple[int, str]:
    """The exit code of a command that got a signal in the midst of its work, and what it said."""
    child, said = await stage.begin(*command)
    while not child.ended.done() and not await amount():  # noqa: ASYNC110 - likewise
        await asyncio.sleep(_LOOK_SECONDS)
    child.send(number)
    return await child.ended, said.read_text()


async def _is_whole_so_far(stage: Stage) -> None:
    """What is there is what was kept; and a tenant's progress is there only where all of the tenant's rows are."""
    code, said = await stage.command(*_COMPARE, "--first", "100000")
    assert code in {0, 4}, said.decode()
    for one in differences(json.loads(said)):
        assert set(one["what"]) <= _NOT_YET[one["kind"]], one
    ours, theirs = await _rows(stage, "main"), await _rows(stage, "other")
    for tenant in TENANTS:
        if theirs.get((PROGRESS.name, tenant)):
            for table in TABLES:
                there = theirs[table.name, tenant]
                lacking = [row for row in ours[table.name, tenant] if row not in there]
                assert not lacking or table is RECORDS, (table.name, lacking)
                assert all(row[_KIND] == "act" for row in lacking), lacking  # each run has kept its own since


def _compared(state: Path) -> dict[str, int]:
    """How many rows of each kind are compared, by what is saved: of both sides the more."""
    if not state.exists():
        return {}
    found = json.loads(state.read_bytes())["found"]
    return {
        f"{tenant} {kind}": max(stand["left"]["rows"], stand["right"]["rows"])
        for tenant, one in found.items()
        for kind, stand in one["kinds"].items()
    }


async def _places(stage: Stage) -> set[str]:
    """Where the blobs lie that are to be copied."""
    return {one.place for tenant in TENANTS async for one in stage.store.kept_parts(tenant)}


async def _rows(stage: Stage, name: str) -> dict[tuple[str, str], list[Row]]:
    view = stage.settings if name == "main" else stage.settings.second()
    assert view is not None
    tables = await app.open_tables(view)
    try:
        return await all_rows(tables)
    finally:
        await tables.close()


@asynccontextmanager
async def _first_record_altered(uri: str) -> AsyncGenerator[None]:
    """The first record of the first tenant has other bytes, by the superuser's hand; put right at the end."""
    async with administered(uri) as database:
        records: Any = database["records"]
        found = await records.find_one({"tenant": min(TENANTS)}, sort={"_id": 1})
        await records.update_one({"_id": found["_id"]}, {"$set": {"envelope": b"{}"}})
        try:
            yield
        finally:
            await records.replace_one({"_id": found["_id"]}, found)
