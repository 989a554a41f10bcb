"""A server that is down, or refuses the credential, costs time and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import aiohttp

from connectors.simulator.signing import SIGNATURE_HEADER, signature
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_APART = {"edge": ("edge",), "archive": ("archive",), "rest": ("media", "relay", "erase", "claim")}
_FETCHED = """
SELECT count(*) FROM custody_blobs.blobs
"""


async def test_media_are_fetched_while_the_record_store_is_away(open_wide_stage: OpenStage, fault_seed: int) -> None:
    async with open_wide_stage(StageOptions(seed=fault_seed, processes=_APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        records = stage.servers.by_role["records"]

        await records.kill() if fault_seed % 2 else await records.stop()
        await _media_come_without_records(stage)
        await records.restart()
        await stage.settled()

        await stage.servers.refuse("records")
        await _media_come_without_records(stage)
        await stage.servers.accept("records")
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0


async def test_nothing_is_erased_while_the_blob_store_is_away(open_wide_stage: OpenStage, fault_seed: int) -> None:
    async with open_wide_stage(StageOptions(seed=fault_seed)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        erased = len(list(stage.provider.deletes()))
        blobs = stage.servers.by_role["blobs"]

        await blobs.kill() if fault_seed % 2 else await blobs.stop()
        await stage.play()
        await stage.until("all else is done", lambda: _only_parts_are_open(stage))
        assert len(list(stage.provider.deletes())) == erased
        assert await stage.dead_letters() == 0
        await blobs.restart()
        account = await stage.settled()

        assert account.dead == 0
        assert set(account.parts_lost_by_reason) <= {"gone"}


async def test_while_the_log_is_down_the_provider_is_asked_to_come_again(
    open_wide_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_wide_stage(StageOptions(seed=fault_seed)) as stage:
        await stage.start()
        await stage.play()
        goal = chance.randint(1, 40)
        await stage.until("some of it is delivered", lambda: _has_delivered(stage, goal))
        log = stage.servers.by_role["log"]

        await log.kill() if fault_seed % 2 else await log.stop()
        status, headers = await post_signed(stage, b"{}")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert (await stage.actors["edge"].health("ready"))[0] == 503
        assert (await stage.actors["edge"].health("live"))[0] == 200
        await stage.play()
        await stage.until("the provider is refused", lambda: _is_refused(stage))
        await log.restart()
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0


async def post_signed(stage: Stage, body: bytes, *, tenant: str = TENANTS[0]) -> tuple[int, dict[str, str]]:
    """Posts a body as the tenant's app would: status and headers of the answer."""
    secret = stage.home.simulator.apps[TENANTS.index(tenant)].secret
    url = f"{stage.home.edge_url}/webhooks/{PROVIDER}/{tenant}-app"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={SIGNATURE_HEADER: signature(secret, body)}) as answer,
    ):
        return answer.status, dict(answer.headers)


async def _media_come_without_records(stage: Stage) -> None:
    """Plays on; returns once whatever can be fetched lies in the blob store, and nothing was set aside meanwhile."""
    await stage.play()
    await stage.until("all media are fetched", lambda: _all_are_fetched(stage))
    _, health = await stage.actors["archive"].health("workers")
    assert isinstance(health, dict)
    assert health["archive"]["waiting_for"] == "store_unavailable"
    assert health["archive"]["stopped"] == {}
    assert (await stage.actors["archive"].health("live"))[0] == 200
    assert await stage.dead_letters() == 0


async def _all_are_fetched(stage: Stage) -> bool:
    """Whether every object that the provider has or had lies in the blob store."""
    if stage.provider.pending:
        return False
    (row,) = await stage.servers.fetch("blobs", _FETCHED)
    return bool(row["count"] == sum(not one["gone"] for one in stage.provider.media()))


async def _only_parts_are_open(stage: Stage) -> bool:
    """Whether everything is kept but for parts, and every record that names one waits for it."""
    problems = await stage.pending()
    return bool(problems) and all("open" in problem for problem in problems)


async def _has_delivered(stage: Stage, goal: int) -> bool:
    return stage.delivered() >= goal


async def _is_refused(stage: Stage) -> bool:
    answers = stage.provider.summary()["answers"]
    return isinstance(answers, dict) and answers.get("503", 0) > 0
