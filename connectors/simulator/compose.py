"""Makes drafts: what customers write, what the team sends from its app, what becomes of it, and account events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.simulator import files
from connectors.simulator.draft import Draft, Entry, kind_of
from connectors.simulator.ledger import Ledger, Media
from connectors.simulator.links import media_url
from connectors.simulator.payloads import contents, events, statuses
from connectors.simulator.payloads.contents import Content, MediaRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.simulator.ids import Customer, Ids
    from connectors.simulator.misbehaviour import Draws
    from connectors.simulator.world import World

_SENDS_ITS_OWN_ID = frozenset({"message", "reaction", "edit", "revocation", "system"})


class Composer:
    """Makes drafts for one number; media it makes are in the ledger at once. `now` is Unix seconds.

    `clock` is the time in the story, where that is not the provider's. What the provider does goes by its own.
    """

    def __init__(
        self,
        account: str,
        *,
        world: World,
        ledger: Ledger,
        draws: Draws,
        ids: Ids,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.account = account
        self.number = world.number(account).config
        self.ids = ids
        self._world = world
        self._ledger = ledger
        self.draws = draws
        self._now: Callable[[], float] = clock or world.clock

    def now(self) -> int:
        """The time in the story, in whole seconds as the provider's timestamps are."""
        return int(self._now())

    @property
    def expiring_at(self) -> int:
        """A time so long ago that media of that time are about to expire."""
        media = self._world.config.media
        lifetime = self._world.inbound_media_until(self.account, 0.0)
        return self.now() - int(lifetime) + media.expiring_seconds

    def media(
        self,
        mime: str,
        *,
        size: int | None = None,
        at: float | None = None,
        source: str = "webhook",
        gone: bool = False,
    ) -> MediaRef:
        """A new media object, made at Unix second `at` of the story; by itself about as large as the settings say."""
        media_id = self.ids.media_id()
        usual = self._world.config.media.size_bytes
        size = usual // 2 + self.draws.choose(usual + 1, "size", media_id) if size is None else size
        digest = files.digest(seed=self._world.config.seed, media_id=media_id, mime=mime, size=size)
        wrong = self.draws.strikes("wrong_digest", media_id)
        made_at = self._world.clock() + (0.0 if at is None else at - self._now())
        media = Media(
            id=media_id,
            account=self.account,
            source=source,
            mime=mime,
            size=size,
            sha256=digest,
            announced=bytes(reversed(digest)) if wrong else digest,
            made_at=made_at,
            expires_at=self._world.inbound_media_until(self.account, made_at),
            gone=gone or self.draws.strikes("media_gone", media_id),
        )
        self._ledger.media_made(media)
        url = media_url(self._world, media_id, draws=self.draws)
        shown = url if self._world.config.media.url_in_webhook else None
        return MediaRef(media_id=media_id, mime=mime, sha256=media.announced, url=shown)

    def message(  # noqa: PLR0913 - each is a field that a message may have
        self,
        customer: Customer,
        content: Content,
        *,
        message_id: str | None = None,
        reply_to: str | None = None,
        forwarded: bool = False,
        group_id: str | None = None,
        referral: dict[str, object] | None = None,
        at: int | None = None,
        redeliveries: int = 0,
        field: str = "messages",
    ) -> Draft:
        """A customer writes."""
        item = self.message_item(customer, content, message_id=message_id, group_id=group_id, at=at)
        context = _context(self.number.display_phone_number, reply_to=reply_to, forwarded=forwarded)
        item |= {"context": context} if context else {}
        item |= {"referral": referral} if referral is not None else {}
        # Number-change events come without contacts.
        contacts = () if content.type == "system" else (customer.contact(),)
        return Draft(
            account=self.account,
            field=field,
            array="messages",
            item=item,
            entries=(self._entry(item, content, direction="in"),),
            contacts=contacts,
            inbound=True,
            redeliveries=redeliveries,
        )

    def message_item(
        self,
        customer: Customer,
        content: Content,
        *,
        message_id: str | None = None,
        group_id: str | None = None,
        at: int | None = None,
    ) -> dict[str, object]:
        """The entry of `messages` alone."""
        item: dict[str, object] = {"from": customer.phone} if customer.phone is not None else {}
        item["from_user_id"] = customer.user_id
        if customer.parent_user_id is not None:
            item["from_parent_user_id"] = customer.parent_user_id
        if group_id is not None:
            item["group_id"] = group_id
        item["id"] = message_id or self.ids.wamid(customer.phone or customer.user_id)
        item["timestamp"] = str(self.now() if at is None else at)
        return item | content.fields()

    def echo(self, customer: Customer, content: Content, *, at: int | None = None, hold_back: bool = False) -> Draft:
        """The team writes from the WhatsApp Business app; the message comes to the API as an echo."""
        item: dict[str, object] = {"from": self.number.display_phone_number}
        item |= {"to": customer.phone} if customer.phone is not None else {}
        item["to_user_id"] = customer.user_id
        item |= {"to_parent_user_id": customer.parent_user_id} if customer.parent_user_id is not None else {}
        item["id"] = self.ids.wamid(customer.phone or customer.user_id, outbound=True)
        item["timestamp"] = str(self.now() if at is None else at)
        item |= content.fields()
        return Draft(
            account=self.account,
            field="smb_message_echoes",
            array="message_echoes",
            item=item,
            entries=(self._entry(item, content, direction="echo"),),
            contacts=(customer.contact(),),
            hold_back=hold_back,
        )

    def status(
        self,
        sent: statuses.Sent,
        name: statuses.Status,
        *,
        at: int | None = None,
        failure: statuses.Failure | None = None,
    ) -> Draft:
        """A status of an outbound message."""
        timestamp = self.now() if at is None else at
        item = statuses.status(sent, name, timestamp=timestamp, failure=failure)
        key = statuses.native_key(item)
        return Draft(
            account=self.account,
            field="messages",
            array="statuses",
            item=item,
            entries=(Entry(kind="status", type=name, direction="out", key=key, timestamp=timestamp, held=False),),
            contacts=() if failure is not None else (sent.to.contact(),),
        )

    def lost(self, draft: Draft | None = None) -> Draft:
        """An inbound message that never comes: an error with code 131035 and no ids in its stead."""
        note = draft.message_id if draft is not None else None
        entry = Entry(kind="gap", type="131035", direction="in", key=(), timestamp=self.now(), held=False, note=note)
        failure = statuses.DATA_RETENTION
        item: dict[str, object] = {
            "code": failure.code,
            "title": failure.title,
            "message": failure.title,
            "error_data": {"details": failure.details},
        }
        return Draft(
            account=self.account,
            field="messages",
            array="errors",
            item=item,
            entries=(entry,),
            inbound=draft is None or draft.inbound,
        )

    def unsupported(self, draft: Draft, *, kind: str = "poll_creation") -> Draft:
        """The same message with its content not passed on."""
        kept = {name: draft.item[name] for name in _HEADERS if name in draft.item}
        content = contents.unsupported(kind)
        item = kept | content.fields()
        return Draft(
            account=draft.account,
            field=draft.field,
            array=draft.array,
            item=item,
            entries=(self._entry(item, content, direction="in"),),
            contacts=draft.contacts,
            inbound=draft.inbound,
            redeliveries=draft.redeliveries,
        )

    def event(
        self,
        field: str,
        item: dict[str, object],
        *,
        array: str | None = None,
        key: tuple[str, ...] = (),
        contacts: tuple[Customer, ...] = (),
        name: str | None = None,
    ) -> Draft:
        """Anything beside messages and statuses. Without `array`, `item` is the whole value."""
        entry = Entry(kind="event", type=name or field, direction="in", key=key, timestamp=self.now(), held=False)
        shown = tuple(one.contact() for one in contacts)
        return Draft(account=self.account, field=field, array=array, item=item, entries=(entry,), contacts=shown)

    def account_event(self, field: str) -> Draft:
        """A sample event about the account, its numbers or its templates."""
        value = events.account_event(
            field, display_phone_number=self.number.display_phone_number, phone_number_id=self.account
        )
        return self.event(field, value)

    def whole(self, field: str, value: dict[str, object], messages: tuple[dict[str, object], ...]) -> Draft:
        """A whole value with messages somewhere inside it, such as `standby` and a chunk of `history`."""
        entries = tuple(self._entry(item, _content_of(item), direction="in") for item in messages)
        return Draft(account=self.account, field=field, array=None, item=value, entries=entries)

    def history(self, chunk: dict[str, object], messages: tuple[dict[str, object], ...]) -> Draft:
        """A chunk of chats from before the number was shared with the API; every message in it is an entry."""
        entries = tuple(self._past(item) for item in messages)
        return Draft(account=self.account, field="history", array="history", item=chunk, entries=entries)

    def _past(self, item: dict[str, object]) -> Entry:
        mine = item.get("from") == self.number.display_phone_number
        return Entry(
            kind=kind_of(str(item["type"])),
            type=str(item["type"]),
            direction="echo" if mine else "in",
            key=(str(item["id"]),),
            timestamp=int(str(item["timestamp"])),
            held=False,
        )

    def _entry(self, item: dict[str, object], content: Content, *, direction: str) -> Entry:
        kind = kind_of(content.type)
        return Entry(
            kind=kind,
            type=content.type,
            direction="echo" if direction == "echo" else "in",
            key=(str(item["id"]),),
            timestamp=int(str(item["timestamp"])),
            media=content.media[0] if content.media else None,
            held=kind in _SENDS_ITS_OWN_ID,
        )


_HEADERS = ("from", "from_user_id", "from_parent_user_id", "group_id", "id", "timestamp")


def _context(business: str, *, reply_to: str | None, forwarded: bool) -> dict[str, object]:
    context: dict[str, object] = {"from": business, "id": reply_to} if reply_to is not None else {}
    return context | ({"forwarded": True} if forwarded else {})


def _content_of(item: dict[str, object]) -> Content:
    kind = str(item["type"])
    body = item.get(kind)
    media = (str(body["id"]),) if isinstance(body, dict) and "sha256" in body else ()
    return Content(type=kind, body=body, media=media)
