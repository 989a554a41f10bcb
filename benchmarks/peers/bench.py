"""One log, two servers: the archive worker and each peer take turns at it, each into an empty database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from backends.mongo.embedded import EmbeddedMongo
from benchmarks import tenant
from benchmarks.archive.orders import GO, WorkerOrders
from benchmarks.archive.workers import gathered
from benchmarks.children import ChildFailedError, started
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogAt, LogKind, Volume, filled_log, open_log, prepared
from benchmarks.machine import cores
from benchmarks.peers import sinks
from benchmarks.peers.connect import DEBEZIUM_VERSION, MONGODB_VERSION, Connect, connect, fetched, group_of
from benchmarks.peers.plain import PlainOrders
from benchmarks.peers.tables import ID, MongoTables, Table, Tables, postgres_entries, postgres_records
from benchmarks.peers.watch import ProcessMeter, Running, assigned, filled
from benchmarks.rounds import interleaved
from broker.core.ports import EventLog
from broker.log.kafka.local.libraries import KAFKA_VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from benchmarks.children import Child
    from benchmarks.machine import Spent
    from benchmarks.rounds import Side, Tell
    from benchmarks.stage import Stage

    Start: TypeAlias = Callable[[Table, str], AbstractAsyncContextManager[Running]]
    """Starts a side on a table, under a name that nobody had before."""
    Settings: TypeAlias = Callable[[str], Mapping[str, str]]

ARCHIVE, ARCHIVE_ON_MONGODB, PLAIN = "archive", "archive on MongoDB", "FastStream, one by one"
ALONE = "archive, one worker"
DEBEZIUM, UNNEST = "Debezium JDBC", "Debezium JDBC, UNNEST"
MONGODB, JSON = "MongoDB sink", "MongoDB sink, JSON"


@dataclass(slots=True, kw_only=True)
class Turns:
    """Every side's turns at one log, for which it is `sent`'s ids that count. `starts`: seconds, by what took them."""

    at: LogAt
    log: EventLog
    volume: Volume
    sent: frozenset[str]
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def side(self, name: str, start: Start, tables: Tables) -> Side:
        """One of the sides."""

        async def turn() -> Sample:
            async with tables() as table:
                begun = perf_counter()
                async with start(table, f"bench-{next(self._numbers)}") as running:
                    await assigned(self.log, running)
                    meter = ProcessMeter(running.process_ids)
                    await running.go()
                    self.starts[f"{name}: seconds until it reads"].append(perf_counter() - begun)
                    await filled(table.count, self.volume.entries, running)
                    spent = meter.spent()
                await self.check(name, table)
            return self._sample(spent)

        return turn

    async def check(self, name: str, table: Table) -> None:
        """Holds what is there against what was sent."""
        found = await table.found()
        if len(found.ids) != len(self.sent) or self.sent != set(found.ids):
            raise NotTheSameError(f"{name}: {len(found.ids)} rows, {len(set(found.ids))} ids of {len(self.sent)} sent")
        if found.data_bytes not in (None, self.volume.data_bytes):
            raise NotTheSameError(f"{name}: {found.data_bytes} bytes of {self.volume.data_bytes}")

    def _sample(self, spent: Spent) -> Sample:
        return Sample.of(spent, {"rows": self.volume.entries}, data_bytes=self.volume.data_bytes)


async def measure(stage: Stage, *, entries: int, runs: int, tell: Tell) -> Result:
    """Drains about `entries` entries in every turn. Raises LocalKafkaError where Java or Maven is missing."""
    tell("peers: fetching what is missing", 0, 0)
    await fetched()
    tell("peers: preparing entries", 0, 0)
    async with filled_log(stage, LogKind.KAFKA, entries) as (at, volume):
        log = await open_log(at)
        try:
            turns = Turns(at=at, log=log, volume=volume, sent=_sent(entries))
            comparisons = [
                await _on_postgres(stage, turns, runs=runs, tell=tell),
                await _on_mongodb(turns, runs=runs, tell=tell),
            ]
        finally:
            await log.close()
    return Result(
        name="peers",
        parameters={
            "entries": volume.entries,
            "runs": runs,
            "batch_rows": sinks.BATCH_ROWS,
            "archive_workers": cores(),
            "versions": {"connect": KAFKA_VERSION, DEBEZIUM: DEBEZIUM_VERSION, MONGODB: MONGODB_VERSION},
        },
        comparisons=comparisons,
        figures={what: median(seconds) for what, seconds in turns.starts.items()} | dict(_memory(comparisons)),
    )


def _memory(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, float]]:
    for one in comparisons:
        peaks = {side: max(sample.peak_memory_bytes for sample in samples) for side, samples in one.samples.items()}
        yield from ((f"{side}: times the archive's memory", peaks[side] / peaks[ARCHIVE]) for side in one.floors)


async def _on_postgres(stage: Stage, turns: Turns, *, runs: int, tell: Tell) -> Comparison:
    tell("peers: starting Kafka Connect", 0, 0)
    rows, texts = partial(postgres_entries, stage, "bytea"), partial(postgres_entries, stage, "text")
    wanted = {DEBEZIUM: (sinks.debezium, rows), UNNEST: (sinks.debezium_unnest, texts)}
    async with _connectors(turns, wanted) as connectors:
        archives = {
            name: turns.side(name, partial(_archive, turns.at, workers), partial(postgres_records, stage))
            for name, workers in ((ARCHIVE, cores()), (ALONE, 1))
        }
        plain = turns.side(PLAIN, partial(_plain, turns.at), rows)
        sides = {**archives, **connectors, PLAIN: plain}
        return await _compared("Kafka to Postgres", turns, sides, runs=runs, tell=tell)


async def _on_mongodb(turns: Turns, *, runs: int, tell: Tell) -> Comparison:
    tell("peers: starting MongoDB and Kafka Connect", 0, 0)
    async with await EmbeddedMongo.start() as server:
        tables = MongoTables(server)
        wanted = {
            MONGODB: (sinks.mongodb, partial(tables.entries, ID)),
            JSON: (sinks.mongodb_json, partial(tables.entries, sinks.RECORD_ID)),
        }
        async with _connectors(turns, wanted) as connectors:
            start = partial(_archive, turns.at, mongodb=True)
            archives = {
                ARCHIVE: turns.side(ARCHIVE_ON_MONGODB, partial(start, cores()), tables.records),
                ALONE: turns.side(f"{ALONE}, on MongoDB", partial(start, 1), tables.records),
            }
            return await _compared("Kafka to MongoDB", turns, {**archives, **connectors}, runs=runs, tell=tell)


@asynccontextmanager
async def _connectors(turns: Turns, wanted: Mapping[str, tuple[Settings, Tables]]) -> AsyncGenerator[dict[str, Side]]:
    """The turns of sinks, by what each is called: each in a JVM of its own, since what one needs stays in its heap."""
    async with AsyncExitStack() as exits:
        sides = {}
        for name, (settings, tables) in wanted.items():
            java = await exits.enter_async_context(connect(turns.at.address))
            turns.starts[f"{name}: seconds until its JVM answers"].append(java.start_seconds)
            sides[name] = turns.side(name, partial(_sink, java, settings), tables)
        yield sides


async def _compared(way: str, turns: Turns, sides: Mapping[str, Side], *, runs: int, tell: Tell) -> Comparison:
    samples = await interleaved(f"peers, {way}", sides, runs=runs, tell=tell)
    size = turns.volume.data_bytes // turns.volume.entries
    title = f"peers: {way}, {turns.volume.entries:,} entries of {size:,} bytes"
    return Comparison(title=title, subject=ARCHIVE, samples=samples)


@asynccontextmanager
async def _archive(
    at: LogAt, workers: int, table: Table, name: str, *, mongodb: bool = False
) -> AsyncGenerator[Running]:
    orders = WorkerOrders(log=at, records_dsn=table.uri, group=name, mongodb=mongodb)
    async with gathered(orders, processes=workers) as found:  # which raises by itself where one of them fails
        yield Running(process_ids=found.process_ids, group=name, go=partial(found.tell, GO))


@asynccontextmanager
async def _plain(at: LogAt, table: Table, name: str) -> AsyncGenerator[Running]:
    orders = PlainOrders(bootstrap=at.address, dsn=table.uri, group=name, topics=tenant.ACCOUNTED_TOPICS)
    async with started("peers.plain", orders) as child:
        yield _of(child, name)


@asynccontextmanager
async def _sink(java: Connect, settings: Settings, table: Table, name: str) -> AsyncGenerator[Running]:
    async with java.connector(name, settings(table.uri)):
        yield Running(process_ids=[java.process.pid], group=group_of(name), check=partial(java.check, name))


def _of(child: Child, group: str) -> Running:
    async def check() -> None:
        if child.process.returncode is not None:
            raise ChildFailedError(f"{child.role} ended with exit code {child.process.returncode}")

    return Running(process_ids=[child.process.pid], group=group, check=check)


def _sent(entries: int) -> frozenset[str]:
    """The ids of all entries, made once more."""
    return frozenset(dict(one.headers)[ID].decode() for added in prepared(entries) for one in added)
