"""Sending over the Graph API, and the statuses that follow.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages (2026-09): 200
means accepted, not delivered; a read receipt with or without typing indicator answers `success`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from connectors.simulator import sending
from connectors.simulator.draft import Draft, Entry, kind_of
from connectors.simulator.graph_errors import invalid_parameter
from connectors.simulator.ids import Customer, digits, user_id_of
from connectors.simulator.payloads.statuses import PAYLOAD_NOT_FOUND, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request

    from connectors.simulator.activity import Activity, Background
    from connectors.simulator.compose import Composer
    from connectors.simulator.emit import Emitter
    from connectors.simulator.gate import Gate
    from connectors.simulator.payloads.statuses import Status
    from connectors.simulator.sending import Outbound

_GROUP_SIZE = 2
_ANSWER_PATIENCE_SECONDS = 5.0


class MessagesApi:
    """Accepts messages and tells what became of them. `background` runs what outlives the call."""

    def __init__(
        self,
        gate: Gate,
        *,
        emitter: Emitter,
        composer: Callable[[str], Composer],
        activity: Activity,
        background: Background,
    ) -> None:
        self._gate = gate
        self._world = gate.world
        self._emitter = emitter
        self._composer = composer
        self._activity = activity
        self._background = background

    async def send(self, request: Request) -> Response:
        """`POST /{phone-number-id}/messages`."""
        number = await self._gate.number(request, registered=True)
        try:
            asked = sending.read(json.loads(await request.body()))
        except ValueError as error:
            raise invalid_parameter("the body is not JSON") from error
        if isinstance(asked, sending.Receiving):
            return JSONResponse({"success": True})
        self._check_media(asked, number.id)
        compose = self._composer(number.id)
        message_id = compose.ids.wamid(asked.recipient, outbound=True)
        self._emitter.remember(_outbound(number.id, asked, message_id, compose.now()))
        await self._report(compose, asked, message_id)
        return JSONResponse(_accepted(asked, message_id))

    def _check_media(self, asked: Outbound, account: str) -> None:
        if asked.media_id is None:
            return
        media = self._gate.ledger.media(asked.media_id)
        if media is None or media.account != account or not media.served(self._world.clock()):
            raise invalid_parameter("the media id is not valid", code=131009)

    async def _report(self, compose: Composer, asked: Outbound, message_id: str) -> None:
        """Have the statuses sent: after the answer, or where that strikes the first of them before it."""
        recipients = _recipients(asked)
        drafts = [
            draft
            for to in recipients
            for draft in self._statuses(compose, _sent(asked, message_id, to), voice=asked.voice)
        ]
        early = self._gate.draws.strikes("statuses_before_messages", message_id)
        first = [drafts.pop(0)] if early else []
        for draft in first:
            receipt = await self._emitter.emit(draft, composer=compose)
            await self._delivered(receipt.parcels)
        self._activity.begin()
        self._background.start(self._follow(compose, drafts))

    async def _delivered(self, parcels: Iterable[int]) -> None:
        """Wait until these got their 200, but not for ever: nobody may be listening."""
        polls = 50
        for _ in range(polls):
            if all(map(self._gate.ledger.delivered, parcels)):
                return
            await asyncio.sleep(_ANSWER_PATIENCE_SECONDS / polls * min(1.0, self._world.config.time_scale))

    async def _follow(self, compose: Composer, drafts: list[Draft]) -> None:
        gap = self._world.config.delivery.status_gap_seconds * self._world.config.time_scale
        try:
            for draft in drafts:
                await asyncio.sleep(gap)
                await self._emitter.emit(draft, composer=compose)
        finally:
            self._activity.end()

    def _statuses(self, compose: Composer, sent: Sent, *, voice: bool) -> list[Draft]:
        now = compose.now()
        if self._gate.draws.strikes("undeliverable", sent.message_id):
            failed = compose.status(sent, "failed", at=now + 1, failure=PAYLOAD_NOT_FOUND)
            return [compose.status(sent, "sent", at=now), failed]
        names: list[Status] = ["sent", "delivered", "read"]
        names += ["played"] if voice else []
        return [compose.status(sent, name, at=now + step) for step, name in enumerate(names)]


def _outbound(account: str, asked: Outbound, message_id: str, now: int) -> Draft:
    """What the ground truth remembers of a message sent over the API."""
    entry = Entry(
        kind=kind_of(asked.type),
        type=asked.type,
        direction="out",
        key=(message_id,),
        timestamp=now,
        media=asked.media_id,
    )
    return Draft(account=account, field="api", array=None, item={}, entries=(entry,))


def _sent(asked: Outbound, message_id: str, to: Customer) -> Sent:
    group_id = asked.recipient if asked.kind == "group" else None
    return Sent(message_id=message_id, to=to, group_id=group_id, tag=asked.tag)


def _recipients(asked: Outbound) -> list[Customer]:
    if asked.kind == "phone":
        return [Customer(user_id=user_id_of(asked.recipient), phone=asked.recipient)]
    if asked.kind == "bsuid":
        return [Customer(user_id=asked.recipient)]
    phones = ["2700" + digits(8, asked.recipient, place) for place in range(_GROUP_SIZE)]
    return [Customer(user_id=user_id_of(phone), phone=phone) for phone in phones]


def _accepted(asked: Outbound, message_id: str) -> dict[str, object]:
    contact: dict[str, object] = {"input": asked.given}
    if asked.kind == "phone":
        contact |= {"wa_id": asked.recipient, "user_id": user_id_of(asked.recipient)}
    elif asked.kind == "bsuid":
        contact |= {"user_id": asked.recipient}
    else:
        contact |= {"wa_id": asked.recipient}
    message: dict[str, object] = {"id": message_id}
    message |= {"message_status": "accepted"} if asked.type == "template" else {}
    message |= {"group_id": asked.recipient} if asked.kind == "group" else {}
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
