"""The demo: servers and processes started, the story played to its end, the account held to the provider's word.

Nothing here is a shortcut: the workers are `custody run` in a process of its own, with the roles that production has.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from broker import app
from broker.accounts import count_unclaimed, draw_accounts
from broker.core.account import Account, total
from broker.core.ports import BlobStore, EventLog, RecordStore
from broker.core.registry import Registry
from broker.demo.home import PROVIDER, DemoHome, Log, Ports
from broker.demo.processes import Running, answers, custody
from broker.demo.provider import ProviderControl
from broker.judge import Judge, Verdict
from broker.settings import Settings
from broker.store_settings import Kind, StoreName

if TYPE_CHECKING:
    from types import TracebackType

_LOOK_SECONDS = 0.25
_STUCK_SECONDS = 90.0
_NAMES: Mapping[Kind, str] = {"postgres": "PostgreSQL", "kafka": "Kafka", "mongo": "MongoDB", "s3": "an S3 server"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What to show. `messages` inbound messages, or one telling of the story for 0. `keep` names the folder.

    `at` is when the story begins. Given that, it is the same again, digest by digest, whenever it is told with the
    same seed.
    `log` is what the event log runs on, `store` where records and blobs rest.
    """

    messages: int = 0
    seed: int = 1
    at: datetime | None = None
    keep: Path | None = None
    log: Log = "postgres"
    store: StoreName = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """How far things are, while they are under way."""

    inbound: int = 0
    accepted: int = 0
    kept: int = 0
    fetched: int = 0
    erased: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The account, and whether the provider's own word agrees with it. `unclaimed` bodies are counted apart."""

    accounts: Mapping[str, Account]
    unclaimed: int
    verdict: Verdict
    provider: Mapping[str, Any]
    seconds: float
    peak_memory_bytes: Mapping[str, int]

    @property
    def account(self) -> Account:
        """All tenants together."""
        return total(self.accounts.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """Whatever keeps the account from closing."""
        own = [f"{tenant}: {one}" for tenant, account in self.accounts.items() for one in account.problems()]
        return (*own, *self.verdict.problems)

    @property
    def closed(self) -> bool:
        """Every sum holds, nothing is under way, and the provider's word agrees."""
        return not self.problems


@dataclass(slots=True, kw_only=True)
class Demo:
    """A demo under way: `async with Demo(options=..) as demo`."""

    options: DemoOptions
    show: Callable[[Glimpse], None] = lambda _glimpse: None
    say: Callable[[str], None] = lambda _phase: None
    home: DemoHome = field(init=False)
    settings: Settings = field(init=False)
    registry: Registry = field(init=False)
    provider: ProviderControl = field(init=False)
    workers: Running = field(init=False)
    log: EventLog = field(init=False)
    store: RecordStore = field(init=False)
    blobs: BlobStore = field(init=False)
    _started: float = field(init=False, default=0.0)
    _exits: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _start(self) -> None:
        enter = self._exits.enter_async_context
        self.home = DemoHome.make(
            self._folder(),
            seed=self.options.seed,
            ports=Ports.free(),
            log=self.options.log,
            store=self.options.store,
            repeatable=self.options.at is not None,
        )
        self.settings = app.settings_of(self.home.settings_file)
        self.registry = app.registry(self.settings)
        self.say(f"starting {' and '.join(_NAMES[kind] for kind in dict.fromkeys(self.home.kinds.values()))}")
        await enter(app.embedded(self.settings))
        self.say("creating tables, roles and topics")
        await app.prepare(self.settings, registry=self.registry)
        await self._start_processes()
        self.log = await app.entered(self._exits, app.open_log(self.settings))
        self.store = await app.entered(self._exits, app.open_records(self.settings))
        self.blobs = await app.entered(self._exits, app.open_blobs(self.settings))

    async def _start_processes(self) -> None:
        self.say("starting the provider and the workers")
        enter = self._exits.enter_async_context
        environment = {"CUSTODY_SETTINGS": str(self.home.settings_file)}
        url = f"http://127.0.0.1:{self.home.ports.simulator}"
        simulate = ("simulate", "--config", str(self.home.simulator_file))
        simulator = await enter(
            custody("simulator", simulate, log=self.home.root / "simulator.log", environment=environment)
        )
        self.workers = await enter(
            custody("workers", ("run",), log=self.home.root / "workers.log", environment=environment)
        )
        await answers(simulator, f"{url}/simulator/idle")
        await answers(self.workers, f"http://127.0.0.1:{self.home.ports.edge}/health/ready")
        self.provider = await enter(ProviderControl(url=url, token=self.home.control_token))

    def _folder(self) -> Path:
        return self.options.keep or Path(tempfile.gettempdir()) / f"custody-demo-{os.getuid()}"

    async def play(self) -> None:
        """Plays the story, and returns when all of it is settled, or when nothing has moved for a while."""
        self.say("a stone hits a windscreen, and a member writes to the insurer")
        self._started = time.monotonic()
        await self.provider.play(self.options.messages, at=self.options.at)
        await self.settled()

    async def settled(self) -> None:
        """Returns when the provider has nothing under way and the account closes, or nothing moves any more."""
        before, moved = Glimpse(), time.monotonic()
        while time.monotonic() - moved < _STUCK_SECONDS:
            self.workers.check()
            now = await self._glimpse()
            self.show(now)
            if _counts(now) != _counts(before):
                before, moved = now, time.monotonic()
            elif await self.provider.is_idle() and await self._is_closed():
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def outcome(self) -> Outcome:
        """The account now, and the provider's word on it."""
        self.say("holding the account to the provider's word")
        judge = Judge(
            registry=self.registry,
            provider=PROVIDER,
            capabilities=app.capabilities(self.settings),
            store=self.store,
            blobs=self.blobs,
            truth=self.provider,
        )
        self.workers.check()
        return Outcome(
            accounts=await self._accounts(),
            unclaimed=await count_unclaimed(self.log),
            verdict=await judge.verdict(),
            provider=await self.provider.summary(),
            seconds=time.monotonic() - self._started,
            peak_memory_bytes={self.workers.name: self.workers.peak_bytes},
        )

    async def example(self) -> str | None:
        """A record worth looking at: the first one with a part."""
        for tenant in self.registry.tenants:
            async for part in self.store.kept_parts(tenant):
                return part.record_id
        return None

    async def _accounts(self) -> Mapping[str, Account]:
        return await draw_accounts(self.log, self.store, self.registry.tenants)

    async def _is_closed(self) -> bool:
        accounts = await self._accounts()
        return await count_unclaimed(self.log) == 0 and not any(one.problems() for one in accounts.values())

    async def _glimpse(self) -> Glimpse:
        summary = await self.provider.summary()
        progress = [
            one
            for tenant in self.registry.tenants
            for one in (await self.store.progress(self.log.identity, app.accounted_topics(tenant))).values()
        ]
        return Glimpse(
            inbound=summary["inbound"],
            accepted=summary["delivered"],
            kept=sum(one.keep_seq for one in progress),
            fetched=summary["downloads"],
            erased=summary["erased"],
            seconds=time.monotonic() - self._started,
        )


def _counts(glimpse: Glimpse) -> tuple[int, ...]:
    return glimpse.inbound, glimpse.accepted, glimpse.kept, glimpse.fetched, glimpse.erased
