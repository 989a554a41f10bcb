"""A server that is down, or refuses the credential, costs time and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import aiohttp

from broker.core.topics import ARCHIVED_STREAMS, topic_name
from broker.workers.archive import GROUP
from connectors.simulator.signing import SIGNATURE_HEADER, signature
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.topics import TopicPartition
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_APART = {"edge": ("edge",), "archive": ("archive",), "rest": ("media", "relay", "erase", "claim")}
_FETCHED = """
SELECT count(*) FROM custody_blobs.blobs
"""
_BEATS = 50
"""While an outage lasts, a loop gives one sign of life for each wait: so many of the longest it has been refused."""


async def test_media_are_fetched_while_the_record_store_is_away(
    open_wide_log_stage: OpenStage, fault_seed: int
) -> None:
    async with open_wide_log_stage(StageOptions(seed=fault_seed, processes=_APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        records = stage.servers.by_role["records"]

        await records.kill() if fault_seed % 2 else await records.stop()
        await _pauses_for_long(stage)
        await records.restart()
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0
        assert stage.actors["archive"].starts == 1


async def test_a_credential_that_expires_pauses_the_archive_until_it_is_renewed(
    open_wide_log_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_wide_log_stage(StageOptions(seed=fault_seed, processes=_APART)) as stage:
        await stage.start()
        await stage.play()
        goal = chance.randint(1, 60)
        await stage.until("some of it is delivered", lambda: _has_delivered(stage, goal))
        await stage.until("some of it is kept", lambda: _has_kept(stage))

        await stage.servers.refuse("records")
        await _pauses_for_long(stage)
        await stage.servers.accept("records")
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0
        assert stage.actors["archive"].starts == 1


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


async def _pauses_for_long(stage: Stage) -> None:
    """Plays on; meanwhile no offset moves, nothing is set aside, and whatever can be fetched is."""
    await stage.play()
    await stage.until("the archive waits", lambda: _waits_for_the_store(stage))
    committed = await _committed(stage)
    beats = await _beats(stage)
    await stage.until("all media are fetched", lambda: _all_are_fetched(stage))
    await stage.until("it was refused very often", lambda: _has_beaten(stage, beats + _BEATS))
    archive = await _archive(stage)
    assert (archive["waiting_for"], archive["stopped"]) == ("store_unavailable", {})
    assert (await stage.actors["archive"].health("live"))[0] == 200
    assert await _committed(stage) == committed
    assert await stage.dead_letters() == 0


async def _waits_for_the_store(stage: Stage) -> bool:
    return (await _archive(stage)).get("waiting_for") == "store_unavailable"


async def _beats(stage: Stage) -> int:
    return int(str((await _archive(stage)).get("beats", 0)))


async def _has_beaten(stage: Stage, beats: int) -> bool:
    return await _beats(stage) >= beats


async def _archive(stage: Stage) -> dict[str, object]:
    _, health = await stage.actors["archive"].health("workers")
    found = health.get("archive", {}) if isinstance(health, dict) else {}
    return found if isinstance(found, dict) else {}


async def _committed(stage: Stage) -> Mapping[TopicPartition, int]:
    """The archive group's offsets, as the log has them."""
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    return await stage.log.committed(GROUP, topics)


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


async def _has_kept(stage: Stage) -> bool:
    return (await stage.account()).kept > 0


async def _is_refused(stage: Stage) -> bool:
    answers = stage.provider.summary()["answers"]
    return isinstance(answers, dict) and answers.get("503", 0) > 0
