"""A bare client of MongoDB, by either driver: what both floors insert with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from pymongo.errors import BulkWriteError

from backends.mongo.drivers import driver_of
from backends.mongo.errors import DUPLICATE_KEY, codes_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from pymongo.asynchronous.database import AsyncDatabase

    from backends.mongo.drivers import Collection, Document, DriverName

    Database: TypeAlias = AsyncDatabase[Document]

_INSERT_DOCUMENTS = 1000
"""So many in one command: those of a batch go out beside each other, each on a connection of its own."""


@asynccontextmanager
async def connected(uri: str, driver: DriverName = "pymongo") -> AsyncGenerator[Database]:
    """The database of an address, where a write is acknowledged when a majority has it in its journal."""
    chosen = driver_of(driver)
    client = chosen.client(uri, {"w": "majority", "journal": True})
    try:
        yield client.get_default_database()
    finally:
        await chosen.close(client)


async def insert(database: Database, documents: Mapping[str, Sequence[Document]]) -> None:
    """Adds documents to collections, those that are there already left out."""
    await asyncio.gather(
        *(_insert(database[name], some) for name, whole in documents.items() for some in _slices(whole))
    )


async def _insert(collection: Collection, documents: Sequence[Document]) -> None:
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        if codes_of(error) != {DUPLICATE_KEY}:
            raise


def _slices(whole: Sequence[Document]) -> Iterator[Sequence[Document]]:
    return (whole[start : start + _INSERT_DOCUMENTS] for start in range(0, len(whole), _INSERT_DOCUMENTS))
