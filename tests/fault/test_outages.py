"""A server that is down, or refuses the credential, costs time and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import aiohttp

from connectors.simulator.signing import SIGNATURE_HEADER, signature
from tests.fault.outage import (
    has_delivered,
    has_kept,
    only_parts_are_open,
    pauses_for_long,
    settles_without_a_dead_letter,
)
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage


async def test_media_are_fetched_while_the_record_store_is_away(
    open_wide_log_stage: OpenStage, fault_seed: int
) -> None:
    async with open_wide_log_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        records = stage.servers.by_role["records"]

        await records.kill() if fault_seed % 2 else await records.stop()
        await pauses_for_long(stage)
        await records.restart()
        await settles_without_a_dead_letter(stage)


async def test_a_credential_that_expires_pauses_the_archive_until_it_is_renewed(
    open_wide_log_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_wide_log_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        goal = chance.randint(1, 60)
        await stage.until("some of it is delivered", lambda: has_delivered(stage, goal))
        await stage.until("some of it is kept", lambda: has_kept(stage))

        await stage.servers.refuse("records")
        await pauses_for_long(stage)
        await stage.servers.accept("records")
        await settles_without_a_dead_letter(stage)


async def test_nothing_is_erased_while_the_blob_store_is_away(open_wide_stage: OpenStage, fault_seed: int) -> None:
    async with open_wide_stage(StageOptions(seed=fault_seed)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        erased = len(list(stage.provider.deletes()))
        blobs = stage.servers.by_role["blobs"]

        await blobs.kill() if fault_seed % 2 else await blobs.stop()
        await stage.play()
        await stage.until("all else is done", lambda: only_parts_are_open(stage))
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
        await stage.until("some of it is delivered", lambda: has_delivered(stage, goal))
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


async def _is_refused(stage: Stage) -> bool:
    answers = stage.provider.summary()["answers"]
    return isinstance(answers, dict) and answers.get("503", 0) > 0
