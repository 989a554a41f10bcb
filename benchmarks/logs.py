"""The logs that a benchmark may run on: Postgres on the stage's own server, or one broker of Kafka beside it."""

from __future__ import annotations

import logging
import random
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.stage import Kind, Place, Stage
from broker.core import codec
from broker.core.topics import Stream, topic_name
from broker.log.postgres import PostgresLog, PostgresLogOptions
from broker.settings import LogSettings
from broker.store_settings import PostgresSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from broker.core.metrics import Metrics
    from broker.core.ports import EventLog, NewEntry

SEED = 1
_APPEND_ENTRIES = 2000
_READ_ENTRIES = 5000


class LogKind(StrEnum):
    """What a log is on."""

    POSTGRES = "postgres"
    KAFKA = "kafka"

    def named(self, benchmark: str) -> str:
        """What a benchmark's result is called with the log on this; one on Postgres goes without saying."""
        return benchmark if self is LogKind.POSTGRES else f"{benchmark}-{self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAt:
    """Where a log is: a DSN, or a broker's address."""

    kind: LogKind
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How many entries there are to be kept, and the bytes of their values."""

    entries: int
    data_bytes: int


async def open_log(at: LogAt, metrics: Metrics | None = None, **settings: object) -> EventLog:
    """The log, as `custody run` opens it; with more settings of Kafka."""
    if at.kind is LogKind.KAFKA:
        from broker.kafka_settings import kafka_options  # noqa: PLC0415 - aiokafka comes along, for those who use it
        from broker.log.kafka import KafkaLog  # noqa: PLC0415 - likewise

        logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it warns of each partition of a topic that is too new
        alone = {"kind": "kafka", "bootstrap": (at.address,), "replication": 1, "min_insync": 1}
        wanted = LogSettings.model_validate(alone | settings)
        return await KafkaLog.open(kafka_options(wanted), metrics=metrics)
    options = PostgresLogOptions(pool_size=PostgresSettings().pool_size)
    return await PostgresLog.open(at.address, options=options, metrics=metrics)


@asynccontextmanager
async def filled_log(stage: Stage, kind: LogKind, entries: int) -> AsyncGenerator[tuple[LogAt, Volume]]:
    """A log with so many entries, and those of identities besides, until the block is left."""
    async with _made(stage, kind) as (at, place):
        volume = await fill(at, prepared(entries))
        if place is not None:
            await stage.execute("VACUUM (ANALYZE)", place=place)
        yield at, volume


@asynccontextmanager
async def empty_log(stage: Stage, kind: LogKind) -> AsyncGenerator[LogAt]:
    """A log with nothing but the tenant's topics until the block is left."""
    async with _made(stage, kind) as (at, _):
        yield at


@asynccontextmanager
async def _made(stage: Stage, kind: LogKind) -> AsyncGenerator[tuple[LogAt, Place | None]]:
    """A log with the tenant's topics, and its database where it is one."""
    async with AsyncExitStack() as exits:
        place = None
        if kind is LogKind.KAFKA:
            at = await exits.enter_async_context(one_broker())
        else:
            place = await exits.enter_async_context(stage.fresh(Kind.LOG))
            at = LogAt(kind=kind, address=place.dsn)
        log = await open_log(at)
        await log.create_topics(tenant.topics())
        await log.close()
        yield at, place


@asynccontextmanager
async def one_broker() -> AsyncGenerator[LogAt]:
    """A Kafka of one broker until the block is left."""
    from broker.log.kafka.local import KafkaCluster  # noqa: PLC0415 - as above

    async with await KafkaCluster.start() as cluster:
        yield LogAt(kind=LogKind.KAFKA, address=cluster.bootstrap[0])


def prepared(entries: int) -> Iterator[Sequence[NewEntry]]:
    """So many entries as the edge appends them, body by body; the same each time."""
    from benchmarks import traffic  # noqa: PLC0415 - the simulator comes along, which no worker has in its memory

    sealing = traffic.Sealing(random.Random(SEED).randbytes)
    yield from (sealing.entries(body) for body in traffic.bodies(seed=SEED, items=entries))


async def fill(at: LogAt, added: Iterable[Sequence[NewEntry]]) -> Volume:
    """Appends entries, a couple of thousand at once."""
    log = await open_log(at)
    amount = data_bytes = 0
    waiting: list[NewEntry] = []
    for some in added:
        waiting += some
        amount += len(some)
        data_bytes += sum(len(one.value) for one in some)
        if len(waiting) >= _APPEND_ENTRIES:
            await log.append(waiting)
            waiting = []
    await log.append(waiting)
    await log.close()
    return Volume(entries=amount, data_bytes=data_bytes)


async def ends(at: LogAt, topics: Sequence[str]) -> Mapping[str, int]:
    """The end of each partition of these topics, by `topic/partition`."""
    log = await open_log(at)
    try:
        bounds = await log.bounds(topics)
    finally:
        await log.close()
    return {f"{place.topic}/{place.partition}": one.end for place, one in sorted(bounds.items())}


async def told(at: LogAt, stream: Stream) -> Counter[str]:
    """The records of one of the tenant's topics, by their type: what workers said."""
    found: Counter[str] = Counter()
    log = await open_log(at)
    try:
        for place, bounds in (await log.bounds([topic_name(tenant.TENANT, stream)])).items():
            offset = bounds.first
            while offset < bounds.end:
                entries = await log.read(place, offset, max_entries=_READ_ENTRIES)
                found.update(codec.decode_record(one.value).envelope.type for one in entries)
                offset = entries[-1].offset + 1
    finally:
        await log.close()
    return found
