"""A record store as tables of rows: what copying from one store to another moves, and what parity compares.

Every store keeps the same rows, under these names, whatever it is made of. A row is a tuple in the order of `columns`;
its values are str, int, float, bool, bytes, aware datetimes in UTC, tuples of str, and None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = tuple[object, ...]
Key: TypeAlias = tuple[object, ...]
"""The values of a table's key columns. Keys are ordered as Python orders them: text by its code points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One kind of row.

    `key` columns tell rows of a tenant apart, and come first. `mutable` ones may change while a row is there; all
    others are written once. `numbered` is a column that the store itself counts up: it gives rows their order, and goes
    on above the highest number there. `apart` are columns too wide to be read for comparing: a digest stands for them.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    mutable: tuple[str, ...] = ()
    numbered: str | None = None
    apart: tuple[str, ...] = ()

    def key_of(self, row: Row) -> Key:
        """A whole row's key."""
        return row[: len(self.key)]


RECORDS = Table(
    name="records",
    key=("record_id",),
    columns=(
        *("record_id", "tenant", "row_number", "account", "provider", "kind", "type", "conversation", "stream"),
        *("worker_made", "variant_of", "log", "topic", "partition", "log_offset", "keep_seq", "kept_at", "received_at"),
        *("part_count", "target_ids", "fingerprint", "envelope", "arrival", "record_digest", "arrival_digest"),
        *("encoding", "key_id", "content"),
    ),
    numbered="row_number",
    apart=("envelope", "arrival", "content"),
)
PARTS = Table(
    name="parts",
    key=("record_id", "number"),
    columns=(
        *("record_id", "number", "tenant", "media_kind", "mime", "origin_id", "fingerprint", "target_id", "kept_at"),
    ),
)
PART_RESULTS = Table(
    name="part_results",
    key=("origin_id", "number", "result_number"),
    columns=(
        *("origin_id", "number", "result_number", "tenant", "fingerprint", "target_id", "state", "reason", "witnessed"),
        *("shared", "size", "sha256", "place", "version", "kept_at"),
    ),
    numbered="result_number",
)
TARGETS = Table(
    name="targets",
    key=("target_id",),
    columns=(
        *("target_id", "tenant", "account", "provider", "conversation", "object_kind", "object_id", "not_before"),
        *("erase_after_seconds", "expires_at", "state", "reason", "due_at", "attempt", "changed_at"),
    ),
    mutable=("state", "reason", "due_at", "attempt", "changed_at"),
)
RECEIPTS = Table(
    name="receipts",
    key=("target_id", "receipt_number"),
    columns=("target_id", "receipt_number", "tenant", "attempt", "outcome", "evidence", "witnessed", "at"),
    numbered="receipt_number",
)
GAPS = Table(
    name="gaps",
    key=("record_id",),
    columns=("record_id", "tenant", "cause", "state", "account", "received_at"),
    mutable=("state",),
)
UNSEEN = Table(name="unseen", key=("record_id",), columns=("record_id", "tenant", "account", "received_at"))
DEAD_LETTERS = Table(
    name="dead_letters",
    key=("log", "topic", "partition", "log_offset"),
    columns=(
        *("log", "topic", "partition", "log_offset", "tenant", "gap_record_id", "account", "received_at"),
        *("code", "attempts", "at", "state"),
    ),
    mutable=("code", "attempts", "at", "state"),
)
TALLIES = Table(
    name="tallies",
    key=("log", "topic", "partition", "account", "bucket"),
    columns=("log", "topic", "partition", "account", "bucket", "tenant", "entries", "duplicates"),
    mutable=("entries", "duplicates"),
)
PROGRESS = Table(
    name="progress",
    key=("log", "topic", "partition"),
    columns=(
        *("log", "topic", "partition", "tenant", "start_offset", "next_offset", "duplicates", "redriven", "lost"),
        *("keep_seq", "last_event_id", "successor"),
    ),
    mutable=(
        *("start_offset", "next_offset", "duplicates", "redriven", "lost", "keep_seq", "last_event_id", "successor"),
    ),
)

TABLES = (RECORDS, PARTS, PART_RESULTS, TARGETS, RECEIPTS, GAPS, UNSEEN, DEAD_LETTERS, TALLIES, PROGRESS)
"""All of them, in the order they are to be written in: progress last, since it says that all else is there."""
