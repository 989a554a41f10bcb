"""From a draft to the couriers: misbehaviour strikes, the item is encoded and written down, the subscribers get it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from connectors.simulator.draft import Draft, Receipt, varied, with_text
from connectors.simulator.ledger import Sending
from connectors.simulator.payloads.envelope import Parcel, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.simulator.compose import Composer
    from connectors.simulator.courier import Courier
    from connectors.simulator.ledger import Ledger
    from connectors.simulator.misbehaviour import Draws
    from connectors.simulator.world import World

_SURROGATE, _NUL = "broken \ud83d half", "cut \x00 off"


class Emitter:
    """Sends drafts on their way. Waits while the couriers are busy, so that nothing piles up here."""

    def __init__(self, *, world: World, ledger: Ledger, draws: Draws, couriers: Mapping[str, Courier]) -> None:
        self._world = world
        self._ledger = ledger
        self._draws = draws
        self._couriers = couriers

    async def emit(self, draft: Draft, *, composer: Composer) -> Receipt:
        """Send a draft, or what misbehaviour makes of it; `composer` makes what takes its place."""
        struck: list[str] = []
        sent = self._misbehave(draft, composer, struck)
        parcel, entries = await self._send(sent)
        parcels = [parcel]
        variant = self._variant(sent)
        if variant is not None:
            struck.append("variant")
            parcel, others = await self._send(variant)
            parcels.append(parcel)
            entries += others
        return Receipt(
            parcels=tuple(parcels),
            entries=entries,
            message_id=sent.message_id,
            media=tuple(entry.media for entry in sent.entries if entry.media is not None),
            subscribed=bool(self._world.subscribers(sent.account, sent.field)),
            struck=tuple(struck),
        )

    def remember(self, draft: Draft) -> tuple[int, ...]:
        """Write down what no webhook tells: a message that came in through the API itself."""
        return self._write_down(draft, self._ledger.next_parcel(), digest=None, subscribed=False)

    def _misbehave(self, draft: Draft, composer: Composer, struck: list[str]) -> Draft:
        if not draft.inbound or not draft.message_id:
            return draft
        key = draft.message_id
        if self._draws.strikes("lost", key):
            struck.append("lost")
            self._lose_media(draft)
            return composer.lost(draft)
        if draft.entries[0].kind == "message" and self._draws.strikes("unsupported", key):
            struck.append("unsupported")
            self._lose_media(draft)
            return composer.unsupported(draft)
        for name, added in (("lone_surrogate", _SURROGATE), ("nul", _NUL)):
            spoilt = with_text(draft, added) if self._draws.strikes(name, key) else None
            if spoilt is not None:
                struck.append(name)
                draft = spoilt
        return draft

    def _lose_media(self, draft: Draft) -> None:
        for entry in draft.entries:
            if entry.media is not None:
                self._ledger.media_lost(entry.media)

    def _variant(self, draft: Draft) -> Draft | None:
        if draft.entries[0].kind != "message" or not draft.message_id:
            return None
        return varied(draft) if self._draws.strikes("variant", draft.message_id) else None

    async def _send(self, draft: Draft) -> tuple[int, tuple[int, ...]]:
        raw = encode(draft.item)
        subscribers = self._world.subscribers(draft.account, draft.field)
        number = self._ledger.next_parcel()
        entries = self._write_down(draft, number, digest=sha256(raw).hexdigest(), subscribed=bool(subscribers))
        config = self._world.number(draft.account).config
        for app in subscribers:
            parcel = Parcel(
                number=number,
                app_id=app.app_id,
                waba_id=config.waba_id,
                account=draft.account,
                display_phone_number=config.display_phone_number,
                field=draft.field,
                array=draft.array,
                raw=raw,
                contacts=tuple(encode(contact) for contact in draft.contacts),
                time=draft.entries[0].timestamp,
                inbound=draft.inbound,
                redeliveries=draft.redeliveries,
            )
            await self._couriers[app.app_id].put(parcel, hold_back=draft.hold_back)
        return number, entries

    def _write_down(self, draft: Draft, parcel: int, *, digest: str | None, subscribed: bool) -> tuple[int, ...]:
        sending = Sending(
            parcel=parcel,
            account=draft.account,
            field=draft.field,
            digest=digest,
            inbound=draft.inbound,
            subscribed=subscribed,
        )
        rows = [
            (entry, self._world.message_until(draft.account, entry.timestamp) if entry.held else None)
            for entry in draft.entries
        ]
        self._note_contacts(draft)
        return self._ledger.sent(sending, rows)

    def _note_contacts(self, draft: Draft) -> None:
        if not self._world.number(draft.account).contact_book:
            return
        for contact in draft.contacts:
            if "wa_id" in contact:
                self._ledger.contact_noted(draft.account, user_id=str(contact["user_id"]), phone=str(contact["wa_id"]))
