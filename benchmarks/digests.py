"""How many rows there are, and a digest of them whatever their order: whether two runs wrote the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import asyncpg

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

Digest: TypeAlias = tuple[int, str]
"""Rows, and SHA-256 in hex over their own digests in order."""

_DIGEST = """
SELECT count(*), encode(sha256(coalesce(string_agg(one.digest, ''::bytea ORDER BY one.digest), ''::bytea)), 'hex')
FROM (SELECT sha256(convert_to(ROW({columns})::text, 'UTF8')) AS digest FROM {source}) AS one
"""


class NotTheSameError(Exception):
    """A run did other work than the one it is compared with: its figures mean nothing."""


async def digest(connection: Connection, *, columns: str, source: str) -> Digest:
    """The digest of these columns of the rows of `source`: a table, or a query in brackets with a name."""
    rows, hexadecimal = (await connection.fetch(_DIGEST.format(columns=columns, source=source)))[0]
    return rows, hexadecimal
