"""The archive worker on MongoDB, there until it was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.mongo.connections import MongoOptions
from backends.mongo.records import MongoRecords
from benchmarks import tenant
from benchmarks.peers.postgres_worker import stay

if TYPE_CHECKING:
    from benchmarks.child import Orders
    from broker.core.ports import RecordStore


async def main(orders: Orders) -> None:
    """As on Postgres."""
    await stay(orders, on_mongo)


async def on_mongo(uri: str) -> RecordStore:
    """The store, as `custody run` opens it."""
    return await MongoRecords.open(uri, clock=lambda: tenant.AT, options=MongoOptions())
