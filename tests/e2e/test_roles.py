"""The roles that access lists are written from are what the workers really do: held against a whole run."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker import app
from broker.core.access import ALL_GROUPS, WORKER_ROLES
from broker.core.metrics import NoMetrics
from broker.core.topics import split_topic
from broker.run import WORKERS, Runner
from broker.workers import archive, claim, erase
from broker.workers.media import fetcher, scan
from tests.stage import Servers, Stage, StageOptions, one_server
from tests.stage.home import TENANTS
from tests.stage.servers import ROLES as SERVER_ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from broker.core.ports import EventLog, LogEntry, NewEntry, StartAt, Subscription
    from broker.core.topics import TopicPartition


SELDOM = {"archive": {"dead"}, "claim": {"bodies"}}
"""What does not happen here: nothing is set aside, and nobody's bodies are all claimed at once."""


@dataclass
class Seen:
    """What one worker did with the log, by stream and by group."""

    writes: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    reads_outside: set[str] = field(default_factory=set)
    trims: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    watches: set[str] = field(default_factory=set)


class WatchedLog:
    """A log that notes what is asked of it, and does it."""

    def __init__(self, log: EventLog, seen: Seen) -> None:
        self._log = log
        self._seen = seen

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a log has
        return getattr(self._log, name)

    async def append(self, entries: Sequence[NewEntry]) -> None:
        self._seen.writes |= {split_topic(one.topic)[1] for one in entries}
        await self._log.append(entries)

    async def subscribe(self, group: str, streams: Sequence[str], *, start_at: StartAt | None = None) -> Subscription:
        self._seen.groups.add(group)
        self._seen.reads |= set(streams)
        return await self._log.subscribe(group, streams, start_at=start_at)

    async def read(self, partition: TopicPartition, offset: int, *, max_entries: int) -> Sequence[LogEntry]:
        self._seen.reads_outside.add(split_topic(partition.topic)[1])
        return await self._log.read(partition, offset, max_entries=max_entries)

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        self._seen.watches.add(group)
        return await self._log.committed(group, topics)

    async def trim(self, partition: TopicPartition, before: int) -> None:
        self._seen.trims.add(split_topic(partition.topic)[1])
        await self._log.trim(partition, before)


class WatchedRunner(Runner):
    """Runs workers on a watched log."""

    seen: Seen

    async def log(self) -> Any:  # noqa: ANN401 - a log in all but its type
        return WatchedLog(await super().log(), self.seen)


async def test_the_workers_do_what_their_roles_say_and_nothing_else(tmp_path: Path) -> None:
    seen: dict[str, Seen] = defaultdict(Seen)
    async with AsyncExitStack() as exits:
        server = await exits.enter_async_context(one_server())
        servers = await Servers.prepared(dict.fromkeys(SERVER_ROLES, server))
        options = StageOptions(
            seed=1, registered=TENANTS[:1], overrides={"workers": {"tidy_poll_seconds": 0.5, "claim_poll_seconds": 0.2}}
        )
        stage = await exits.enter_async_context(Stage(folder=tmp_path / "stage", servers=servers, options=options))
        registry = await exits.enter_async_context(app.live_registry(stage.settings))
        stop = asyncio.Event()

        async def work(name: str) -> None:
            async with AsyncExitStack() as opened:
                runner = WatchedRunner(
                    settings=stage.settings, registry=registry, metrics=NoMetrics(), stop=stop, exits=opened
                )
                runner.seen = seen[name]
                await runner.run([name])

        working = [asyncio.create_task(work(name)) for name in WORKERS]
        exits.push_async_callback(_ended, stop, working)
        await stage.play()
        await stage.until("bodies of nobody have come", lambda: _has_unclaimed(stage))
        stage.home.register(*TENANTS)
        await stage.play()
        await stage.settled()
        await stage.until("tidy has looked", lambda: _has_trimmed(seen["tidy"]))

    for role in WORKER_ROLES:
        if role.name not in WORKERS:
            continue
        did = seen[role.name]
        assert did.reads == set(role.reads), role.name
        assert did.reads_outside <= {*role.reads, *role.consults}, role.name
        assert did.groups == set(role.groups), role.name
        assert did.watches <= {*role.watches, *role.groups}, role.name
        assert did.trims == set(role.trims), role.name
        assert did.writes <= set(role.writes), role.name
        more = set(role.writes) - did.writes
        assert more <= SELDOM.get(role.name, set()), f"{role.name} may write more than it does"


def test_every_group_there_is_is_known() -> None:
    groups = {archive.GROUP, scan.GROUP, fetcher.GROUP, erase.GROUP, claim.GROUP}
    assert set(ALL_GROUPS) == groups | {"send"}


async def _ended(stop: asyncio.Event, working: Sequence[asyncio.Task[None]]) -> None:
    stop.set()
    await asyncio.gather(*working)


async def _has_unclaimed(stage: Stage) -> bool:
    return await stage.unclaimed() > 0


async def _has_trimmed(seen: Seen) -> bool:
    return len(seen.trims) > 1
