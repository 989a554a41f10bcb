"""The webhook edge: who may speak, how much, and 200 only once the log has it.

A validly signed body never gets a 4xx. A `Content-Encoding` is never undone, so that nothing unfolds in
memory: the signature covers the bytes as they came, and what is not JSON is kept raw as a gap. Anything but 200
makes the provider deliver again, for up to 7 days (1 hour with No Storage).

Serve it without an access log: the verification request carries the verify token in its query.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
(2026-09-11).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broker.core import parcels
from broker.core.delivery import code_of
from broker.core.errors import RetryableError, TooLargeError
from broker.core.intake import (
    Directory,
    Intake,
    Reason,
    RecentIds,
    SignedDelivery,
    new_delivery_id,
    take_in,
    take_raw,
)
from broker.core.metrics import Metrics
from broker.core.parcels import Packer
from broker.core.ports import Clock, Entropy, EventLog, NewEntry, OpenBlobs
from broker.core.registry import App, Registry
from broker.core.tracing import NoTracing, Tracing, traced
from connectors.whatsapp_cloud.capabilities import CAPABILITIES, NAME
from connectors.whatsapp_cloud.parse import CONNECTOR_VERSION, parse
from connectors.whatsapp_cloud.refusals import UNKNOWN_APP, UNSIGNED, UNVERIFIED, Monotonic, Refusal, Refusals
from connectors.whatsapp_cloud.signature import HEADER, claimed_digest, is_signed

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from broker.core.item import Change

PATH = f"/webhooks/{NAME}/{{app}}"

_LENGTH_DIGITS = 12
_LARGE_BYTES = 65_536
_LARGE_COMMAS = 1_000
"""Bodies with more of one or the other are parsed and sealed in a thread, so that the loop turns meanwhile.

In one thread: two of them would wrest the interpreter from each other, and take half as long again for each body.
"""
_LARGE_AT_ONCE = 2
"""Of those, since what they come to is several times their size: one in the thread while another is appended."""
_ITEM_COMMAS = 20
"""More than an item has, text aside: a bound on items before anything is parsed, for no element comes without one."""
_APPEND_BYTES = 8_388_608
"""So much goes to the log in one call; more in several, one after the other."""

_LEAST_ENTRY_BYTES = 8_192
"""Brokers that take less than their settings say take this much."""

_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a delivery: the metric's label."""

    ACCEPTED = "accepted"
    UNSIGNED = "unsigned"
    TOO_LARGE = "too_large"
    UNKNOWN_APP = "unknown_app"
    SLOW_BODY = "slow_body"
    DISCONNECTED = "disconnected"
    DRAINING = "draining"
    BUSY = "busy"
    LOG_DOWN = "log_down"
    LOG_SLOW = "log_slow"
    LOG_SMALL = "log_small"
    BLOBS_DOWN = "blobs_down"
    BLOBS_SLOW = "blobs_slow"


_UNAVAILABLE = 503
_STATUS = {
    Outcome.ACCEPTED: 200,
    Outcome.UNSIGNED: 401,
    Outcome.UNKNOWN_APP: 404,
    Outcome.SLOW_BODY: 408,
    Outcome.DISCONNECTED: 408,
    Outcome.TOO_LARGE: 413,
    Outcome.DRAINING: _UNAVAILABLE,
    Outcome.BUSY: _UNAVAILABLE,
    Outcome.LOG_DOWN: _UNAVAILABLE,
    Outcome.LOG_SLOW: _UNAVAILABLE,
    Outcome.LOG_SMALL: _UNAVAILABLE,
    Outcome.BLOBS_DOWN: _UNAVAILABLE,
    Outcome.BLOBS_SLOW: _UNAVAILABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of the edge. The provider's bodies have up to 3 MB; it waits for an answer for seconds only.

    `in_flight_bytes` bounds the bodies held at once, `in_flight_bodies` the signed ones being taken in: under more load
    than it can take an edge turns down at once what would be answered too late. `recent_identities` bounds the identity
    records not repeated. A body of more than `body_items` items is kept whole and raw, and claimed in slices: the
    provider batches up to 1,000 updates, history comes by the thousand.
    """

    body_bytes: int = 4_000_000
    in_flight_bytes: int = 64_000_000
    in_flight_bodies: int = 200
    read_seconds: float = 20.0
    append_seconds: float = 5.0
    retry_after_seconds: int = 5
    recent_identities: int = 20_000
    body_items: int = 5_000

    def __post_init__(self) -> None:
        if self.in_flight_bytes < self.body_bytes:
            raise ValueError("in_flight_bytes: less than one body; for example 64000000 with body_bytes 4000000")


def routes(  # noqa: PLR0913 - the edge's ports, each by its name
    *,
    registry: Callable[[], Registry],
    log: EventLog,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
    tracing: Tracing | None = None,
    blobs: OpenBlobs = parcels.no_blobs,
    limits: EdgeLimits | None = None,
    draining: Callable[[], bool] = lambda: False,
    monotonic: Monotonic = time.monotonic,
) -> list[Route]:
    """The routes of `/webhooks/whatsapp_cloud/{app}`. `registry` is asked anew for each request.

    `blobs` is opened when the first item comes that is too large for the log; without one such an item is answered 503.
    While `draining` says so, deliveries are answered 503 and come again elsewhere.
    """
    edge = _Edge(
        registry=registry,
        log=log,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        tracing=tracing or NoTracing(),
        blobs=blobs,
        limits=limits or EdgeLimits(),
        draining=draining,
        refusals=Refusals(monotonic),
    )
    return [Route(PATH, edge)]


@dataclass(frozen=True, slots=True)
class _Step:
    """One of the steps before a 200: its name in the log, and what it comes to: it failed, was slow, has no room."""

    action: str
    down: Outcome
    slow: Outcome
    small: Outcome


_STOW = _Step("webhook.stow", Outcome.BLOBS_DOWN, Outcome.BLOBS_SLOW, Outcome.BLOBS_DOWN)
_APPEND = _Step("webhook.append", Outcome.LOG_DOWN, Outcome.LOG_SLOW, Outcome.LOG_SMALL)


@dataclass(frozen=True, slots=True)
class _Raw:
    """Why a body is kept raw; `fault` names the error, by its type alone."""

    reason: Reason
    fault: str = ""


@dataclass(slots=True)
class _Held:
    """The bytes of one body, counted against what all bodies in flight may hold together."""

    edge: _Edge
    count: int = 0

    def take(self, more: int) -> bool:
        if self.edge.in_flight + more > self.edge.limits.in_flight_bytes:
            return False
        self.edge.in_flight += more
        self.count += more
        return True

    def release(self) -> None:
        self.edge.in_flight -= self.count
        self.count = 0


@dataclass(slots=True, kw_only=True)
class _Edge:
    """An ASGI application."""

    registry: Callable[[], Registry]
    log: EventLog
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    tracing: Tracing
    blobs: OpenBlobs
    limits: EdgeLimits
    draining: Callable[[], bool]
    refusals: Refusals
    in_flight: int = 0
    directory: Directory = field(init=False)
    recent: RecentIds = field(init=False)
    room: asyncio.Semaphore = field(init=False)
    answers: Mapping[Outcome, Response] = field(init=False)
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LARGE_AT_ONCE))
    thread: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.directory = Directory(self.registry())
        self.recent = RecentIds(self.limits.recent_identities)
        self.room = asyncio.Semaphore(self.limits.in_flight_bodies)
        again = {"Retry-After": str(self.limits.retry_after_seconds)}
        self.answers = {
            outcome: Response(status_code=status, headers=again if status == _UNAVAILABLE else None)
            for outcome, status in _STATUS.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "POST":
            answer = await self.receive(request)
        elif request.method == "GET":
            answer = self.verify(request)
        else:
            answer = Response(status_code=405, headers={"Allow": "GET, POST"})
        await answer(scope, receive, send)

    def verify(self, request: Request) -> Response:
        """The challenge that comes when the callback is set: echoed to whoever knows the verify token."""
        app = self._app(request)
        query = request.query_params
        token, challenge = query.get("hub.verify_token", ""), query.get("hub.challenge", "")
        if not challenge or query.get("hub.mode") != "subscribe":
            return Response(status_code=403)
        if app is None or not _same(token, app.verify_token):
            self._note(UNKNOWN_APP if app is None else UNVERIFIED, request)
            return Response(status_code=403)
        return PlainTextResponse(challenge, headers={"X-Content-Type-Options": "nosniff"})

    async def receive(self, request: Request) -> Response:
        """A delivery."""
        held = _Held(self)
        try:
            with self.tracing.span("webhook", connector=NAME):
                outcome = await self._outcome(request, held)
        finally:
            held.release()
        self.metrics.count("custody.webhook.bodies", connector=NAME, outcome=outcome)
        return self.answers[outcome]

    def _app(self, request: Request) -> App | None:
        self.directory = self.directory.renew(self.registry())
        app = self.directory.registry.apps.get(request.path_params["app"])
        return app if app is not None and app.provider == NAME else None

    async def _outcome(self, request: Request, held: _Held) -> Outcome:
        """Cheapest checks first; nothing is parsed before the signature held."""
        app = self._app(request)
        if app is None:
            return self._refused(Outcome.UNKNOWN_APP, UNKNOWN_APP, request)
        if (closed := self._closed()) is not None:
            return closed
        digest = claimed_digest(request.headers.getlist(HEADER))
        if digest is None:
            return self._refused(Outcome.UNSIGNED, UNSIGNED, request)
        body = await self._body(request, held)
        if isinstance(body, Outcome):
            return body
        if not is_signed(body, digest, app.secrets):
            return self._refused(Outcome.UNSIGNED, UNSIGNED, request)
        return await self._admitted(app, body, digest)

    def _closed(self) -> Outcome | None:
        """Why nothing is taken in for now; None while something is."""
        if self.draining():
            return Outcome.DRAINING
        return Outcome.BUSY if self.room.locked() else None

    def _refused(self, outcome: Outcome, refusal: Refusal, request: Request) -> Outcome:
        self._note(refusal, request)
        return outcome

    def _note(self, refusal: Refusal, request: Request) -> None:
        self.refusals.note(refusal, request.path_params["app"], self.directory.registry.apps)

    async def _body(self, request: Request, held: _Held) -> bytes | Outcome:
        if not self._may_fit(request.headers.get("content-length", "0")):
            return Outcome.TOO_LARGE
        chunks: list[bytes] = []
        more = True
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        return Outcome.DISCONNECTED
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    if held.count + len(chunk) > self.limits.body_bytes:
                        return Outcome.TOO_LARGE
                    if not held.take(len(chunk)):
                        return Outcome.BUSY
                    chunks.append(chunk)
        except TimeoutError:
            return Outcome.SLOW_BODY
        return b"".join(chunks)

    def _may_fit(self, announced: str) -> bool:
        return len(announced) <= _LENGTH_DIGITS and announced.isdecimal() and int(announced) <= self.limits.body_bytes

    async def _admitted(self, app: App, body: bytes, digest: bytes) -> Outcome:
        """Takes a signed body in while there are few enough: who has no secret takes nobody's turn."""
        if self.room.locked():  # by now: others came while this one was read
            return Outcome.BUSY
        async with self.room:
            return await self._keep(app, body, digest)

    async def _keep(self, app: App, body: bytes, digest: bytes) -> Outcome:
        delivery = SignedDelivery(
            app=app, id=new_delivery_id(self.entropy, digest), received_at=self.clock(), connector=CONNECTOR_VERSION
        )
        outcome = await self._take(body, delivery, self.log.entry_bytes)
        if outcome is Outcome.LOG_SMALL:  # brokers take less than we were told: no delivery would ever fit
            outcome = await self._take(body, delivery, _LEAST_ENTRY_BYTES)
        return outcome

    async def _take(self, body: bytes, delivery: SignedDelivery, entry_bytes: int) -> Outcome:
        """Takes a body in, as entries of so many bytes at most."""
        commas = body.count(b",")
        packer = Packer(entry_bytes=entry_bytes, entropy=self.entropy)
        if len(body) <= _LARGE_BYTES and commas <= _LARGE_COMMAS:
            await _abreast()
            parsed = self._parsed(body, commas)
            await _abreast()
            intake = self._sealed(parsed, body, delivery, packer)
            await _abreast()
            return await self._write(intake, delivery)
        async with self.large:
            async with self.thread:
                parsed = await asyncio.to_thread(self._parsed, body, commas)
                intake = await asyncio.to_thread(self._sealed, parsed, body, delivery, packer)
            return await self._write(intake, delivery)

    async def _write(self, intake: Intake, delivery: SignedDelivery) -> Outcome:
        until = asyncio.get_running_loop().time() + self.limits.append_seconds
        failed = await self._stow(intake, delivery, until) or await self._append(intake, delivery, until)
        if failed is not None:
            return failed
        self.recent.mark(intake.identities)
        self._account(intake, delivery)
        return Outcome.ACCEPTED

    async def _stow(self, intake: Intake, delivery: SignedDelivery, until: float) -> Outcome | None:
        """Puts what is too large for the log into the blob store, before anything refers to it.

        The log is asked first whether it is there, so that its outage leaves no blobs that nothing refers to.
        """
        if not intake.parcels:
            return None
        return await self._tried(_APPEND, self.log.ping(), delivery, until) or await self._tried(
            _STOW, self._put(intake), delivery, until
        )

    async def _put(self, intake: Intake) -> None:
        await parcels.stow(intake.parcels, await self.blobs())

    async def _append(self, intake: Intake, delivery: SignedDelivery, until: float) -> Outcome | None:
        for entries in _portions(traced(intake.entries, self.tracing.traceparent())):
            failed = await self._tried(_APPEND, self.log.append(entries), delivery, until)
            if failed is not None:
                return failed  # what was appended before comes again, and is absorbed
        return None

    async def _tried(
        self, step: _Step, work: Awaitable[None], delivery: SignedDelivery, until: float
    ) -> Outcome | None:
        """None once the step is done; else what it came to, and the provider must deliver again."""
        try:
            async with asyncio.timeout_at(until):
                await work
        except TimeoutError:
            return step.slow
        except Exception as error:  # noqa: BLE001 - the body is not taken: the provider must deliver again
            (_log.warning if isinstance(error, RetryableError) else _log.error)(
                "not taken",
                action=step.action,
                app=delivery.app.name,
                delivery=delivery.id,
                code=code_of(error),
                error_type=type(error).__name__,
            )
            return step.small if isinstance(error, TooLargeError) else step.down
        return None

    def _parsed(self, body: bytes, commas: int) -> Sequence[Change] | _Raw:
        """A body's changes, or why it is kept raw."""
        if commas > _ITEM_COMMAS * self.limits.body_items:
            return _Raw(Reason.TOO_MANY)
        try:
            changes = parse(body)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the body: it is kept raw
            return _Raw(Reason.UNREADABLE, fault=type(error).__name__)
        if sum(len(change.items) for change in changes) > self.limits.body_items:
            return _Raw(Reason.TOO_MANY)
        return changes

    def _sealed(self, parsed: Sequence[Change] | _Raw, body: bytes, delivery: SignedDelivery, packer: Packer) -> Intake:
        """What a body comes to. Pure but for the salts."""
        if isinstance(parsed, _Raw):
            return take_raw(body, delivery, packer=packer, reason=parsed.reason, fault=parsed.fault)
        return take_in(
            parsed, delivery, directory=self.directory, capabilities=CAPABILITIES, packer=packer, recent=self.recent
        )

    def _account(self, intake: Intake, delivery: SignedDelivery) -> None:
        for (tenant, kind), count in intake.accepted.items():
            self.metrics.count("custody.webhook.items", count, connector=NAME, tenant=tenant, kind=kind)
        for reason, count in intake.unclaimed.items():
            self.metrics.count("custody.webhook.unclaimed", count, connector=NAME, reason=reason)
        if Reason.FOREIGN_ACCOUNT in intake.unclaimed:
            _log.error(
                "another app's account", action="webhook.foreign_account", app=delivery.app.name, delivery=delivery.id
            )
        if Reason.TOO_MANY in intake.unclaimed:
            _log.warning("many items at once", action="webhook.too_many", app=delivery.app.name, delivery=delivery.id)
        if intake.faults:
            _log.error(
                "kept raw for a fault of ours",
                action="webhook.unreadable",
                app=delivery.app.name,
                delivery=delivery.id,
                errors=sorted(set(intake.faults)),
            )


async def _abreast() -> None:
    """Lets the other bodies come up to this step, so that one kind of code has its turn with all of them.

    A processor runs what it has just run faster: with 64 bodies at a time, a sixth less for each.
    """
    await asyncio.sleep(0)


def _portions(entries: Sequence[NewEntry]) -> Iterator[Sequence[NewEntry]]:
    """The entries in portions that the log takes at once: all of them in one, usually."""
    start = size = 0
    for place, entry in enumerate(entries):
        if size and size + entry.size > _APPEND_BYTES:
            yield entries[start:place]
            start, size = place, 0
        size += entry.size
    yield entries[start:]


def _same(given: str, wanted: str) -> bool:
    """Whether two tokens are the same, in constant time; an empty one is never right."""
    return bool(wanted) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
