"""A record store's rows as they lie there: for copying to another store, and for comparing with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from broker.core.tables import Key, Row, Table


class TableSnapshot(Protocol):
    """Every table as it was at one moment."""

    async def tenants(self) -> Sequence[str]:
        """Whose rows there are, in order."""
        ...

    async def count(self, table: Table, tenant: str) -> int:
        """About how many rows a tenant has: for showing how far work is."""
        ...

    def scan(
        self, table: Table, tenant: str, columns: Sequence[str], *, after: Key | None = None
    ) -> AsyncIterator[Row]:
        """These columns of a tenant's rows, in the order of their keys, from behind `after` on; in bounded memory."""
        ...

    async def rows(self, table: Table, tenant: str, keys: Sequence[Key]) -> Sequence[Row]:
        """Whole rows by their keys, in that order; a key without a row is left out."""
        ...


class TableStore(Protocol):
    """A record store as tables of rows. Raises what `RecordStore` does."""

    def snapshot(self) -> AbstractAsyncContextManager[TableSnapshot]:
        """The tables as they are now, however long they are read."""
        ...

    async def insert(self, table: Table, rows: Sequence[Row]) -> int:
        """Adds whole rows, durably; how many. A row whose key is there is left as it is."""
        ...

    async def update(self, table: Table, rows: Sequence[Row]) -> int:
        """Gives the rows of these keys their `mutable` columns, durably; how many were there."""
        ...

    async def renumber(self) -> None:
        """From now on the store counts on above the highest number in its `numbered` columns. Do it after inserting."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
