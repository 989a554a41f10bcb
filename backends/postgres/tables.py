"""The record store on Postgres as tables of rows: for copying and comparing, by the writers' own login."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from backends.postgres import table_sql
from backends.postgres.connections import Database, PostgresOptions
from backends.postgres.keep import ROW_BITS
from backends.postgres.sql import RECORDS, query
from broker.core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from backends.postgres.connections import Connection, Dsn
    from broker.core.tables import Key, Row, Table

_NARROW_ROWS, _WIDE_ROWS = 1000, 20
_LONG_SECONDS = 24 * 3600.0
"""What sorts or reads a whole table may take its time."""


class PostgresTables:
    """See `TableStore`. A snapshot holds one connection and one transaction for as long as it is read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, dsn: Dsn, options: PostgresOptions | None = None) -> Self:
        """A store that answers. `StoreUnavailableError`: it does not; `SchemaError`: migrate, or upgrade."""
        return cls(await Database.open(dsn, options, schema=RECORDS, unavailable=StoreUnavailableError))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresSnapshot]:
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            # Whoever reads may be busy elsewhere for long. The transaction holds no lock that others wait for.
            await self._database.guard(connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await self._database.guard(connection.execute(query("plan_freely")))
            yield PostgresSnapshot(self._database, connection)

    async def insert(self, table: Table, rows: Sequence[Row]) -> int:
        return await self._write(table, rows, table_sql.insert(table)) if rows else 0

    async def update(self, table: Table, rows: Sequence[Row]) -> int:
        return await self._write(table, rows, table_sql.update(table)) if rows else 0

    async def renumber(self) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(query("plan_freely"))
            await connection.fetch(query("records/renumber"), ROW_BITS, timeout=_LONG_SECONDS)

        await self._database.transact(work, limited=False)

    async def close(self) -> None:
        await self._database.close()

    async def _write(self, table: Table, rows: Sequence[Row], statement: str) -> int:
        async def work(connection: Connection) -> int:
            await connection.execute(table_sql.make_copied(table))
            name, schema = table_sql.copied(table), "pg_temp"
            await connection.copy_records_to_table(name, records=rows, columns=table.columns, schema_name=schema)
            return int((await connection.execute(statement)).rpartition(" ")[2])

        return await self._database.transact(work)


class PostgresSnapshot:
    """See `TableSnapshot`. Several scans may go on at once: their statements take turns."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._turn = asyncio.Lock()

    async def tenants(self) -> Sequence[str]:
        return [str(row["tenant"]) for row in await self._fetch(table_sql.TENANTS)]

    async def count(self, table: Table, tenant: str) -> int:
        (row,) = await self._fetch(table_sql.count(table), tenant)
        return int(row["amount"])

    async def scan(
        self, table: Table, tenant: str, columns: Sequence[str], *, after: Key | None = None
    ) -> AsyncIterator[Row]:
        statement = table_sql.scan(table, columns, after=after is not None)
        amount = _WIDE_ROWS if set(columns) & set(table.apart) else _NARROW_ROWS
        async with self._turn:
            opening = self._connection.cursor(statement, tenant, *(after or ()), timeout=_LONG_SECONDS)
            cursor = await self._database.guard(opening)
        while True:
            async with self._turn:
                found = await self._database.guard(cursor.fetch(amount, timeout=_LONG_SECONDS))
            if not found:
                return
            for row in found:
                yield _plain(row)

    async def rows(self, table: Table, tenant: str, keys: Sequence[Key]) -> Sequence[Row]:
        if not keys:
            return []
        found = await self._fetch(
            table_sql.by_key(table), tenant, *(list(column) for column in zip(*keys, strict=True))
        )
        return [_plain(row) for row in found]

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._turn:
            return await self._database.guard(self._connection.fetch(statement, *arguments, timeout=_LONG_SECONDS))


def _plain(row: asyncpg.Record) -> Row:
    return tuple(tuple(one) if isinstance(one, list) else one for one in row)
