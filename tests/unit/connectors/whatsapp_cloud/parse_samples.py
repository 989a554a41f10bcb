"""The samples, and what a body holds by a reading of its own, which owes nothing to the parser's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import connectors.whatsapp_cloud
from broker.core.identity import TenantKey
from broker.core.model import Delivery, Kind
from broker.core.seal import Sealer
from connectors.whatsapp_cloud.parse import CONNECTOR_VERSION, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.core.item import Item
    from broker.core.model import Record

FOLDER = Path(connectors.whatsapp_cloud.__file__).with_name("samples")
ITEM_ARRAYS = ("messages", "message_echoes", "statuses", "errors", "calls", "groups", "history", "standby")
RECEIVED_AT = datetime(2026, 7, 28, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One webhook of the samples."""

    name: str
    body: dict[str, Any]

    @property
    def data(self) -> bytes:
        """The body as the provider would send it."""
        return compact(self.body)

    def items(self) -> list[Item]:
        """Its items."""
        return all_items(self.data)


def _samples() -> Iterator[Sample]:
    for path in sorted(FOLDER.glob("*.json")):
        for name, body in json.loads(path.read_text())["webhooks"].items():
            yield Sample(name=f"{path.stem}/{name}", body=body)


def compact(value: object) -> bytes:
    """JSON as Meta writes it: no spaces, ASCII only."""
    return json.dumps(value, separators=(",", ":")).encode()


def all_items(data: bytes) -> list[Item]:
    """The items of all changes of a body."""
    return [item for change in parse(data) for item in change.items]


def reported(items: list[Item]) -> list[Item]:
    """The items that stand for something in the body: all but the identities, which are derived."""
    return [item for item in items if item.kind != Kind.IDENTITY]


def elements(body: object) -> list[Any]:
    """What must become an item: every element of every array, and every value without one.

    Where an array of items should be and something else is, that is an item by itself.
    """
    return [one for value in _values(body) for one in _of_value(value)]


def _values(body: object) -> Iterator[dict[str, Any]]:
    for entry in _list(_get(body, "entry")):
        for change in _list(_get(entry, "changes")):
            value = _get(change, "value")
            if isinstance(value, dict):
                yield value


def _of_value(value: dict[str, Any]) -> list[Any]:
    inner = value.get("standby")
    pairs = [pair for pair in value.items() if pair[0] != "standby" or not isinstance(inner, dict)]
    pairs += inner.items() if isinstance(inner, dict) else ()
    found = []
    for name, rows in pairs:
        if isinstance(rows, list):
            for row in rows if name != "contacts" else ():
                found += _of_chunk(row) if name == "history" else [row]
        elif name in ITEM_ARRAYS and rows is not None:
            found.append(rows)
    return found or [value]


def _of_chunk(chunk: object) -> list[Any]:
    found = []
    for name, rows in chunk.items() if isinstance(chunk, dict) else ():
        if name == "threads" and isinstance(rows, list):
            for thread in rows:
                found += _list(_get(thread, "messages")) or [thread]
        elif name == "errors" and isinstance(rows, list):
            found += rows
        elif name == "metadata" or rows is not None:
            found.append(rows)
    return found or [chunk]


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def sealed(items: list[Item]) -> list[Record]:
    """The records of items, with salts of no randomness."""
    sealer = Sealer(
        tenant="protea",
        key=TenantKey(bytes(range(32))),
        provider="whatsapp_cloud",
        account="305500000000021",
        media_life=timedelta(days=7),
        entropy=bytes,
    )
    return [
        sealer.seal(
            item,
            received_at=RECEIVED_AT,
            delivery=Delivery(id="dlv_1", index=index, connector=CONNECTOR_VERSION),
            origin="live",
        )
        for index, item in enumerate(items)
    ]


SAMPLES = tuple(_samples())
BY_NAME = {sample.name: sample for sample in SAMPLES}
