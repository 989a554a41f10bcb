"""Floor B: one small document a message, of no use to anybody, by the same bare client."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bson import encode

from benchmarks.archive_mongo.bare import connected, insert
from benchmarks.machine import Meter

if TYPE_CHECKING:
    from backends.mongo.drivers import Document
    from benchmarks.child import Orders

COLLECTION = "small"
DOCUMENT_BYTES = 490


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallOrders:
    """Insert so many documents of `DOCUMENT_BYTES` bytes into a collection of this database, `batch_rows` at once."""

    uri: str = field(repr=False)
    documents: int
    batch_rows: int


async def main(orders: Orders) -> None:
    """Writes them, and answers with what it took."""
    wanted = await orders.next(SmallOrders)
    documents = [document(number) for number in range(wanted.documents)]
    async with connected(wanted.uri) as database:
        gc.collect()
        gc.freeze()  # as in the other floor
        meter = Meter()
        for start in range(0, len(documents), wanted.batch_rows):
            await insert(database, {COLLECTION: documents[start : start + wanted.batch_rows]})
        orders.answer(meter.spent())


def document(number: int) -> Document:
    """One of them: an id as long as a record's, and bytes."""
    made = {"_id": f"rec_{number:032d}", "entry": b""}
    return made | {"entry": bytes(DOCUMENT_BYTES - len(encode(made)))}
