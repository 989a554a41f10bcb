"""What an administrator may do by hand to what was kept, behind Custody's back: on each kind of store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from backends.s3.options import S3Options
from tests.mongo_stores import administered
from tests.s3_servers import bare_client
from tests.stores import execute, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

_FLIP = "SET data = set_byte(data, 3, get_byte(data, 3) # 1)"
_SECOND_CHUNK = "version = (SELECT version FROM custody_blobs.blobs WHERE place = $1) AND number = 2"


class Hand(Protocol):
    """As superuser, whom neither rights nor validators hold back."""

    async def alter(self, record_id: str, column: str, change: Callable[[bytes], bytes]) -> None:
        """Makes other bytes of a record's."""
        ...

    async def lose_record(self, record_id: str) -> None:
        """It is not there any more; what follows from it is."""
        ...

    async def alter_blob(self, place: str) -> None:
        """One byte of a blob is another."""
        ...

    async def lose_blob(self, place: str) -> None:
        """Nothing lies there any more."""
        ...


@dataclass(frozen=True, slots=True)
class OnPostgres:
    """By the superuser's address."""

    dsn: str = field(repr=False)

    async def alter(self, record_id: str, column: str, change: Callable[[bytes], bytes]) -> None:
        (row,) = await fetch(self.dsn, f"SELECT {column} FROM custody_pas.records WHERE record_id = $1", record_id)
        statement = f"UPDATE custody_pas.records SET {column} = $2 WHERE record_id = $1"
        await execute(self.dsn, statement, record_id, change(row[column]))

    async def lose_record(self, record_id: str) -> None:
        await execute(self.dsn, "DELETE FROM custody_pas.records WHERE record_id = $1", record_id)

    async def alter_blob(self, place: str) -> None:
        await execute(self.dsn, f"UPDATE custody_blobs.blobs {_FLIP} WHERE place = $1 AND data IS NOT NULL", place)
        await execute(self.dsn, f"UPDATE custody_blobs.chunks {_FLIP} WHERE {_SECOND_CHUNK}", place)

    async def lose_blob(self, place: str) -> None:
        await execute(self.dsn, "DELETE FROM custody_blobs.blobs WHERE place = $1", place)


@dataclass(frozen=True, slots=True)
class OnS3Mongo:
    """By the superuser's URI, and the keys of the bucket."""

    uri: str = field(repr=False)
    options: S3Options

    async def alter(self, record_id: str, column: str, change: Callable[[bytes], bytes]) -> None:
        async with administered(self.uri) as database:
            found = await database.records.find_one({"record_id": record_id})
            assert found is not None
            changed = {"$set": {column: change(found[column])}}
            await database.records.update_one({"_id": found["_id"]}, changed, bypass_document_validation=True)

    async def lose_record(self, record_id: str) -> None:
        async with administered(self.uri) as database:
            assert (await database.records.delete_one({"record_id": record_id})).deleted_count == 1

    async def alter_blob(self, place: str) -> None:
        at = self.options.locate(place)
        async with bare_client(self.options) as client:
            found = await client.get_object(Bucket=at.bucket, Key=at.key)
            data = bytearray(await found["Body"].read())
            data[3] ^= 1
            await client.put_object(Bucket=at.bucket, Key=at.key, Body=bytes(data), Metadata=found["Metadata"])

    async def lose_blob(self, place: str) -> None:
        at = self.options.locate(place)
        async with bare_client(self.options) as client:
            await client.delete_object(Bucket=at.bucket, Key=at.key)
