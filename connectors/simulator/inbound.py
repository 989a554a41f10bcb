"""Reads the control call that sends one given item: in short form, or verbatim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from connectors.simulator.draft import Direction, Draft, Entry, Kind, kind_of
from connectors.simulator.errors import ConfigError
from connectors.simulator.ids import Customer, user_id_of
from connectors.simulator.payloads import contents
from connectors.simulator.payloads.contents import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.simulator.compose import Composer

_PHONE = "27000000042"


class MediaAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A media object to make. `age_seconds`: how long ago it came to the provider."""

    mime: str | None = None
    size: int | None = None
    caption: str | None = None
    filename: str = "file"
    gone: bool = False
    voice: bool = True


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item to send for `account`.

    Short form: `type` with `text`, `media` or `content` (the object under the type's name), and who wrote.
    Verbatim: `item` as it stands, into list `array` of a value of `field`; without `array` it is the whole value.
    """

    account: str
    type: str = "text"
    text: str | None = None
    media: MediaAsked | None = None
    content: object = None
    customer: Customer | None = None
    group_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    at: int | None = None
    redeliveries: int = 0
    hold_back: bool = False
    echo: bool = False
    field: str = "messages"
    array: str | None = "messages"
    item: dict[str, object] | None = None
    contacts: tuple[dict[str, object], ...] = ()
    kind: Kind | None = None
    direction: Direction = "in"


def read(raw: bytes) -> Asked:
    """What a request asks for. Raises ConfigError, naming the field."""
    try:
        return msgspec.json.decode(raw, type=Asked)
    except msgspec.DecodeError as error:
        message = f"the item cannot be sent: {error}"
        raise ConfigError(message) from error


def draft(asked: Asked, composer: Callable[[str], Composer]) -> Draft:
    """The item to send. Raises ConfigError for an account or type that is not there."""
    compose = composer(asked.account)
    if asked.item is not None:
        return _verbatim(asked, compose)
    customer = asked.customer or Customer(user_id=user_id_of(_PHONE), phone=_PHONE)
    content = _content(asked, compose)
    if asked.echo:
        return compose.echo(customer, content, at=asked.at, hold_back=asked.hold_back)
    return compose.message(
        customer,
        content,
        message_id=asked.message_id,
        reply_to=asked.reply_to,
        group_id=asked.group_id,
        at=asked.at,
        redeliveries=asked.redeliveries,
    )


def _content(asked: Asked, compose: Composer) -> Content:
    if asked.media is not None:
        return _media(asked, asked.media, compose)
    if asked.type == "text" and asked.content is None:
        return contents.text(asked.text or "")
    return Content(type=asked.type, body=asked.content)


def _media(asked: Asked, media: MediaAsked, compose: Composer) -> Content:
    makers: dict[str, tuple[str, Callable[[contents.MediaRef], Content]]] = {
        "image": ("image/jpeg", lambda ref: contents.image(ref, caption=media.caption)),
        "video": ("video/mp4", lambda ref: contents.video(ref, caption=media.caption)),
        "audio": ("audio/ogg; codecs=opus", lambda ref: contents.audio(ref, voice=media.voice)),
        "sticker": ("image/webp", contents.sticker),
        "document": (
            "application/pdf",
            lambda ref: contents.document(ref, filename=media.filename, caption=media.caption),
        ),
    }
    if asked.type not in makers:
        message = f"type {asked.type} carries no media: choose among {', '.join(makers)}"
        raise ConfigError(message)
    mime, make = makers[asked.type]
    ref = compose.media(media.mime or mime, size=media.size, at=asked.at, gone=media.gone)
    return make(ref)


def _verbatim(asked: Asked, compose: Composer) -> Draft:
    item = asked.item or {}
    message_id = str(item.get("id", ""))
    kind = asked.kind or (kind_of(str(item.get("type", ""))) if message_id else "event")
    entry = Entry(
        kind=kind,
        type=str(item.get("type", asked.field)),
        direction=asked.direction,
        key=(message_id,) if message_id else (),
        timestamp=compose.now(),
        held=kind not in {"event", "gap", "status"},
    )
    return Draft(
        account=asked.account,
        field=asked.field,
        array=asked.array,
        item=item,
        entries=(entry,),
        contacts=asked.contacts,
        inbound=asked.array == "messages" and asked.field == "messages",
        redeliveries=asked.redeliveries,
        hold_back=asked.hold_back,
    )
