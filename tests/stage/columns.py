"""What stands in every column of a store: of Postgres' tables, of MongoDB's collections, of the objects in a bucket."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from backends.s3.objects import DIGEST
from tests.mongo_stores import administered
from tests.s3_servers import bare_client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backends.s3.options import S3Options

Column: TypeAlias = tuple[str, str, str]
"""Where, in which table, under which name."""

_TABLES = """
SELECT table_schema, table_name, array_agg(column_name::text) AS columns
FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1, 2
"""


async def postgres_columns(dsn: str) -> dict[Column, bytes]:
    """By the superuser's address: of every schema, and what is asked at this moment."""
    found: dict[Column, bytes] = {}
    connection = await asyncpg.connect(dsn)
    try:
        for schema, table, columns in await connection.fetch(_TABLES):
            for column in columns:
                rows = await connection.fetch(f'SELECT "{column}" AS value FROM "{schema}"."{table}"')
                found[schema, table, column] = _joined(row["value"] for row in rows)
        queries = await connection.fetch("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        return found | {("pg_catalog", "pg_stat_activity", "query"): repr(queries).encode()}
    finally:
        await connection.close()


async def mongo_columns(uri: str) -> dict[Column, bytes]:
    """By the superuser's URI: the fields of every collection."""
    found: defaultdict[Column, list[object]] = defaultdict(list)
    async with administered(uri) as database:
        for name in await database.list_collection_names(filter={"name": {"$not": {"$regex": "^system"}}}):
            async for document in database[name].find():
                for key, value in document.items():
                    found["mongo", name, key].append(value)
    return {column: _joined(values) for column, values in found.items()}


async def s3_columns(options: S3Options) -> dict[Column, bytes]:
    """Every version of every object: its bytes, its digest, and whatever else is said of it, its key included."""
    found: defaultdict[Column, list[object]] = defaultdict(list)
    async with bare_client(options) as client:
        async for page in client.get_paginator("list_object_versions").paginate(Bucket=options.bucket):
            for one in page.get("Versions", []):
                at = {"Bucket": options.bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
                got, tags = await client.get_object(**at), (await client.get_object_tagging(**at))["TagSet"]
                told = {**got["Metadata"], **{tag["Key"]: tag["Value"] for tag in tags}}
                found["s3", "objects", "digest"].append(told.pop(DIGEST, ""))
                found["s3", "objects", "metadata"].append([one["Key"], told])
                found["s3", "objects", "data"].append(await got["Body"].read())
    return {column: _joined(values) for column, values in found.items()}


def _joined(values: Iterable[object]) -> bytes:
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
