"""A store's rows as they are compared: three streams of a tenant, each in the order of its keys, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from broker.core.parity import Kind, compared_part, compared_record, compared_target, counting_result
from broker.core.rows import sealed_record
from broker.core.tables import PART_RESULTS, PARTS, RECORDS, TARGETS, Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.parity import Compared
    from broker.core.ports.tables import TableSnapshot
    from broker.core.tables import Key

T = TypeVar("T")
Columns: TypeAlias = Mapping[str, Any]

_SEALED = ("record_id", "tenant", "conversation", "envelope", "arrival", "content", "record_digest", "arrival_digest")
_PLACED = ("record_id", "conversation", "received_at")
_RESULT = (*("origin_id", "number", "result_number", "fingerprint", "state", "reason", "size", "sha256", "place"),)
_WIDE_ROWS = 20
_PARTS_AT_ONCE = 5_000
_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records, and the parts that follow them: received at `since` or later, of these conversations.

    Targets have no such time: all of them are compared, or those of the conversations.
    """

    since: datetime | None = None
    conversations: Collection[str] | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.since is None and self.conversations is None

    def has(self, record: Columns) -> bool:
        """Whether a record is among them."""
        return self.has_conversation(record["conversation"]) and (
            self.since is None or record["received_at"] >= self.since
        )

    def has_conversation(self, name: str) -> bool:
        """Whether a conversation's rows are."""
        return self.conversations is None or name in self.conversations


def rows(
    kind: Kind, snapshot: TableSnapshot, tenant: str, selection: Selection, *, after: Key | None = None
) -> AsyncIterator[Compared]:
    """A tenant's rows of a kind, from behind `after` on."""
    streams = {"records": _records, "parts": _parts, "targets": _targets}
    return streams[kind](snapshot, tenant, selection, after)


async def _records(
    snapshot: TableSnapshot, tenant: str, selection: Selection, after: Key | None
) -> AsyncIterator[Compared]:
    found = (
        _scan(snapshot, RECORDS, tenant, _SEALED, after)
        if selection.is_all
        else _whole(snapshot, tenant, _chosen(snapshot, tenant, selection, after))
    )
    async for row in found:
        yield compared_record(sealed_record(row), row["conversation"])


async def _whole(snapshot: TableSnapshot, tenant: str, chosen: AsyncIterator[Columns]) -> AsyncIterator[Columns]:
    async for group in grouped(chosen, _WIDE_ROWS):
        for row in await snapshot.rows(RECORDS, tenant, [(one["record_id"],) for one in group]):
            yield dict(zip(RECORDS.columns, row, strict=True))


async def _chosen(
    snapshot: TableSnapshot, tenant: str, selection: Selection, after: Key | None
) -> AsyncIterator[Columns]:
    async for row in _scan(snapshot, RECORDS, tenant, _PLACED, after):
        if selection.has(row):
            yield row


async def _targets(
    snapshot: TableSnapshot, tenant: str, selection: Selection, after: Key | None
) -> AsyncIterator[Compared]:
    async for row in _scan(snapshot, TARGETS, tenant, TARGETS.columns, after):
        if selection.has_conversation(row["conversation"]):
            yield compared_target(row)


async def _parts(
    snapshot: TableSnapshot, tenant: str, selection: Selection, after: Key | None
) -> AsyncIterator[Compared]:
    """A result lies under the delivery's own id: a record's results come along, those of variants are fetched."""
    start = None if after is None else (*after, _LAST)
    own = _Results(_scan(snapshot, PART_RESULTS, tenant, _RESULT, start))
    async for group in grouped(_placed(snapshot, tenant, selection, after), _PARTS_AT_ONCE):
        of_variants = await _results_of_variants(snapshot, tenant, [part for part, _ in group])
        for part, conversation in group:
            key = (part["origin_id"], part["number"])
            is_variant = part["origin_id"] != part["record_id"]
            results = of_variants.get(key, []) if is_variant else await own.of(key)
            yield compared_part(part, counting_result(results, part["fingerprint"]), conversation)


async def _placed(
    snapshot: TableSnapshot, tenant: str, selection: Selection, after: Key | None
) -> AsyncIterator[tuple[Columns, str]]:
    """Parts, each with the conversation of its record; one whose record is not there has none."""
    # Any text comes behind its own beginning: so the record whose parts were left half way is read again.
    start = None if after is None else (str(after[0])[:-1],)
    records = _scan(snapshot, RECORDS, tenant, _PLACED, start)
    record = await anext(records, None)
    async for part in _scan(snapshot, PARTS, tenant, PARTS.columns, after):
        while record is not None and record["record_id"] < part["record_id"]:
            record = await anext(records, None)
        if record is not None and record["record_id"] == part["record_id"]:
            if selection.has(record):
                yield part, record["conversation"]
        elif selection.is_all:
            yield part, ""


async def _results_of_variants(
    snapshot: TableSnapshot, tenant: str, parts: Sequence[Columns]
) -> Mapping[Key, Sequence[Columns]]:
    wanted = {(one["origin_id"], one["number"]) for one in parts if one["origin_id"] != one["record_id"]}
    found: dict[Key, list[Columns]] = {}
    if wanted:
        first, last = min(wanted), max(wanted)
        async for row in _scan(snapshot, PART_RESULTS, tenant, _RESULT, (*first, -1)):
            key = (row["origin_id"], row["number"])
            if key > last:
                break
            if key in wanted:
                found.setdefault(key, []).append(row)
    return found


class _Results:
    """Results in the order of their keys, taken in that order."""

    def __init__(self, rows: AsyncIterator[Columns]) -> None:
        self._rows = rows
        self._next: Columns | None = None
        self._has_begun = False

    async def of(self, key: tuple[str, int]) -> Sequence[Columns]:
        """Those of one delivery's part; earlier ones are passed over."""
        if not self._has_begun:
            self._has_begun = True
            await self._step()
        found: list[Columns] = []
        while self._next is not None and (at := (self._next["origin_id"], self._next["number"])) <= key:
            if at == key:
                found.append(self._next)
            await self._step()
        return found

    async def _step(self) -> None:
        self._next = await anext(self._rows, None)


async def _scan(
    snapshot: TableSnapshot, table: Table, tenant: str, columns: Sequence[str], after: Key | None
) -> AsyncIterator[Columns]:
    async for row in snapshot.scan(table, tenant, columns, after=after):
        yield dict(zip(columns, row, strict=True))


async def grouped(items: AsyncIterator[T], count: int) -> AsyncIterator[list[T]]:
    """Items, so many at a time."""
    group: list[T] = []
    async for one in items:
        group.append(one)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group
