"""A replay keeps nothing twice, counts nothing, and tells `kept` again word for word: on every log.

A module of tests defines a class of its own from `ReplayContract`, and a fixture `logs` as the event log's contract
wants it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.memory import MemoryRecords
from broker import replaying
from broker.core.errors import MalformedEntryError
from broker.core.metrics import NoMetrics
from broker.core.ports import EventLog, NewEntry
from broker.core.registry import Registry, Tenant
from broker.core.seal import entry_of
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, tenant_topics, topic_name
from broker.replaying import NoSuchPartitionError, Span, Wish, offset_at
from broker.workers.archive import Archive, redriven_entry
from connectors.whatsapp_cloud.capabilities import CAPABILITIES, NAME
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.model import Record
    from broker.core.plan import DeadKey
    from broker.core.ports import LogEntry, SealedRecord, Tally
    from broker.replaying import Edge, Replayed
    from tests.contract.event_log_kit import LogFactory

MESSAGES = topic_name(TENANT, Stream.MESSAGES)
KEPT = topic_name(TENANT, Stream.KEPT)
EVERYTHING = Wish(tenant=TENANT, streams=ARCHIVED_STREAMS)


@dataclass(slots=True)
class Scene:
    """A tenant's topics on a real log, and a store that keeps what it is told to."""

    log: EventLog
    desk: Desk
    store: MemoryRecords = field(init=False)
    keeper: Archive = field(init=False)

    def __post_init__(self) -> None:
        tenant = Tenant(name=TENANT, zone="UTC", key=self.desk.key)
        registry = Registry(tenants={TENANT: tenant}, apps={}, accounts={})
        self.store = MemoryRecords(self.desk.time)
        self.keeper = Archive(
            log=self.log,
            store=self.store,
            registry=lambda: registry,
            capabilities={NAME: CAPABILITIES},
            metrics=NoMetrics(),
            clock=self.desk.time,
            entropy=self.desk.random.randbytes,
        )

    async def send(self, *records: Record) -> None:
        await self.log.append([entry_of(one) for one in records])

    async def archive(self, *, dying: Sequence[str] = ()) -> None:
        """Keeps what is not kept yet; sets these records aside."""
        for entry in await self.unkept():
            if entry.event_id in dying and not entry.header("custody-redrive-of"):
                await self.keeper.set_aside(entry, ValueError(), 1)
            else:
                await self.keeper.handle([entry])
            self.desk.time.pass_(seconds=1)

    async def unkept(self) -> list[LogEntry]:
        progress = await self.store.progress(self.log.identity, EVERYTHING.topics)
        reached = {place: one.next for place, one in progress.items()}
        return [one for one in await self.entries(*EVERYTHING.topics) if one.offset >= reached.get(one.place, 0)]

    async def entries(self, *topics: str) -> list[LogEntry]:
        return [
            entry
            for place in sorted(await self.log.bounds(topics))
            for entry in await self.log.read(place, 0, max_entries=10_000)
        ]

    async def notices(self) -> list[tuple[bytes, tuple[tuple[str, bytes], ...], bytes]]:
        """What was told so far, sorted."""
        return sorted((one.key, one.headers, one.value) for one in await self.entries(KEPT))

    async def spans(self, wish: Wish = EVERYTHING) -> Sequence[Span]:
        return await replaying.spans(wish, log=self.log, keeper=self.keeper)

    async def replay(self, wish: Wish = EVERYTHING) -> list[Replayed]:
        letters = await self.store.dead_letters(TENANT, settled=True)
        dead: frozenset[DeadKey] = frozenset((TopicPartition(one.topic, one.partition), one.offset) for one in letters)
        steps: list[int] = []
        done = [
            await replaying.replay(span, log=self.log, keeper=self.keeper, dead=dead, step=steps.append)
            for span in await self.spans(wish)
        ]
        assert sum(steps) == sum(one.span.end - one.span.first for one in done)
        return done

    async def state(self) -> tuple[Tally, list[SealedRecord]]:
        """Everything that the store holds and counts."""
        rows = [one async for one in self.store.sealed(TENANT)]
        return await self.store.tally(TENANT, self.log.identity, buckets=True), rows

    def traffic(self, count: int) -> list[Record]:
        """Texts, photos with their bytes, statuses, repetitions and variants."""
        desk = self.desk
        found = [desk.text(f'"{number}"', thread=f"4917012345{number % 7}") for number in range(count)]
        photo = desk.image()
        found += [photo, desk.kept(photo), desk.status(found[0]), found[1], found[0]]
        found += [desk.text('"first"', native="same"), desk.text('"other"', native="same"), desk.gap()]
        return found


def made(done: Sequence[Replayed]) -> tuple[int, int, int]:
    """Entries, notices, dead letters met."""
    return sum(one.entries for one in done), sum(one.notices for one in done), sum(one.unkeepable for one in done)


class ReplayContract:
    """All cases."""

    @pytest_asyncio.fixture
    async def scene(self, logs: LogFactory, seed: int) -> AsyncIterator[Scene]:
        log = await logs.open()
        await log.create_topics(tenant_topics(TENANT, partitions=2, retention_days=14))
        yield Scene(log, Desk(seed))

    async def test_the_whole_topic_replayed_twice_leaves_every_digest_and_count_as_it_was(self, scene: Scene) -> None:
        await scene.send(*scene.traffic(500))
        await scene.archive()
        before, told = await scene.state(), await scene.notices()
        for turn in (2, 3):
            entries, notices, dead = made(await scene.replay())
            assert (entries, notices, dead) == (508, len(told), 0)
            assert await scene.notices() == sorted(told * turn), "each notice once more, byte for byte"
            assert await scene.state() == before

    async def test_what_is_not_kept_yet_is_left_to_the_worker(self, scene: Scene) -> None:
        await scene.send(*scene.traffic(20))
        await scene.archive()
        before = await scene.state()
        await scene.send(*scene.traffic(10))
        done = await scene.replay()
        assert made(done)[0] == 28
        assert sum(one.span.unkept for one in done) == 18
        assert await scene.state() == before

    async def test_nothing_is_replayed_of_what_the_store_never_saw(self, scene: Scene) -> None:
        await scene.send(*scene.traffic(5))
        assert made(await scene.replay()) == (0, 0, 0)
        assert await scene.notices() == []

    async def test_offsets_name_their_partitions_and_no_other(self, scene: Scene) -> None:
        await scene.send(*scene.traffic(40))
        await scene.archive()
        bounds = await scene.log.bounds([MESSAGES])
        place = max(bounds, key=lambda one: bounds[one].end)
        wish = Wish(tenant=TENANT, streams=ARCHIVED_STREAMS, since={place: 3}, until={place: 9})
        assert await scene.spans(wish) == [Span(place=place, first=3, end=9)]
        told = await scene.notices()
        assert made(await scene.replay(wish))[:2] == (6, len(await scene.notices()) - len(told))
        elsewhere = Wish(tenant=TENANT, streams=ARCHIVED_STREAMS, since={TopicPartition(MESSAGES, 7): 0})
        with pytest.raises(NoSuchPartitionError, match=r"messages\.v1/7"):
            await scene.spans(elsewhere)

    async def test_offsets_out_of_bounds_mean_what_is_there(self, scene: Scene) -> None:
        await scene.send(*scene.traffic(40))
        await scene.archive()
        bounds = await scene.log.bounds([MESSAGES])
        place = max(bounds, key=lambda one: bounds[one].end)
        end = bounds[place].end
        edges: list[tuple[Edge, Edge, list[tuple[int, int]]]] = [
            ({place: 0}, {place: 10_000}, [(0, end)]),
            ({place: 10_000}, None, []),
            ({place: 5}, {place: 5}, []),
            ({place: 5}, {place: 2}, []),
        ]
        for since, until, wanted in edges:
            wish = Wish(tenant=TENANT, streams=[Stream.MESSAGES], since=since, until=until)
            assert [(one.first, one.end) for one in await scene.spans(wish)] == wanted

    async def test_a_time_means_the_first_entry_appended_then_or_later(self, scene: Scene, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(4):
            await scene.send(*(scene.desk.text(thread=f"49170123456{n % 9}") for n in range(chance.randint(9, 30))))
        for place, bounds in (await scene.log.bounds([MESSAGES])).items():
            entries = await scene.log.read(place, 0, max_entries=1000)
            times = {one.appended_at for one in entries}
            for at in times | {one + timedelta(microseconds=1) for one in times}:
                wanted = next((one.offset for one in entries if one.appended_at >= at), bounds.end)
                assert await offset_at(scene.log, place, bounds, at) == wanted
            assert await offset_at(scene.log, place, bounds, min(times) - timedelta(days=1)) == 0

    async def test_times_bound_a_replay_from_and_up_to(self, scene: Scene) -> None:
        for _ in range(3):
            await scene.send(*scene.traffic(10))
            await scene.archive()
        times = sorted({one.appended_at for one in await scene.entries(MESSAGES)})
        since, until = times[len(times) // 3], times[-1]
        assert since < until
        wish = Wish(tenant=TENANT, streams=[Stream.MESSAGES], since=since, until=until)
        within = [one for one in await scene.entries(MESSAGES) if since <= one.appended_at < until]
        assert made(await scene.replay(wish))[0] == len(within) > 0

    async def test_a_dead_letter_holds_nothing_up_and_stays_as_it_is(self, scene: Scene) -> None:
        dying, redriven = scene.desk.text('"dies"'), scene.desk.text('"dies and comes back"')
        await scene.send(*scene.traffic(10), dying, redriven)
        await scene.log.append([NewEntry(topic=MESSAGES, key=b"x", headers=(("ce_id", b"broken"),), value=b"no JSON")])
        await scene.archive(dying=[one.envelope.record_id for one in (dying, redriven)] + ["broken"])
        for one in await scene.entries(topic_name(TENANT, Stream.DEAD)):
            if one.header("custody-dead-event") == redriven.envelope.record_id:
                await scene.log.append([redriven_entry(one)])
        await scene.archive()
        before, told = await scene.state(), await scene.notices()
        assert before[0].dead == 2
        assert made(await scene.replay()) == (22, len(told), 1)
        assert await scene.notices() == sorted(told * 2)
        assert await scene.state() == before

    async def test_an_entry_that_could_be_kept_once_and_can_not_be_now_is_a_fault(self, scene: Scene) -> None:
        await scene.send(scene.desk.text())
        await scene.log.append([NewEntry(topic=MESSAGES, key=b"x", headers=(("ce_id", b"broken"),), value=b"no JSON")])
        await scene.archive(dying=["broken"])
        (span,) = [one for one in await scene.spans() if any(e.event_id == "broken" for e in await _of(scene, one))]
        with pytest.raises(MalformedEntryError):
            await replaying.replay(span, log=scene.log, keeper=scene.keeper, dead=frozenset(), step=lambda _: None)


async def _of(scene: Scene, span: Span) -> Sequence[LogEntry]:
    return await scene.log.read(span.place, span.first, max_entries=100)
