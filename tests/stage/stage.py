"""The stage itself: servers prepared, the provider simulated in this process, the workers in processes of their own.

A test makes things go wrong, and ends with `settled`: the provider has nothing under way, every account closes by its
own sums, and the provider's word agrees with what is kept and erased.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from broker import app
from broker.accounts import count_unclaimed, draw_accounts
from broker.core.account import Account, total
from broker.core.erasure import TargetState
from broker.core.errors import RetryableError
from broker.core.ports import BlobStore, EventLog, RecordStore
from broker.core.topics import Stream, topic_name
from broker.demo.home import Log
from broker.demo.ports import free_ports
from broker.judge import Judge, Verdict
from broker.preparing import passwords_of
from broker.settings import Settings
from connectors.simulator import Misbehaviour, Play, Simulator
from tests.stage.actors import Actor, ActorFailedError
from tests.stage.doomed import COMMAND
from tests.stage.home import PROVIDER, TENANTS, Layout, StageHome
from tests.stage.nursery import Child, Nursery, nursery_at
from tests.stage.servers import Servers
from tests.stage.truth import Truth

if TYPE_CHECKING:
    from types import TracebackType

    from broker.core.registry import Registry
    from tests.stage.kills import Kill

WORKERS = ("edge", "archive", "media", "relay", "erase", "claim")
ALONE: Mapping[str, Sequence[str]] = {name: (name,) for name in WORKERS}
"""Every worker in a process of its own."""
TOGETHER: Mapping[str, Sequence[str]] = {"edge": ("edge",), "rest": WORKERS[1:]}
"""Two processes, for tests in which nobody is killed: they start sooner."""
APART: Mapping[str, Sequence[str]] = {
    "edge": ("edge",),
    "archive": ("archive",),
    "rest": ("media", "relay", "erase", "claim"),
}
"""Three processes: the archive has one of its own, which is seen to live through it all, or is stopped alone."""

_LOOK_SECONDS = 0.1
_OPEN = frozenset({TargetState.WAITING, TargetState.DUE, TargetState.COMMANDED, TargetState.BLOCKED})
_PATIENCE_SECONDS = 240.0
_VOUCH_SECONDS, _VOUCHING_MESSAGES = 15.0, 40
_GONE = '"code": "gone"'


class UnsettledError(AssertionError):
    """What was to happen did not, or the account does not close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """What stands on the stage.

    `known` tenants are in the registry from the start, and `registered` ones with their accounts.

    `log` is what the log runs on; for "kafka" the servers have a cluster. `layout` says where records and blobs rest.
    `hurry` is in the environment of workers alone, beside what every stage hurries them with.
    """

    seed: int
    log: Log = "postgres"
    processes: Mapping[str, Sequence[str]] = field(default_factory=lambda: TOGETHER)
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)
    registered: Sequence[str] = TENANTS
    known: Sequence[str] = TENANTS
    overrides: Mapping[str, Any] = field(default_factory=dict)
    hurry: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)


@dataclass(slots=True, kw_only=True)
class Stage:
    """`async with Stage(folder=tmp_path / "stage", servers=.., options=..) as stage`.

    `nursery` is the socket of a running one; without it no processes can be employed.
    """

    folder: Path
    servers: Servers
    options: StageOptions
    nursery: Path | None = None
    home: StageHome = field(init=False)
    settings: Settings = field(init=False)
    provider: Simulator = field(init=False)
    log: EventLog = field(init=False)
    store: RecordStore = field(init=False)
    blobs: BlobStore = field(init=False)
    actors: dict[str, Actor] = field(init=False, default_factory=dict)
    _nursery: Nursery = field(init=False, repr=False)
    _commands: int = field(init=False, default=0)
    _exits: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        try:
            await self._prepare()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    # --- who plays ---

    async def start(self, *names: str) -> None:
        """Starts these processes; all of them where none is named."""
        for name in names or tuple(self.options.processes):
            await self.employ(name, self.options.processes[name])

    async def employ(
        self,
        name: str,
        workers: Sequence[str],
        *,
        kills: Iterable[Kill] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Actor:
        """Starts a process with these workers, which dies at each of `kills` in turn. `environment` goes on top."""
        is_edge = "edge" in workers
        actor = Actor(
            name=name,
            workers=workers,
            nursery=self._nursery,
            log=self.home.root / f"{name}.log",
            environment={
                "CUSTODY_SETTINGS": str(self.home.settings_file),
                **self.home.hurry,
                **self.options.hurry,
                **(environment or {}),
            },
            health_port=self.home.demo.ports.edge if is_edge else free_ports(1)[0],
        )
        actor.kills.extend(kills)
        self.actors[name] = actor
        await actor.start()
        return actor

    async def lay_out(self, layout: Layout) -> None:
        """Writes the settings anew, and looks at the stores by them; processes go by them once they start again."""
        self.home.write(layout)
        self.settings = app.settings_of(self.home.settings_file)
        await self._open_stores()

    async def restart(self, *names: str) -> None:
        """Ends these processes as an orchestrator does, one after the other, and starts each again; all by default."""
        for name in names or tuple(self.options.processes):
            await self.dismiss(name)
            await self.start(name)

    async def dismiss(self, *names: str, number: signal.Signals = signal.SIGTERM) -> dict[str, int]:
        """Ends these processes for good; their exit codes."""
        chosen = names or tuple(self.actors)
        codes = await asyncio.gather(*(self.actors[name].stop(number) for name in chosen))
        for name in chosen:
            del self.actors[name]
        return dict(zip(chosen, codes, strict=True))

    def check(self) -> None:
        """Raises when a process ended by itself."""
        for actor in self.actors.values():
            actor.check()

    async def command(self, *arguments: str) -> tuple[int, bytes]:
        """Runs `custody ARGUMENTS` as an operator would; the exit code, and all it said."""
        if self.nursery is not None:
            child, said = await self.begin(*arguments)
            return await child.ended, said.read_bytes()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "broker.cli", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(),
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output

    async def begin(self, *arguments: str) -> tuple[Child, Path]:
        """Starts `custody ARGUMENTS`, from the nursery: a process that may be killed, and the file of what it says."""
        self._commands += 1
        said = self.home.root / f"command-{self._commands}.log"
        child = await self._nursery.start((COMMAND, *arguments), environment=self._environment(), log=said)
        return child, said

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "CUSTODY_SETTINGS": str(self.home.settings_file)}

    # --- what is played ---

    async def play(self, messages: int = 0) -> None:
        """Sends so many inbound messages and what goes with them; the story once for 0. They may still be under way."""
        await self.provider.play(Play(messages=messages))

    def delivered(self) -> int:
        """How many items got a 200 so far."""
        return int(str(self.provider.summary()["delivered"]))

    async def unblock(self) -> None:
        """What a person does about blocked targets."""
        for tenant in TENANTS:
            found = [one.target_id async for one in self.store.targets(tenant) if one.state == TargetState.BLOCKED]
            if found:
                await self.store.unblock(tenant, found)

    # --- what is seen ---

    @property
    def registry(self) -> Registry:
        """The registry as its file is now."""
        return app.registry(self.settings)

    async def accounts(self) -> Mapping[str, Account]:
        return await draw_accounts(self.log, self.store, TENANTS)

    async def account(self) -> Account:
        """All tenants together, as soon as it can be drawn: a server under load may not answer in time."""
        patiently = AsyncRetrying(
            retry=retry_if_exception_type(RetryableError), stop=stop_after_attempt(3), reraise=True
        )
        return total((await patiently(self.accounts)).values())

    async def unclaimed(self) -> int:
        """Bodies that nobody has claimed yet."""
        return await count_unclaimed(self.log)

    async def dead_letters(self) -> int:
        """How many entries were ever set aside, by the log's own count."""
        bounds = await self.log.bounds([topic_name(tenant, Stream.DEAD) for tenant in TENANTS])
        return sum(one.end - one.first for one in bounds.values())

    async def verdict(self) -> Verdict:
        """What the provider's word says of the account."""
        judge = Judge(
            registry=self.registry,
            provider=PROVIDER,
            capabilities=app.capabilities(self.settings),
            store=self.store,
            blobs=self.blobs,
            truth=Truth(self.provider),
        )
        return await judge.verdict()

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], *, within_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        """Returns once a condition holds; `UnsettledError` when it does not come to.

        What a server under load can't answer now does not hold.
        Where a process knows of nothing but lost photos, others are sent now and then, as a real number gets some too:
        it believes the provider only beside one that it fetched.
        """
        loop = asyncio.get_running_loop()
        deadline, vouch_at = loop.time() + within_seconds, loop.time() + _VOUCH_SECONDS
        while not await _holds_now(holds):
            self.check()
            if loop.time() > vouch_at and self._lacks_witness():
                vouch_at = loop.time() + _VOUCH_SECONDS
                await self.play(_VOUCHING_MESSAGES)
            if loop.time() > deadline:
                raise UnsettledError(f"{what}: not in {within_seconds:g} s\n{await self._told()}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def settled(self, *, unblocking: bool = False, within_seconds: float = _PATIENCE_SECONDS) -> Account:
        """Returns the account once it closes; `UnsettledError` if it does not, or the provider's word disagrees.

        `unblocking` lets a person look after blocked targets now and then.
        """

        async def closed() -> bool:
            problems = await self.pending()
            if unblocking and problems:
                await self.unblock()
            return not problems

        await self.until("settled", closed, within_seconds=within_seconds)
        verdict = await self.verdict()
        if verdict.problems:
            raise UnsettledError(f"the provider's word disagrees: {verdict.problems}\n{await self._told()}")
        return await self.account()

    def _lacks_witness(self) -> bool:
        """Whether the last that a process says is that the provider does not have a photo."""
        last = [actor.tail().rstrip().rpartition("\n")[2] for actor in self.actors.values()]
        return any(_GONE in line for line in last)

    async def pending(self) -> list[str]:
        """What keeps the account from closing now."""
        if self.provider.pending:
            return [f"the provider has {self.provider.pending} under way"]
        try:
            problems = [
                f"{tenant}: {one}" for tenant, drawn in (await self.accounts()).items() for one in drawn.problems()
            ]
            unclaimed = await self.unclaimed()
        except RetryableError as error:
            return [error.code]
        return [*problems, *([f"{unclaimed} unclaimed"] if unclaimed else [])]

    async def _told(self) -> str:
        """Everything that helps to see why."""
        tails = [
            f"--- {one.name}, started {one.starts} times, {await one.health('workers')}:\n{one.tail()}"
            for one in self.actors.values()
        ]
        targets = [
            f"{tenant}: {one}" for tenant in TENANTS async for one in self.store.targets(tenant) if one.state in _OPEN
        ]
        return "\n".join([f"seed {self.options.seed}", *await self.pending(), *targets[:20], *tails])

    # --- setting up ---

    async def _prepare(self) -> None:
        options = self.options
        print(f"stage: seed {options.seed}, folder {self.folder}")  # noqa: T201 - pytest shows it with a failure
        self.home = StageHome.make(
            self.folder,
            self.servers,
            seed=options.seed,
            misbehaviour=options.misbehaviour,
            log=options.log,
            overrides=options.overrides,
            layout=options.layout,
        )
        self.home.register(*options.registered, known=options.known)
        self.settings = app.settings_of(self.home.settings_file)
        await app.prepare(self.settings, registry=self.registry, passwords=passwords_of(self.settings))
        if self.nursery is not None:
            self._nursery = await self._exits.enter_async_context(nursery_at(self.nursery))
        self.provider = await self._exits.enter_async_context(Simulator(self.home.simulator))
        self.log = await app.entered(self._exits, app.open_log(self.settings))
        await self._open_stores()
        self._exits.push_async_callback(self._end)

    async def _open_stores(self) -> None:
        self.store = await app.entered(self._exits, app.open_records(self.settings))
        self.blobs = await app.entered(self._exits, app.open_blobs(self.settings))

    async def _end(self) -> None:
        """Ends what still runs, whatever state it is in."""
        await asyncio.gather(*(one.stop(signal.SIGKILL) for one in self.actors.values()))


async def _holds_now(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except RetryableError:
        return False


__all__ = ["ALONE", "APART", "TOGETHER", "WORKERS", "ActorFailedError", "Stage", "StageOptions", "UnsettledError"]
