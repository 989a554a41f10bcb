"""Puts the simulator together: one place that knows which part needs which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from connectors.simulator.accounts_api import AccountsApi
from connectors.simulator.activity import Activity, Background
from connectors.simulator.challenge import Challenger
from connectors.simulator.compose import Composer
from connectors.simulator.courier import Courier, Surroundings
from connectors.simulator.emit import Emitter
from connectors.simulator.gate import Gate
from connectors.simulator.ledger import Ledger
from connectors.simulator.media_api import MediaApi
from connectors.simulator.messages_api import MessagesApi
from connectors.simulator.misbehaviour import Draws
from connectors.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

    from connectors.simulator.ids import Ids
    from connectors.simulator.payloads.envelope import Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A running simulator's parts."""

    world: World
    draws: Draws
    ledger: Ledger
    background: Background
    couriers: dict[str, Courier]
    emitter: Emitter
    challenger: Challenger
    gate: Gate
    media: MediaApi
    messages: MessagesApi
    accounts: AccountsApi

    def composer(self, account: str, ids: Ids, clock: Callable[[], float] | None = None) -> Composer:
        """Makes drafts for a number with these ids, in a story with a time of its own. Raises ConfigError."""
        return Composer(account, world=self.world, ledger=self.ledger, draws=self.draws, ids=ids, clock=clock)


class _Losses:
    """What follows when an item is given up: a number without storage hears that it lost a message, not which."""

    def __init__(self, *, world: World, ledger: Ledger, draws: Draws, ids: Ids) -> None:
        self._world, self._ledger, self._draws, self._ids = world, ledger, draws, ids
        self.emitter: Emitter | None = None

    async def expired(self, parcel: Parcel) -> None:
        if self.emitter is None or not parcel.inbound or parcel.array != "messages":
            return
        if self._world.number(parcel.account).posture == "no_storage":
            compose = Composer(parcel.account, world=self._world, ledger=self._ledger, draws=self._draws, ids=self._ids)
            await self.emitter.emit(compose.lost(), composer=compose)


async def assemble(
    stack: AsyncExitStack, *, folder: Path, world: World, draws: Draws, activity: Activity, ids: Ids
) -> Parts:
    """Make the parts and start the couriers; leaving `stack` stops them."""
    ledger = Ledger(folder / "truth.sqlite")
    stack.callback(ledger.close)
    connector = aiohttp.TCPConnector(limit=0)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    background = Background()
    stack.push_async_callback(background.stop)
    shared = Surroundings(world=world, ledger=ledger, draws=draws, session=session, activity=activity)
    losses = _Losses(world=world, ledger=ledger, draws=draws, ids=ids)
    couriers = {app_id: Courier(app_id, shared, expired=losses.expired) for app_id in world.apps}
    emitter = losses.emitter = Emitter(world=world, ledger=ledger, draws=draws, couriers=couriers)
    for courier in couriers.values():
        background.start(courier.run())
    gate = Gate(world=world, ledger=ledger, draws=draws)
    challenger = Challenger(session, ids=ids)

    def composer(account: str) -> Composer:
        return Composer(account, world=world, ledger=ledger, draws=draws, ids=ids)

    return Parts(
        world=world,
        draws=draws,
        ledger=ledger,
        background=background,
        couriers=couriers,
        emitter=emitter,
        challenger=challenger,
        gate=gate,
        media=MediaApi(gate, ids=ids, uploads=folder / "uploads"),
        messages=MessagesApi(gate, emitter=emitter, composer=composer, activity=activity, background=background),
        accounts=AccountsApi(gate, challenger=challenger),
    )
