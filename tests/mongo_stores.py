"""Record stores for tests on a shared MongoDB: databases that were migrated once, and are emptied after each use."""

from __future__ import annotations

import secrets
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from backends.mongo.migrate import migrate
from backends.mongo.roles import ensure_writer
from backends.mongo.steps import shapes
from tests.mongo_servers import PASSWORD, WRITER, client_of, database_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pymongo.asynchronous.database import AsyncDatabase

    from backends.mongo.drivers import DriverName
    from tests.mongo_servers import SharedMongo

DRIVERS: tuple[DriverName, ...] = ("pymongo", "motor")

_free: dict[str, list[str]] = defaultdict(list)
"""Databases that nobody uses at the moment, by the server's URI."""


@asynccontextmanager
async def mongo_database(server: SharedMongo) -> AsyncGenerator[str]:
    """The superuser's URI of an empty database with the schema, and with the writer's login."""
    free = _free[server.uri]
    uri = free.pop() if free else await _made(server)
    yield uri
    await emptied(uri)
    free.append(uri)


async def emptied(uri: str) -> None:
    """Takes every document away."""
    async with administered(uri) as database:
        for name in shapes():
            await database[name].delete_many({})


@asynccontextmanager
async def administered(uri: str) -> AsyncGenerator[AsyncDatabase[dict[str, Any]]]:
    """The database of a URI, for its superuser."""
    async with client_of(uri) as client:
        yield client[database_of(uri)]


async def _made(server: SharedMongo) -> str:
    uri = server.database_uri(f"test_{secrets.token_hex(8)}")
    await migrate(uri, database_of(uri))
    await ensure_writer(uri, database_of(uri), WRITER, PASSWORD)
    return uri
