"""Values to bytes and back: canonical JSON (RFC 8785, kept easy) by msgspec with sorted keys.

Canonical means: ASCII keys in order, no floats in what is digested, integers below 2^53, absent fields left out.
Unknown fields are ignored and unknown enum values decode, so that an older reader reads a newer writer.
Source: https://www.rfc-editor.org/rfc/rfc8785 (2020-06).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from broker.core.errors import MalformedEntryError
from broker.core.model import (
    BlobReference,
    Content,
    EraseCommand,
    FetchTask,
    ItemContent,
    KeptNotice,
    PartOutcome,
    ReceiptOutcome,
    Record,
    UnclaimedBody,
)

ITEM_ENCODING = "custody/item+json"
PART_ENCODING = "custody/part+json"
RECEIPT_ENCODING = "custody/receipt+json"
ACT_ENCODING = "custody/act+json"
BLOB_ENCODING = "custody/blob-reference+json"

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="sorted")
_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        BlobReference,
        ItemContent,
        PartOutcome,
        ReceiptOutcome,
        EraseCommand,
        FetchTask,
        KeptNotice,
        UnclaimedBody,
    )
}


def canonical(value: object) -> bytes:
    """The canonical bytes of a value."""
    return _encoder.encode(value)


def decode_record(data: bytes) -> Record:
    """A record from a log entry's value; `MalformedEntryError` without any of its bytes in the message."""
    try:
        return _records.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = "a log entry is not a record of this or an earlier version; look at it with: custody dead show"
        raise MalformedEntryError(message) from _blank(error)


def decode(data: bytes, kind: type[T]) -> T:
    """A command, task, notice or content from bytes; `MalformedEntryError` when it is not one."""
    try:
        value: T = _decoders[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{kind.__name__}: the bytes are not one; look at the entry with: custody dead show"
        raise MalformedEntryError(message) from _blank(error)
    return value


def item_content(content: Content) -> ItemContent:
    """What a provider sent, out of its sealed form."""
    return decode(content.data, ItemContent)


def _blank(error: Exception) -> Exception:
    """A decoder's message may quote what it read: keep the type, drop the words."""
    return MalformedEntryError(type(error).__name__)
