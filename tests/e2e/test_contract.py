"""Every entry that a whole installation writes is as the contract says: all streams, dead letters and redrives too."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from broker.contract import files
from broker.core.ports import LogEntry
from broker.core.topics import Stream, split_topic
from tests.contract_reader import ContractReader
from tests.stage import Servers, Stage, StageOptions, one_server
from tests.stage.home import TENANTS
from tests.stage.nursery import running_nursery
from tests.stage.servers import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = pytest.mark.asyncio(loop_scope="module")

_POISON = "ALTER TABLE custody_pas.records ADD CONSTRAINT poison CHECK (type <> 'location')"
_CURE = "ALTER TABLE custody_pas.records DROP CONSTRAINT poison"


@dataclass(slots=True)
class Written:
    """What lies in the log at the end."""

    entries: list[LogEntry] = field(default_factory=list)

    def of(self, stream: Stream) -> list[LogEntry]:
        return [one for one in self.entries if split_topic(one.topic)[1] == stream]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written() -> AsyncIterator[Written]:
    """All entries of a run in which accounts come late, records are set aside and driven again."""
    options = StageOptions(seed=11, registered=TENANTS[:1])
    with tempfile.TemporaryDirectory(prefix="custody-contract-") as name, running_nursery(Path(name)) as nursery:
        async with one_server() as server:
            servers = await Servers.prepared(dict.fromkeys(ROLES, server))
            async with Stage(folder=Path(name) / "stage", nursery=nursery, servers=servers, options=options) as stage:
                yield await _played(stage)


async def _played(stage: Stage) -> Written:
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
    found = Written()
    for place, bounds in (await stage.log.bounds(await stage.log.topics())).items():
        while (offset := bounds.first + len([one for one in found.entries if one.place == place])) < bounds.end:
            found.entries += await stage.log.read(place, offset, max_entries=1_000)
    return found


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
