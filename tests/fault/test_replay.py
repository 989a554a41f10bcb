"""What the log hands over again is kept once; what it lost is not passed over."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from broker.core.topics import ACCOUNTED_STREAMS, ARCHIVED_STREAMS, Stream, TopicPartition, topic_name
from broker.workers.archive import GROUP
from broker.workers.lag import look
from broker.workers.media.scan import GROUP as MEDIA
from tests.kafka_clients import alter_offsets
from tests.stage.home import TENANTS
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.ports import KeptRecord
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage


_SET_BACK = """
UPDATE custody_log.claims SET committed = floor(committed * $1)
WHERE group_id = (SELECT group_id FROM custody_log.groups WHERE name = 'archive')
"""
_CUT = (
    """
    CREATE TABLE cut AS
    SELECT e.* FROM custody_log.entries AS e JOIN custody_log.log_partitions AS p USING (partition_id)
    JOIN custody_log.topics AS t USING (topic_id)
    WHERE t.name = '{topic}' AND p.partition = {partition} AND log_offset >= {first} AND log_offset < {before}
    """,
    (
        "DELETE FROM custody_log.entries AS e USING cut AS c"
        " WHERE e.partition_id = c.partition_id AND e.log_offset = c.log_offset"
    ),
)
_MEND = ("INSERT INTO custody_log.entries SELECT * FROM cut",)
_START = """
UPDATE custody_log.log_starts SET first_offset = {offset}
WHERE partition_id = (SELECT partition_id FROM cut LIMIT 1)
"""


async def test_an_overlapping_replay_keeps_nothing_twice(open_each_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_each_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        first = await stage.settled()
        before = await _records(stage)

        await stage.dismiss("archive")
        await _set_back(stage, chance.choice([0.0, chance.random()]))
        await stage.play()
        await stage.employ("archive", ("archive",))
        await stage.play()
        await stage.employ("late", ("archive",))
        await stage.play()
        account = await stage.settled()

        kept_later = await _records(stage)
        assert all(kept_later[record_id] == one for record_id, one in before.items())
        assert await _told(stage) > account.kept + account.variants, "nothing was replayed"
        assert account.accepted > first.accepted


async def test_a_hole_in_the_log_stops_its_partition_and_no_other(open_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start()
        await stage.play()
        await stage.settled()
        await stage.dismiss("archive")
        await stage.play()
        await stage.until("the provider is done", lambda: _delivered(stage))
        await stage.until("only the archive is behind", lambda: _media_are_done(stage))
        place, first, end = await _longest_unread(stage)
        before = chance.randint(first + 1, end - 1)
        hole = {"topic": place.topic, "partition": place.partition, "first": first, "before": before}
        await stage.servers.execute("log", *(one.format(**hole) for one in _CUT))
        if fault_seed % 2 == 0:  # as a retention that ran too early leaves it
            await stage.servers.execute("log", _START.format(offset=before))

        archive = await stage.employ("archive", ("archive",))
        await stage.until("all other partitions are read", lambda: _others_are_read(stage, place))

        _, health = await archive.health("workers")
        assert isinstance(health, dict)
        assert health["archive"]["stopped"] == {f"{place.topic}/{place.partition}": "offset_gap"}
        assert f'"topic": "{place.topic}", "partition": {place.partition}, "code": "offset_gap"' in archive.tail()
        assert await _rows_from(stage, place, first) == 0
        assert (await archive.health("live"))[0] == 200
        assert (await stage.account()).unprocessed == end - first

        await stage.dismiss("archive")
        await stage.servers.execute("log", *_MEND, _START.format(offset=0))
        await stage.employ("archive", ("archive",))
        account = await stage.settled()
        assert account.lost == account.dead == 0


async def _records(stage: Stage) -> Mapping[tuple[str, str], KeptRecord]:
    """Every record, as the store has it."""
    return {
        (tenant, one.record.envelope.record_id): one for tenant in TENANTS async for one in stage.store.records(tenant)
    }


async def _set_back(stage: Stage, share: float) -> None:
    """Sets the archive group's offsets back to so much of what they are, as an operator of the log could."""
    if stage.servers.kafka is None:
        await stage.servers.fetch("log", _SET_BACK, share)
        return
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    committed = await stage.log.committed(GROUP, topics)
    back = {(place.topic, place.partition): int(offset * share) for place, offset in committed.items()}
    await alter_offsets(stage.servers.kafka.bootstrap, GROUP, back)


async def _told(stage: Stage) -> int:
    """How many `kept` notices there are."""
    bounds = await stage.log.bounds([topic_name(tenant, Stream.KEPT) for tenant in TENANTS])
    return sum(one.end - one.first for one in bounds.values())


async def _media_are_done(stage: Stage) -> bool:
    """Whether the media worker has read what there is: it passes a hole by, and would miss what is restored later."""
    topics = [topic_name(tenant, Stream.MESSAGES) for tenant in TENANTS]
    return not any(one.entries for one in await look(stage.log, stage.store, MEDIA, topics))


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0


async def _unread(stage: Stage) -> Mapping[TopicPartition, tuple[int, int]]:
    """From where to where each partition that the archive worker reads is not yet in the store."""
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    progress = await stage.store.progress(stage.log.identity, topics)
    bounds = await stage.log.bounds(topics)
    reached = {place: progress[place].next if place in progress else 0 for place in bounds}
    return {place: (reached[place], one.end) for place, one in bounds.items() if reached[place] < one.end}


async def _longest_unread(stage: Stage) -> tuple[TopicPartition, int, int]:
    accounted = {topic_name(tenant, stream) for tenant in TENANTS for stream in ACCOUNTED_STREAMS}
    found = {place: span for place, span in (await _unread(stage)).items() if place.topic in accounted and span[0] > 0}
    place = max(found, key=lambda one: found[one][1] - found[one][0])
    return place, *found[place]


async def _others_are_read(stage: Stage, hole: TopicPartition) -> bool:
    return set(await _unread(stage)) == {hole}


async def _rows_from(stage: Stage, place: TopicPartition, offset: int) -> Any:  # noqa: ANN401 - what SQL counts
    counted = "SELECT count(*) FROM custody_pas.records WHERE topic = $1 AND partition = $2 AND log_offset >= $3"
    (row,) = await stage.servers.fetch("records", counted, place.topic, place.partition, offset)
    return row["count"]
