"""A topic that is made anew under the workers: its partitions stop and say why, and nothing is passed over."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from aiokafka.admin import NewTopic

from broker import app
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, topic_name
from broker.demo.home import to_toml
from tests.kafka_clients import admin_client
from tests.stage import StageOptions
from tests.stage.home import TENANTS
from tests.stage.stage import APART

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    import asyncpg

    from tests.fault.conftest import OpenStage
    from tests.stage import Stage

_LOG = {"session_seconds": 60.0}
"""Longer than the archive worker is frozen: its group notices nothing."""
_TOPIC = topic_name(TENANTS[0], Stream.MESSAGES)
_ALL = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
_ROWS = """
SELECT topic, partition, log_offset, tenant, record_id, record_digest, arrival_digest
FROM custody_pas.records ORDER BY tenant, record_id
"""
_WHY = ("--why", "somebody deleted it", "--by", "Kim")


async def test_a_topic_made_anew_stops_its_partitions_and_no_others(
    open_kafka_stage: OpenStage, fault_seed: int
) -> None:
    """With odd seeds the worker reads on meanwhile; with even ones it wakes when the new topic has overtaken it."""
    options = StageOptions(seed=fault_seed, log="kafka", processes=APART, overrides={"log": _LOG})
    async with open_kafka_stage(options) as stage:
        await stage.start()
        await stage.play()
        before = await stage.settled()
        kept = await _rows(stage)
        places = await _kept_from(stage)
        archive = stage.actors["archive"]
        if fault_seed % 2 == 0:
            archive.send(signal.SIGSTOP)
        await _make_anew(stage)
        while not await _is_overtaken(stage, places):
            await stage.play()
            await stage.until("the provider is done", lambda: _delivered(stage))
        archive.send(signal.SIGCONT)
        await stage.play()
        await stage.until("its partitions are stopped", lambda: _stopped(stage, places))
        await stage.until("all others are kept", lambda: _others_are_read(stage))
        assert archive.starts == 1
        await stage.until("lag tells why", lambda: _lag_tells(stage, places))
        assert [one for one in await _rows(stage) if _place(one) in places] == [
            one for one in kept if _place(one) in places
        ], "of the new topic nothing is kept, of the old one nothing is lost"

        await stage.dismiss()
        await _count_as_another(stage)
        await stage.start()
        await stage.until("everything is stopped", lambda: _all_stopped(stage))
        code, said = await stage.command("log", "adopt", "--mirrored", *_WHY)
        assert code == 0, said
        await stage.play()
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert account.accepted > before.accepted
        assert account.accepted == account.kept + account.duplicates + account.variants


async def _make_anew(stage: Stage) -> None:
    partitions = len(await stage.log.bounds([_TOPIC]))
    async with admin_client(stage.servers.cluster().bootstrap) as admin:
        await admin.delete_topics([_TOPIC])

        async def made() -> bool:
            """Not before the brokers have let go of the old one."""
            ((_, code, *_words),) = (await admin.create_topics([NewTopic(_TOPIC, partitions, 1)])).topic_errors
            return not code

        await stage.until("it is made anew", made)


async def _count_as_another(stage: Stage) -> None:
    """Gives the log another generation, and the stage that log."""
    settings = dict(stage.home.settings())
    settings["log"] = {**settings["log"], "generation": 2}
    stage.home.settings_file.write_text(to_toml(settings), encoding="utf-8")
    stage.settings = app.settings_of(stage.home.settings_file)
    stage.log = await app.entered(stage._exits, app.open_log(stage.settings))


async def _is_overtaken(stage: Stage, places: AbstractSet[TopicPartition]) -> bool:
    """Whether the new topic has more entries than the store has kept of the old one, wherever it kept any."""
    progress = await stage.store.progress(stage.log.identity, [_TOPIC])
    bounds = await stage.log.bounds([_TOPIC])
    return all(place in bounds and bounds[place].end > progress[place].next for place in places)


async def _others_are_read(stage: Stage) -> bool:
    others = [topic for topic in _ALL if topic != _TOPIC]
    progress = await stage.store.progress(stage.log.identity, others)
    bounds = await stage.log.bounds(others)
    return all(place in progress and progress[place].next == one.end for place, one in bounds.items() if one.end)


async def _lag_tells(stage: Stage, places: AbstractSet[TopicPartition]) -> bool:
    """Whether the command names exactly these; a worker under load may not have answered it."""
    health = f"http://127.0.0.1:{stage.actors['archive'].health_port}"
    code, said = await stage.command("lag", "--json", "--health", health)
    assert code == 0, said
    stopped = {
        TopicPartition(one["topic"], one["partition"]): one["stopped"]
        for one in json.loads(said)["partitions"]
        if one["stopped"] and one["group"] == "archive"
    }
    return stopped == dict.fromkeys(places, "log_changed")


async def _kept_from(stage: Stage) -> AbstractSet[TopicPartition]:
    """The topic's partitions that anything was kept of: with few customers, one may have had nothing."""
    return (await stage.store.progress(stage.log.identity, [_TOPIC])).keys()


def _place(row: asyncpg.Record) -> TopicPartition:
    return TopicPartition(row["topic"], row["partition"])


async def _all_stopped(stage: Stage) -> bool:
    return await _stopped(stage, (await stage.log.bounds(_ALL)).keys())


async def _stopped(stage: Stage, places: AbstractSet[TopicPartition]) -> bool:
    expected = {f"{place.topic}/{place.partition}": "log_changed" for place in places}
    _, health = await stage.actors["archive"].health("workers")
    return isinstance(health, dict) and health.get("archive", {}).get("stopped") == expected


async def _rows(stage: Stage) -> Sequence[asyncpg.Record]:
    return await stage.servers.fetch("records", _ROWS)


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0
