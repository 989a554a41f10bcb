"""How much a store holds, seen by the superuser behind Custody's back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from backends.s3.options import S3Options
from tests.mongo_stores import administered
from tests.s3_servers import bare_client
from tests.stage.servers import Servers

if TYPE_CHECKING:
    from tests.stage.stores import Stores


class Holdings(Protocol):
    """Counts what is there."""

    async def records(self) -> int: ...

    async def blobs(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OnPostgres:
    """The store on a stage's own Postgres."""

    servers: Servers

    async def records(self) -> int:
        return await self._count("records", "custody_pas.records")

    async def blobs(self) -> int:
        return await self._count("blobs", "custody_blobs.blobs")

    async def _count(self, role: str, table: str) -> int:
        (row,) = await self.servers.fetch(role, f"SELECT count(*) AS amount FROM {table}")
        return int(row["amount"])


@dataclass(frozen=True, slots=True)
class OnS3Mongo:
    """A store on MongoDB and S3. Of a blob every version counts: one that was put twice has two."""

    uri: str = field(repr=False)
    bucket: S3Options

    @classmethod
    def of(cls, stores: Stores) -> Self:
        """By its settings."""
        return cls(str(stores.records["admin_uri"]), S3Options(**stores.blobs))

    async def records(self) -> int:
        async with administered(self.uri) as database:
            found: int = await database["records"].count_documents({})
        return found

    async def blobs(self) -> int:
        async with bare_client(self.bucket) as client:
            pages = client.get_paginator("list_object_versions").paginate(Bucket=self.bucket.bucket)
            return sum([len(page.get("Versions", ())) async for page in pages])
