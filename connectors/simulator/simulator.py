"""A simulated WhatsApp Cloud API: a real HTTP server that also knows the truth about what it did.

```python
async with Simulator(config) as provider:
    await provider.play(Play(messages=1_000))
    await provider.idle(timeout_seconds=60)
    print(provider.summary())
```
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.simulator import app, control, parts, reports, scenario
from connectors.simulator.activity import Activity
from connectors.simulator.errors import ConfigError, NotStartedError, RefusedInProductionError
from connectors.simulator.ids import Ids
from connectors.simulator.misbehaviour import Draws, Misbehaviour
from connectors.simulator.scenario import Play
from connectors.simulator.server import serving
from connectors.simulator.world import Callback, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from connectors.simulator.compose import Composer
    from connectors.simulator.config import SimulatorConfig
    from connectors.simulator.draft import Draft, Receipt
    from connectors.simulator.parts import Parts
    from connectors.simulator.reports import Row

PROFILE_VARIABLE = "CUSTODY_PROFILE"


def refuse_in_production(environment: Mapping[str, str]) -> None:
    """Raises RefusedInProductionError under a production profile: nobody's messages may come from a simulator."""
    if environment.get(PROFILE_VARIABLE, "").strip().lower() == "production":
        message = f"the simulator does not start with {PROFILE_VARIABLE}=production: unset it, or use the real provider"
        raise RefusedInProductionError(message)


class Simulator:
    """The provider. Everything is stopped and its temporary folder removed when the block is left.

    `base_url` is the root of the Graph API; `control_token` opens the control calls under `/simulator/`.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        refuse_in_production(os.environ)
        self.config = config
        self.control_token = config.control_token or secrets.token_urlsafe(24)
        self.world = World(config)
        self.draws = Draws(seed=config.seed, misbehaviour=config.misbehaviour)
        self._activity = Activity()
        self._ids = Ids(seed=config.seed)
        self._runs = count(1)
        self._stack = AsyncExitStack()
        self._parts: Parts | None = None

    async def __aenter__(self) -> Self:
        refuse_in_production(os.environ)
        async with AsyncExitStack() as stack:
            folder = self._folder(stack)
            self._parts = await parts.assemble(
                stack, folder=folder, world=self.world, draws=self.draws, activity=self._activity, ids=self._ids
            )
            served = app.build(self._parts, control=control.routes(self))
            config = self.config
            self.world.base_url = await stack.enter_async_context(serving(served, host=config.host, port=config.port))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._parts = None

    @property
    def base_url(self) -> str:
        """Where the Graph API answers, without version."""
        return self.world.base_url

    @property
    def pending(self) -> int:
        """How many items, sequences and plays are under way."""
        return self._activity.count

    def composer(self, account: str) -> Composer:
        """Makes drafts for a number. Raises ConfigError when there is no such number."""
        return self._started.composer(account, self._ids)

    async def send(self, draft: Draft) -> Receipt:
        """Send one draft, whatever misbehaviour makes of it. Waits while too much is under way."""
        return await self._started.emitter.emit(draft, composer=self.composer(draft.account))

    async def play(self, play: Play | None = None) -> int:
        """Play a scenario to its end; how many inbound messages were sent. They may not all be delivered yet."""
        return await self._perform(play or Play(), next(self._runs))

    def start(self, play: Play) -> int:
        """Play in the background; the number of the run."""
        run = next(self._runs)
        self._activity.begin()
        self._started.background.start(self._play_along(play, run))
        return run

    async def idle(self, *, timeout_seconds: float = 30.0) -> None:
        """Return once nothing is under way. Raises TimeoutError, or whatever failed in the background."""
        background = self._started.background
        background.check()
        quiet = asyncio.ensure_future(self._activity.quiet())
        failed = asyncio.ensure_future(background.failed())
        done, waiting = await asyncio.wait(
            (quiet, failed), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for one in waiting:
            one.cancel()
        if not done:
            message = f"{self.pending} still under way after {timeout_seconds:g} s"
            raise TimeoutError(message)
        background.check()

    async def serve(self) -> None:
        """Serve until cancelled. Raises whatever failed in the background."""
        await self._started.background.failed()

    def misbehave(self, changes: Mapping[str, object], *, reset: bool = False) -> dict[str, float]:
        """Change how the provider misbehaves, from now on; gives all of it. Raises ConfigError."""
        before = Misbehaviour() if reset else self.draws.misbehaviour
        self.draws.misbehaviour = before.changed(changes)
        return asdict(self.draws.misbehaviour)

    async def subscribe(self, app_id: str, callback_url: str | None = None) -> str | None:
        """Challenge an app's callback URL, a new one or its own; why it was refused, or None. Raises ConfigError."""
        if app_id not in self.world.apps:
            message = f"no app has the id {app_id}: use one of the settings' apps"
            raise ConfigError(message)
        known = self.world.apps[app_id]
        callback = Callback(url=callback_url or known.callback_url, verify_token=known.verify_token)
        refused = await self._started.challenger.refused(callback)
        if refused is None:
            self.world.set_app(app_id, callback=callback)
        return refused

    def set_callback(self, app_id: str, callback_url: str) -> None:
        """Set an app's callback URL without a challenge; also for what is under way."""
        token = self.world.apps[app_id].verify_token
        self.world.set_app(app_id, callback=Callback(url=callback_url, verify_token=token))

    def set_secret(self, app_id: str, secret: str) -> None:
        """Sign with another secret from now on. Raises ConfigError."""
        if app_id not in self.world.apps or not secret:
            message = f"app {app_id} cannot take this secret: name one of the settings' apps, and a secret"
            raise ConfigError(message)
        self.world.set_app(app_id, secret=secret)

    def truth(self) -> Iterator[Row]:
        """Every item that was sent, as `reports.truth` gives it."""
        return reports.truth(self._committed())

    def held(self) -> Iterator[Row]:
        """What the provider holds now: messages, media, contacts."""
        return reports.held(self._committed(), now=self.world.clock())

    def media(self) -> Iterator[Row]:
        """Every media object there ever was."""
        return reports.media(self._committed())

    def deletes(self) -> Iterator[Row]:
        """Every deletion that was asked for."""
        return reports.deletes(self._committed())

    def downloads(self) -> Iterator[Row]:
        """Every download that was asked for."""
        return reports.downloads(self._committed())

    def summary(self) -> dict[str, object]:
        """The run in numbers."""
        tallies: Counter[str] = sum((one.tallies for one in self._started.couriers.values()), start=Counter())
        answers = {name.removeprefix("answered_"): number for name, number in tallies.items() if "answered" in name}
        numbers: dict[str, object] = dict(reports.counts(self._committed(), now=self.world.clock()))
        return numbers | {
            "pending": self.pending,
            "posts": tallies["posts"],
            "retries": tallies["retries"],
            "bodies_redelivered": tallies["bodies_redelivered"],
            "items_redelivered": tallies["items_redelivered"],
            "answers": answers,
            "struck": dict(self.draws.struck),
            "graph_calls": self._started.gate.tallies["calls"],
            "seed": self.config.seed,
        }

    @property
    def _started(self) -> Parts:
        if self._parts is None:
            message = "the simulator is not running: use it inside `async with`"
            raise NotStartedError(message)
        return self._parts

    def _committed(self) -> Path:
        ledger = self._started.ledger
        ledger.commit()
        return ledger.path

    async def _perform(self, play: Play, run: int) -> int:
        seed = self.config.seed if play.seed is None else play.seed
        ids = Ids(seed=seed, run=run)
        clock = None if play.at is None else scenario.StoryClock(play.at)
        composers = {account: self._started.composer(account, ids, clock) for account in self.world.numbers}
        drafts = scenario.script(play, accounts=tuple(composers), composer=composers.__getitem__, seed=seed)
        return await scenario.perform(drafts, emitter=self._started.emitter, clock=clock)

    async def _play_along(self, play: Play, run: int) -> None:
        try:
            await self._perform(play, run)
        finally:
            self._activity.end()

    def _folder(self, stack: AsyncExitStack) -> Path:
        if self.config.directory is not None:
            folder = Path(self.config.directory)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "truth.sqlite").unlink(missing_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="custody-simulator-")))
        (folder / "uploads").mkdir(exist_ok=True)
        return folder
