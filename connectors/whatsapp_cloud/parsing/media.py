"""The media of a message: what there is to fetch, and where in the message it stands.

A media object without an id that can be asked for (a link, a placeholder) is no part: there is nothing to fetch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from broker.core.item import ItemPart
from connectors.whatsapp_cloud.parsing.values import Fields, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA_KINDS: Final = frozenset(("image", "video", "audio", "document", "sticker"))
OTHER_KIND: Final = "other"
"""The media kind of what has an id and a MIME type under a name that is not known yet."""

_OBJECT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# The MIME type stands in clear: no parameter, no type of somebody's own making.
_MIME = re.compile(r"(?:application|audio|font|image|message|model|multipart|text|video)/[a-z0-9][a-z0-9._+-]{0,79}")
_UNKNOWN_MIME = "application/octet-stream"
_MAX_SIZE = 2**53
_SIZE_DIGITS = 15


def media_parts(body: Fields, name: str) -> tuple[ItemPart, ...]:
    """The part of one media object."""
    part = _part(name, body)
    return () if part is None else (part,)


def media_within(value: object) -> tuple[ItemPart, ...]:
    """The parts of every media object anywhere in a value, each object once."""
    found = [_part(name, body) for name, body in _objects(value, "")]
    return tuple({(part.media_kind, part.object_id): part for part in found if part is not None}.values())


def without_urls(value: object, name: str = "") -> object:
    """A value whose media objects have lost their `url`: it lives for minutes and differs with each delivery."""
    if isinstance(value, list):
        return [without_urls(one, name) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without_urls(one, key) for key, one in value.items()}
    if _is_media(name, value):
        kept.pop("url", None)
    return kept


def mime_of(value: object) -> str:
    """A MIME type that may stand in clear."""
    plain = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    return plain if _MIME.fullmatch(plain) else _UNKNOWN_MIME


def _objects(value: object, name: str) -> Iterator[tuple[str, Fields]]:
    if isinstance(value, list):
        for one in value:
            yield from _objects(one, name)
    elif isinstance(value, dict):
        if _is_media(name, value):
            yield name, value
        for key, one in value.items():
            yield from _objects(one, key)


def _is_media(name: str, body: Fields) -> bool:
    return "id" in body and (name in MEDIA_KINDS or isinstance(body.get("mime_type"), str))


def _part(name: str, body: Fields) -> ItemPart | None:
    object_id = body.get("id")
    if not isinstance(object_id, str) or not _OBJECT_ID.fullmatch(object_id):
        return None
    return ItemPart(
        media_kind=name if name in MEDIA_KINDS else OTHER_KIND,
        mime=mime_of(body.get("mime_type")),
        object_id=object_id,
        size=_size(body.get("file_size")),
        url=_plain(body.get("url")),
        file_name=_plain(body.get("filename")),
        sha256=_plain(body.get("sha256")),
    )


def _plain(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _size(value: object) -> int | None:
    digits = text_of(value) or ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _SIZE_DIGITS else None
