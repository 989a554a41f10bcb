"""Stores on a MongoDB of the benchmark's own, with the login that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.mongo.migrate import migrate
from backends.mongo.roles import ensure_writer

if TYPE_CHECKING:
    from backends.mongo.embedded import EmbeddedMongo

LOGIN = ("custody_bench", "opens-nothing")


async def make_store(server: EmbeddedMongo, name: str) -> str:
    """Makes an empty store; its address for the writer."""
    await migrate(server.uri(name), name)
    await ensure_writer(server.uri(name), name, *LOGIN)
    return server.uri(name, *LOGIN)
