"""`custody run edge` and `custody run archive`, each a process of its own, at half of what both can take together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import asyncpg
import psutil

from benchmarks import tenant
from benchmarks.children import Child, started
from benchmarks.digests import NotTheSameError
from benchmarks.edge.real import HOST
from benchmarks.figures import Result, Series
from benchmarks.logs import LogKind, empty_log, open_log
from benchmarks.soak.home import write_settings
from benchmarks.soak.load import Sent, Stretch
from benchmarks.stage import Kind, Place, Stage
from broker.core.ports import EventLog
from broker.demo.home import Ports
from broker.demo.processes import Running, answers, custody
from broker.servers import now
from broker.workers.archive import GROUP
from broker.workers.lag import look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Tell

PROCESSES = ("edge", "archive")
CONNECTIONS = 32
_TRIAL_SECONDS = 20.0
_LOOKS = 360
_LEAST_WAIT_SECONDS = 1.0
_CATCH_UP_SECONDS = 600.0
_OK = 200
_MEBIBYTE = 2**20
_SECONDS = 60
_ACCOUNT = """
SELECT count(*) FILTER (WHERE kind <> 'identity'), count(*) FILTER (WHERE kind = 'identity'),
       (SELECT sum(duplicates)::bigint FROM custody_pas.progress)
FROM custody_pas.records
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look: resident memory by process, and how far the archive is behind, in entries and by the oldest's age."""

    minute: float
    memory_bytes: Mapping[str, int]
    lag_entries: int
    lag_seconds: float


async def measure(
    stage: Stage,
    *,
    minutes: float,
    tell: Tell,
    on: LogKind = LogKind.POSTGRES,
    trial_seconds: float = _TRIAL_SECONDS,
) -> Result:
    """Finds out what edge and archive can take together, and sends them half of that for so many minutes."""
    async with AsyncExitStack() as exits:
        tell("soak: finding out the load", 0, 0)
        way = await _way(stage, on, exits)
        capacity = await way.trial(trial_seconds)
        looks = await way.soak(capacity / 2, minutes, tell)
        entries = await way.check()
    return Result(
        name=on.named("soak"),
        parameters={"minutes": minutes, "log": on, "connections": CONNECTIONS, "entries": entries},
        figures={
            "what edge and archive can take together: requests/s": capacity,
            "half load: requests/s": capacity / 2,
            **figures(looks),
        },
        series=series(looks),
    )


@dataclass(slots=True, kw_only=True)
class _Way:
    """The processes from the webhook to the store."""

    log: EventLog
    records: Place
    load: Child
    port: int
    processes: Mapping[str, Running]
    sent: list[int] = field(default_factory=list)

    async def trial(self, seconds: float) -> float:
        """How many requests a second both can take: sent as fast as they are answered, until the last is kept."""
        begun = time.perf_counter()
        await self._send(0.0, seconds)
        requests = await self._sent()
        await self._catch_up()
        return requests / (time.perf_counter() - begun)

    async def soak(self, rate: float, minutes: float, tell: Tell) -> Sequence[Look]:
        """Looks at everything every now and then, while requests are sent at a rate."""
        seconds = minutes * _SECONDS
        wait = max(_LEAST_WAIT_SECONDS, seconds / _LOOKS)
        begun = time.perf_counter()
        await self._send(rate, seconds)
        answer = asyncio.create_task(self._sent())
        looks: list[Look] = []
        while not answer.done():
            looks.append(await self._look((time.perf_counter() - begun) / _SECONDS))
            tell(f"soak: {rate:,.0f} requests/s", len(looks), int(seconds / wait))
            await asyncio.wait({answer}, timeout=wait)
        await answer
        await self._catch_up()
        return looks

    async def check(self) -> int:
        """How many entries there were, once it is sure that each was kept, and each item once.

        An identity may be told of twice, by bodies that came at the same time: a duplicate.
        """
        bounds = await self.log.bounds(tenant.ACCOUNTED_TOPICS)
        entries = sum(one.end - one.first for one in bounds.values())
        connection = await asyncpg.connect(self.records.admin_dsn)
        try:
            items, identities, duplicates = (await connection.fetch(_ACCOUNT))[0]
        finally:
            await connection.close()
        if items != sum(self.sent) or items + identities + duplicates != entries:
            found = f"{items} items, {identities} identities, {duplicates} duplicates"
            raise NotTheSameError(f"{sum(self.sent)} requests were taken, {entries} entries are in the log: {found}")
        return entries

    async def _send(self, rate: float, seconds: float) -> None:
        await self.load.tell(Stretch(port=self.port, rate=rate, connections=CONNECTIONS, seconds=seconds))

    async def _sent(self) -> int:
        sent = await self.load.answer(Sent)
        if set(sent.statuses) != {_OK}:
            raise NotTheSameError(f"not every request was answered with 200: {dict(sent.statuses)}")
        self.sent.append(sent.statuses[_OK])
        return sent.statuses[_OK]

    async def _catch_up(self) -> None:
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while (await self._look(0)).lag_entries:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(_LEAST_WAIT_SECONDS / 4)

    async def _look(self, minute: float) -> Look:
        for one in self.processes.values():
            one.check()
        behind = await look(self.log, None, GROUP, tenant.ACCOUNTED_TOPICS)
        at = now()
        return Look(
            minute=minute,
            memory_bytes={name: _resident_bytes(one) for name, one in self.processes.items()},
            lag_entries=sum(one.entries for one in behind),
            lag_seconds=max(one.age_seconds(at) for one in behind),
        )


async def _way(stage: Stage, on: LogKind, exits: AsyncExitStack) -> _Way:
    enter = exits.enter_async_context
    at = await enter(empty_log(stage, on))
    records, blobs = await enter(stage.fresh(Kind.RECORDS)), await enter(stage.fresh(Kind.BLOBS))
    folder = Path(exits.enter_context(TemporaryDirectory(prefix="custody-bench-")))
    port = Ports.free().edge
    settings = write_settings(folder, log=at, records=records, blobs=blobs, port=port)
    environment = {"CUSTODY_SETTINGS": str(settings)}
    processes = {
        name: await enter(custody(name, ("run", name), log=folder / f"{name}.log", environment=environment))
        for name in PROCESSES
    }
    await answers(processes["edge"], f"http://{HOST}:{port}/health/ready")
    log = await open_log(at)
    exits.push_async_callback(log.close)
    load = await enter(started("soak.load", "start"))
    return _Way(log=log, records=records, load=load, port=port, processes=processes)


def figures(looks: Sequence[Look]) -> dict[str, float]:
    """Of memory the middle of the second tenth and of the last one, and their ratio; of lag the middle and the most."""
    tenth = max(1, len(looks) // 10)
    warm, end = looks[tenth : 2 * tenth] or looks, looks[-tenth:]
    found: dict[str, float] = {}
    for name in looks[0].memory_bytes:
        before, after = (median(one.memory_bytes[name] for one in some) for some in (warm, end))
        found[f"{name}'s memory after warming up: MiB"] = before / _MEBIBYTE
        found[f"{name}'s memory at the end: MiB"] = after / _MEBIBYTE
        found[f"{name}'s memory at the end over that after warming up"] = after / before
    for unit in ("entries", "seconds"):
        lags = [_lag(one, unit) for one in looks]
        found[f"lag, median: {unit}"] = median(lags)
        found[f"lag, most: {unit}"] = max(lags)
        found[f"lag, median of the last tenth: {unit}"] = median(_lag(one, unit) for one in end)
    return found


def series(looks: Sequence[Look]) -> Sequence[Series]:
    """Memory and lag as they went."""
    memory = {
        name: [(one.minute, one.memory_bytes[name] / _MEBIBYTE) for one in looks] for name in looks[0].memory_bytes
    }
    lags = [
        Series(title=f"lag of the archive, {what}", x="minutes", y=unit, lines={"lag": _points(looks, unit)})
        for unit, what in (("entries", "entries not kept yet"), ("seconds", "age of the oldest"))
    ]
    return [Series(title="resident memory at half load", x="minutes", y="MiB", lines=memory), *lags]


def _points(looks: Sequence[Look], unit: str) -> list[tuple[float, float]]:
    return [(one.minute, _lag(one, unit)) for one in looks]


def _lag(one: Look, unit: str) -> float:
    return one.lag_entries if unit == "entries" else one.lag_seconds


def _resident_bytes(running: Running) -> int:
    return int(psutil.Process(running.process.pid).memory_info().rss)
