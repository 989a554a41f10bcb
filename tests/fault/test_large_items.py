"""Items over the log's limit: their content goes by way of the blob store, whatever happens to that meanwhile."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from broker import app
from broker.core.codec import BLOB_ENCODING
from broker.core.ports import NewEntry
from broker.core.topics import Stream, topic_name
from connectors.simulator.ids import Customer, user_id_of
from connectors.simulator.payloads import contents
from tests.kafka_clients import set_topic
from tests.stage.entries import logged
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from broker.core.ports import LogEntry
    from connectors.simulator.draft import Draft
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

LIMIT = 8_192
_LOWERED = 6_000
_WRITER = Customer(user_id=user_id_of("27000000077"), phone="27000000077", name="Long Writer")
_KEPT = f"""
SELECT count(*) FILTER (WHERE octet_length(content) > {LIMIT}) AS large,
       count(*) FILTER (WHERE encoding = '{BLOB_ENCODING}') AS references
FROM custody_pas.records
"""
APART_PLACES = "SELECT count(*) FROM custody_blobs.blobs WHERE place LIKE '%/content-%' OR place LIKE '%/body-%'"


async def test_what_is_over_the_logs_limit_is_kept_whole(open_wide_log_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    known, unknown = TENANTS if fault_seed % 2 else reversed(TENANTS)
    options = StageOptions(
        seed=fault_seed,
        processes=APART,
        registered=(known,),
        overrides={"log": {"entry_bytes": LIMIT}},
    )
    async with open_wide_log_stage(options) as stage:
        await stage.start()
        sent = await _speak(stage, chance, known) + await _speak(stage, chance, unknown)
        await stage.until("only what nobody registered is left", lambda: _only_unclaimed(stage))

        sent += await _without_blobs_at_the_edge(stage, chance, known)
        sent += await _without_blobs_at_the_archive(stage, chance, known)
        stage.home.register(known, unknown)
        sent += await _speak(stage, chance, unknown)
        account = await stage.settled()

        assert account.dead == 0
        assert await stage.dead_letters() == 0
        entries = [entry async for entry in logged(stage.log)]
        assert max(_size(entry) for entry in entries) <= LIMIT
        assert not any(b"longlong" in entry.value for entry in entries)
        (kept,) = await stage.servers.fetch("records", _KEPT)
        assert kept["references"] == 0
        assert kept["large"] == sent
        (apart,) = await stage.servers.fetch("blobs", APART_PLACES)
        assert apart["count"] >= sent


async def test_what_brokers_take_no_more_goes_by_the_blob_store_and_not_round_and_round(
    open_kafka_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_kafka_stage(StageOptions(seed=fault_seed, log="kafka", processes=APART)) as stage:
        await stage.start()
        topic = topic_name(TENANTS[0], Stream.MESSAGES)
        bootstrap = stage.servers.cluster().bootstrap
        await set_topic(bootstrap, topic, max_message_bytes=str(_LOWERED))
        code, said = await stage.command("topics", "plan")
        assert (code, b"max.message.bytes" in said) == (5, True), said
        texts = [chance.randbytes(chance.randint(5_000, 50_000)).hex() for _ in range(8)]
        for text in texts:
            await _say(stage, TENANTS[0], text)
            await _say(stage, TENANTS[0], "short")
        account = await stage.settled()

        assert account.dead == 0
        assert _refused(stage) == 0, "nothing had to come again"
        assert max([_size(entry) async for entry in logged(stage.log, [topic])]) <= _LOWERED
        (kept,) = await stage.servers.fetch("records", _KEPT)
        assert (kept["references"], kept["large"]) == (0, len(texts))
        assert '"code": "too_large"' in stage.actors["edge"].log.read_text(), "an operator is told"


async def test_a_photo_over_every_limit_is_given_up_at_once_and_said_to_be(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    async with open_log_stage(StageOptions(seed=fault_seed)) as stage:
        compose = stage.provider.composer(stage.home.account(TENANTS[0]))
        size = app.capabilities(stage.settings)[PROVIDER].max_part_bytes + 1 + fault_seed
        huge = compose.media("image/jpeg", size=size)
        await stage.start()
        await stage.provider.send(compose.message(_WRITER, contents.image(huge)))
        await stage.play()
        account = await stage.settled()

        assert account.parts_lost_by_reason["too_large"] == 1
        assert account.dead == 0
        lines = [json.loads(line) for line in stage.actors["rest"].log.read_text().splitlines() if line.startswith("{")]
        again = [one for one in lines if (one.get("action"), one.get("code")) == ("media.retry", "too_large")]
        assert again == [], "it was tried once"


async def _without_blobs_at_the_edge(stage: Stage, chance: random.Random, tenant: str) -> int:
    """What is large is refused, and comes again once the blob store is back; what is small goes on."""
    blobs = stage.servers.by_role["blobs"]
    await blobs.kill() if stage.options.seed % 2 else await blobs.stop()
    refused = _refused(stage)
    sent = await _speak(stage, chance, tenant)
    await stage.until("the provider is refused", lambda: _is_refused(stage, refused + 1))
    before = stage.delivered()
    await _say(stage, tenant, "short")
    await stage.until("what is small is taken", lambda: _is_delivered(stage, before + 1))
    await blobs.restart()
    await stage.until("only what nobody registered is left", lambda: _only_unclaimed(stage))
    return sent


async def _without_blobs_at_the_archive(stage: Stage, chance: random.Random, tenant: str) -> int:
    """What lies in the log waits in its partition for the blob store, and nothing is set aside."""
    blobs = stage.servers.by_role["blobs"]
    await stage.dismiss("archive")
    sent = await _speak(stage, chance, tenant)
    await stage.until("all is delivered", lambda: _nothing_pending(stage))
    await blobs.kill() if stage.options.seed % 2 else await blobs.stop()
    await stage.start("archive")
    await stage.until("the archive waits", lambda: _archive_waits(stage))
    assert await stage.dead_letters() == 0
    await blobs.restart()
    await stage.until("only what nobody registered is left", lambda: _only_unclaimed(stage))
    return sent


async def _speak(stage: Stage, chance: random.Random, tenant: str) -> int:
    """Sends items of every sort that may be large; how many are larger than the log takes."""
    compose = stage.provider.composer(stage.home.account(tenant))
    texts = ["long" * chance.randint(3_000, 30_000) for _ in range(4)]
    drafts: list[Draft] = [compose.message(_WRITER, contents.text(text), redeliveries=1) for text in texts]
    drafts += [compose.message(_WRITER, contents.image(compose.media("image/jpeg"), caption=text)) for text in texts]
    drafts += [compose.echo(_WRITER, contents.text(text)) for text in texts]
    large = len(drafts)
    drafts += [compose.message(_WRITER, contents.text("short")) for _ in range(3)]
    chance.shuffle(drafts)
    for one in drafts:
        await stage.provider.send(one)
    return large


async def _say(stage: Stage, tenant: str, text: str) -> None:
    compose = stage.provider.composer(stage.home.account(tenant))
    await stage.provider.send(compose.message(_WRITER, contents.text(text)))


def _refused(stage: Stage) -> int:
    answers = stage.provider.summary()["answers"]
    return int(answers.get("503", 0)) if isinstance(answers, dict) else 0


async def _is_refused(stage: Stage, times: int) -> bool:
    return _refused(stage) >= times


async def _is_delivered(stage: Stage, goal: int) -> bool:
    return stage.delivered() >= goal


async def _nothing_pending(stage: Stage) -> bool:
    return not stage.provider.pending


async def _archive_waits(stage: Stage) -> bool:
    _, health = await stage.actors["archive"].health("workers")
    archive = health.get("archive") if isinstance(health, dict) else None
    return archive is not None and archive["waiting_for"] == "blobs_unavailable"


def _size(entry: LogEntry) -> int:
    return NewEntry(topic=entry.topic, key=entry.key, headers=entry.headers, value=entry.value).size


async def _only_unclaimed(stage: Stage) -> bool:
    return [one.partition(" ")[2] for one in await stage.pending()] == ["unclaimed"]
