"""Carries webhooks to one app: packs items into signed bodies, keeps a bounded number in flight, and retries.

Back-pressure: whoever hands an item over waits while the queue is full, and nothing is packed while `outstanding`
bodies wait for an answer or a retry. So memory does not depend on how much is sent, nor on a receiver that is down.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import aiohttp

from connectors.simulator.activity import Activity
from connectors.simulator.ledger import Ledger
from connectors.simulator.misbehaviour import Draws, fraction
from connectors.simulator.payloads import envelope
from connectors.simulator.payloads.envelope import Parcel
from connectors.simulator.retry import SUCCESS, delay_seconds, retry_after
from connectors.simulator.signing import SIGNATURE_HEADER, signature
from connectors.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


_ENVELOPE_BYTES = 400
_PASSED_BY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body ready to post. `again`: what it holds got a 200 before."""

    number: int
    parcels: tuple[Parcel, ...]
    raw: bytes
    again: bool = False


@dataclass(slots=True, kw_only=True)
class _Held:
    """An item kept back until `left` others have passed it."""

    parcel: Parcel
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every courier shares."""

    world: World
    ledger: Ledger
    draws: Draws
    session: aiohttp.ClientSession
    activity: Activity


class Courier:
    """Delivers one app's webhooks. `expired` is told of each item given up when its retry budget was over."""

    def __init__(self, app_id: str, shared: Surroundings, *, expired: Callable[[Parcel], Awaitable[None]]) -> None:
        self.app_id = app_id
        self.tallies: Counter[str] = Counter()
        self._shared = shared
        self._expired = expired
        self._config = shared.world.config.delivery
        self._scale = shared.world.config.time_scale
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue(self._config.queue_limit)
        self._leftover: Parcel | None = None
        self._held: deque[_Held] = deque()
        self._holding = asyncio.Event()
        self._outstanding = asyncio.Semaphore(self._config.outstanding)
        self._in_flight = asyncio.Semaphore(self._config.in_flight)
        self._bodies = count(1)
        self._tasks = asyncio.TaskGroup()

    async def put(self, parcel: Parcel, *, hold_back: bool = False) -> None:
        """Hand an item over; waits while too much is under way."""
        self._shared.activity.begin()
        if hold_back or self._shared.draws.strikes("out_of_order", f"{self.app_id} {parcel.number}"):
            self._held.append(_Held(parcel=parcel, left=_PASSED_BY + 1))
            self._holding.set()
        else:
            await self._queue.put(parcel)
        for held in self._held:
            held.left -= 1
        while self._held and self._held[0].left <= 0:
            await self._queue.put(self._held.popleft().parcel)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with self._tasks:
            self._tasks.create_task(self._release_held())
            while True:
                await self._outstanding.acquire()
                parcels = await self._next_parcels()
                self._tasks.create_task(self._carry(self._body(parcels)))

    async def _release_held(self) -> None:
        """Let kept-back items go when nothing came to pass them."""
        while True:
            await self._holding.wait()
            await asyncio.sleep(self._config.hold_back_seconds * self._scale)
            while self._held:
                await self._queue.put(self._held.popleft().parcel)
            self._holding.clear()

    async def _next_parcels(self) -> list[Parcel]:
        first = self._leftover or await self._queue.get()
        self._leftover = None
        batch, size, way = [first], _weight(first), self._way(first)
        while len(batch) < self._config.batch_limit and not self._queue.empty():
            parcel = self._queue.get_nowait()
            size += _weight(parcel)
            if size > self._config.body_limit_bytes or self._way(parcel) != way:
                self._leftover = parcel
                break
            batch.append(parcel)
        return batch

    def _body(self, parcels: Sequence[Parcel], *, again: bool = False) -> Body:
        return Body(number=next(self._bodies), parcels=tuple(parcels), raw=envelope.body(parcels), again=again)

    def _way(self, parcel: Parcel) -> tuple[str | None, float]:
        """What items of one body share: where they go, and how long that is tried."""
        return self._url(parcel), self._shared.world.retry_budget_seconds(parcel.account, parcel.array)

    def _url(self, parcel: Parcel) -> str | None:
        return self._shared.world.callback(self.app_id, parcel.account).url

    async def _carry(self, body: Body) -> None:
        try:
            delivered = await self._deliver(body)
            if delivered and not body.again:
                self._send_again(body)
        finally:
            self._outstanding.release()
        if not delivered and not body.again:
            self._shared.ledger.dropped(parcel.number for parcel in body.parcels)
            for parcel in body.parcels:
                await self._expired(parcel)
        self._shared.activity.end(len(body.parcels))

    async def _deliver(self, body: Body) -> bool:
        waited = 0.0
        _, budget = self._way(body.parcels[0])
        for attempt in count(1):
            async with self._in_flight:
                status, asked = await self._post(body)
            self._note(body, status=status, attempt=attempt)
            if status == SUCCESS:
                return True
            jitter = fraction(self._shared.draws.seed, "retry", str(body.number), str(attempt))
            delay = delay_seconds(self._config, attempt=attempt, retry_after_seconds=asked, jitter=jitter)
            waited += delay
            if waited > budget:
                break
            await asyncio.sleep(delay * self._scale)
        return False

    async def _post(self, body: Body) -> tuple[int, float | None]:
        """The answer's status, 0 for none at all, and the seconds it asks to wait."""
        url = self._url(body.parcels[0])
        if url is None:
            return 0, None
        secret = self._shared.world.apps[self.app_id].secret
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature(secret, body.raw)}
        timeout = aiohttp.ClientTimeout(total=self._config.answer_timeout_seconds)
        try:
            async with self._shared.session.post(
                url, data=body.raw, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                asked = retry_after(answer.headers.get("Retry-After"), now=self._shared.world.clock())
                return answer.status, asked
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, None

    def _note(self, body: Body, *, status: int, attempt: int) -> None:
        delivered = status == SUCCESS
        self._shared.ledger.attempted(
            (parcel.number for parcel in body.parcels), delivered=delivered, at=self._shared.world.clock()
        )
        self.tallies["posts"] += 1
        self.tallies[f"answered_{status}" if status else "unanswered"] += 1
        self.tallies["retries"] += attempt > 1
        if delivered and body.again:
            self.tallies["bodies_redelivered"] += 1
            self.tallies["items_redelivered"] += len(body.parcels)

    def _send_again(self, body: Body) -> None:
        """Deliver once more what is to come twice, now that it got its 200."""
        key = f"{self.app_id} {body.parcels[0].number}"
        if self._shared.draws.strikes("duplicates", key):
            whole = self._shared.draws.choose(2, "duplicate", key) == 0
            one = body.parcels[self._shared.draws.choose(len(body.parcels), "duplicated", key)]
            self._redeliver(replace(body, again=True) if whole else self._body((one,), again=True))
        for parcel in body.parcels:
            for _ in range(parcel.redeliveries):
                self._redeliver(self._body((parcel,), again=True))

    def _redeliver(self, body: Body) -> None:
        self._shared.activity.begin(len(body.parcels))
        self._tasks.create_task(self._carry_when_there_is_room(body))

    async def _carry_when_there_is_room(self, body: Body) -> None:
        await self._outstanding.acquire()
        await self._carry(body)


def _weight(parcel: Parcel) -> int:
    return len(parcel.raw) + sum(map(len, parcel.contacts)) + _ENVELOPE_BYTES
