"""Every entry that a whole installation writes is as the contract says: all streams, dead letters and redrives too.

On Kafka they are read with a client that has nothing to do with Custody's own.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, TopicPartition

from broker.contract import files
from broker.core.ports import LogEntry
from broker.core.topics import Stream, split_topic
from tests.contract_reader import ContractReader
from tests.stage import Servers, Stage, StageOptions, cluster, one_server
from tests.stage.home import TENANTS
from tests.stage.nursery import running_nursery
from tests.stage.servers import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.ports import EventLog


pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 60.0
_POISON = "ALTER TABLE custody_pas.records ADD CONSTRAINT poison CHECK (type <> 'location')"
_CURE = "ALTER TABLE custody_pas.records DROP CONSTRAINT poison"


@dataclass(slots=True)
class Written:
    """What lies in the log at the end."""

    entries: list[LogEntry] = field(default_factory=list)

    def of(self, stream: Stream) -> list[LogEntry]:
        return [one for one in self.entries if split_topic(one.topic)[1] == stream]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["postgres", "kafka"])
async def written(request: pytest.FixtureRequest) -> AsyncIterator[Written]:
    """All entries of a run in which accounts come late, records are set aside and driven again."""
    options = StageOptions(seed=11, log=request.param, registered=TENANTS[:1])
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="custody-contract-")))
        nursery = exits.enter_context(running_nursery(folder))
        server = await exits.enter_async_context(one_server())
        kafka = await exits.enter_async_context(cluster()) if options.log == "kafka" else None
        servers = await Servers.prepared(dict.fromkeys(ROLES, server), kafka=kafka)
        stage = Stage(folder=folder / "stage", nursery=nursery, servers=servers, options=options)
        await exits.enter_async_context(stage)
        await _play(stage)
        if kafka is None:
            yield Written(await _entries(stage.log))
        else:
            yield Written(await asyncio.to_thread(read_by_another_client, kafka.bootstrap))


async def _play(stage: Stage) -> None:
    await stage.servers.execute("records", _POISON)
    await stage.start()
    await stage.play(messages=150)
    await stage.until("some are set aside, and some have no owner", lambda: _went_wrong(stage))
    await stage.servers.execute("records", _CURE)
    stage.home.register(*TENANTS)
    await stage.until("the dead are all there", lambda: _is_quiet(stage))
    code, said = await stage.command("dead", "redrive", "--all", "--reason", "mended")
    assert code == 0, said
    await stage.settled(unblocking=True)


async def _entries(log: EventLog) -> list[LogEntry]:
    found: list[LogEntry] = []
    for place, bounds in (await log.bounds(await log.topics())).items():
        offset = bounds.first
        while offset < bounds.end:
            found += await log.read(place, offset, max_entries=1_000)
            offset = found[-1].offset + 1
    return found


def read_by_another_client(bootstrap: Sequence[str]) -> list[LogEntry]:
    """Everything in every topic, with librdkafka: without a group, to the end of each partition."""
    consumer = Consumer({"bootstrap.servers": ",".join(bootstrap), "group.id": "nobody", "enable.auto.commit": False})
    topics = [one for name, one in consumer.list_topics(timeout=SECONDS).topics.items() if name.startswith("custody.")]
    places = [TopicPartition(one.topic, number, OFFSET_BEGINNING) for one in topics for number in one.partitions]
    ends = {place: consumer.get_watermark_offsets(place, timeout=SECONDS)[1] for place in places}
    left = {(place.topic, place.partition): end for place, end in ends.items() if end > 0}
    consumer.assign([place for place, end in ends.items() if end > 0])
    found: list[LogEntry] = []
    while left:
        message = consumer.poll(SECONDS)
        assert message is not None, f"nothing more came of {sorted(left)}"
        assert message.error() is None
        found.append(one := _entry(message))
        if left.get((one.topic, one.partition), 0) == one.offset + 1:
            del left[one.topic, one.partition]
    consumer.close()
    return found


def _entry(message: Message) -> LogEntry:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    kind, milliseconds = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    return LogEntry(
        topic=topic,
        partition=partition,
        offset=offset,
        key=message.key() or b"",
        headers=tuple(cast("list[tuple[str, bytes]]", message.headers() or [])),
        value=message.value() or b"",
        appended_at=datetime.fromtimestamp(milliseconds / 1000, tz=UTC),
    )


async def _went_wrong(stage: Stage) -> bool:
    return await stage.dead_letters() > 0 and await stage.unclaimed() > 0


async def _is_quiet(stage: Stage) -> bool:
    return not await stage.pending()


async def test_every_stream_was_written_to(written: Written) -> None:
    counted = Counter(split_topic(one.topic)[1] for one in written.entries)
    assert set(counted) == set(Stream) - {Stream.OUTBOUND}
    assert counted[Stream.MESSAGES] > 150
    assert any(one.header("custody-redrive-of") for one in written.of(Stream.MESSAGES))


async def test_every_entry_is_as_the_contract_says(written: Written) -> None:
    reader = ContractReader(files.read(files.HOME))
    found = Counter(
        problem for one in written.entries for problem in reader.problems(one.topic, one.key, one.headers, one.value)
    )
    assert found == {}


async def test_the_cloudevents_sdk_reads_every_entry(written: Written) -> None:
    for one in written.entries:
        event = from_binary(KafkaMessage(headers=dict(one.headers), key=one.key, value=one.value), JSONFormat())
        assert event.get_id() == one.event_id
        assert event.get_time() is not None


async def test_the_notices_name_what_lies_where_they_say(written: Written) -> None:
    """A subscriber may go from a notice to the entry it tells of."""
    lying = {(one.topic, one.partition, one.offset): one for one in written.entries}
    reader = JSONFormat()
    for one in written.of(Stream.KEPT):
        notice = reader.read_data(one.value, "application/json")
        assert isinstance(notice, dict)
        position = notice["position"]
        told_of = lying[position["topic"], position["partition"], position["offset"]]
        assert one.event_id == f"{notice['record_id']}/kept"
        assert told_of.event_id == notice.get("variant_of", notice["record_id"])
        assert told_of.key == one.key
