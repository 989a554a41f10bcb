"""Is the account true? A run is judged from outside, by what a simulated provider knows of it.

The account's own sums (`broker.core.account`) can't tell what never arrived. Here the provider's list of what got a
200 is held against the rows, its list of what it still holds against the residue, its digests against the blobs,
and the time of each delete it saw against the time of the keep. Sets are compared on disk, so that memory does not
grow with the run.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from broker.core.erasure import TargetState
from broker.core.model import Kind
from broker.core.ports import BlobStore, Capabilities, KeptRecord, RecordStore
from broker.core.registry import Account, Registry
from broker.residue import PROVIDER_HOLDS, held_until
from broker.verifying import hashed_parts

Row = Mapping[str, Any]

_NAMED = PROVIDER_HOLDS | {Kind.STATUS}
_EXAMPLES = 3


class ProviderTruth(Protocol):
    """What the simulated provider knows, row by row."""

    def truth(self) -> AsyncIterator[Row]:
        """Everything it sent, and whether a body with it got a 200."""
        ...

    def held(self) -> AsyncIterator[Row]:
        """What it still holds."""
        ...

    def media(self) -> AsyncIterator[Row]:
        """Every media object there was, with its digest."""
        ...

    def deletes(self) -> AsyncIterator[Row]:
        """Every delete it saw."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the provider's word says of the account. No problems: they agree."""

    problems: tuple[str, ...]
    still_holds: Mapping[str, int]
    residue_texts: int
    residue_until: datetime | None


@dataclass(slots=True, kw_only=True)
class Judge:
    """Holds the store against the provider. Looks at one `provider`'s numbers only."""

    registry: Registry
    provider: str
    capabilities: Mapping[str, Capabilities]
    store: RecordStore
    blobs: BlobStore
    truth: ProviderTruth
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def verdict(self) -> Verdict:
        """Reads everything once, and compares."""
        with tempfile.NamedTemporaryFile(prefix="custody-judge-") as file, closing(sqlite3.connect(file.name)) as sets:
            sets.executescript(_TABLES)
            await self._read_provider(sets)
            until = await self._read_store(sets)
            await self._read_blobs(sets)
            return Verdict(
                problems=tuple(_problems(sets)),
                still_holds=dict(sets.execute("SELECT object, count(*) FROM held GROUP BY object")),
                residue_texts=_count(sets, "SELECT count(*) FROM residue WHERE object = 'message'"),
                residue_until=until,
            )

    async def _read_provider(self, sets: sqlite3.Connection) -> None:
        accounts = {one.id: one for one in self.registry.accounts.values() if one.provider == self.provider}
        async for row in self.truth.truth():
            if row["delivered"] and row["account"] in accounts:
                sets.execute("INSERT INTO sent VALUES (?, ?, ?)", self._sent(accounts[row["account"]], row))
        async for row in self.truth.held():
            if row["account"] in accounts and row["object"] in {"message", "media"}:
                held = (row["object"], self._held_id(accounts[row["account"]], row))
                sets.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", held)
        async for row in self.truth.media():
            if row["account"] in accounts:
                target = self._target(accounts[row["account"]], str(row["id"]))
                sets.execute("INSERT OR IGNORE INTO media VALUES (?, ?)", (target, row["sha256"]))
        async for row in self.truth.deletes():
            if row["account"] in accounts and row["outcome"] == "erased":
                target = self._target(accounts[row["account"]], str(row["media"]))
                sets.execute("INSERT INTO deletes VALUES (?, ?)", (target, row["at"]))

    def _sent(self, account: Account, row: Row) -> tuple[str, str, str]:
        """(kind, id, account): by our record id where the provider has a key for it, else by what it said and when."""
        kind, key = str(row["kind"]), tuple(str(piece) for piece in row["key"])
        if kind not in _NAMED or not key:
            return kind, f"{row['digest']}/{row['timestamp']}", account.id
        return kind, self._record_id(account, kind, key), account.id

    def _held_id(self, account: Account, row: Row) -> str:
        if row["object"] == "media":
            return self._target(account, str(row["id"]))
        return self._record_id(account, str(row["kind"]), (str(row["id"]),))

    def _record_id(self, account: Account, kind: str, native_key: Sequence[str]) -> str:
        key = self.registry.tenants[account.tenant].key
        return key.record_id(provider=self.provider, account=account.id, kind=kind, native_key=native_key)

    def _target(self, account: Account, object_id: str) -> str:
        key = self.registry.tenants[account.tenant].key
        return key.target_id(provider=self.provider, account=account.id, object_kind="media", object_id=object_id)

    async def _read_store(self, sets: sqlite3.Connection) -> datetime | None:
        """The rows, and what they say the provider still holds; until when the last text is held."""
        latest: datetime | None = None
        for tenant in self.registry.tenants:
            async for kept in self.store.records(tenant):
                sets.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", _kept_ids(kept))
                until = held_until(kept, registry=self.registry, capabilities=self.capabilities)
                if until is not None and until > self.now:
                    sets.execute("INSERT OR IGNORE INTO residue VALUES ('message', ?)", (kept.record_id,))
                    latest = max(until, latest or until)
            async for target in self.store.targets(tenant):
                if target.state == TargetState.RESIDUE:
                    sets.execute("INSERT OR IGNORE INTO residue VALUES ('media', ?)", (target.target_id,))
        return latest

    async def _read_blobs(self, sets: sqlite3.Connection) -> None:
        for tenant in self.registry.tenants:
            async for one in hashed_parts(self.store, self.blobs, tenant):
                part, actual = one.part, "missing" if one.sha256 is None else one.sha256.hex()
                row = (part.target_id, part.sha256.hex(), actual, part.kept_at.timestamp(), part.shared)
                sets.execute("INSERT INTO blobs VALUES (?, ?, ?, ?, ?)", row)


_TABLES = """
CREATE TABLE sent (kind TEXT, id TEXT, account TEXT);
CREATE TABLE kept (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE held (object TEXT, id TEXT, PRIMARY KEY (object, id)) WITHOUT ROWID;
CREATE TABLE residue (object TEXT, id TEXT, PRIMARY KEY (object, id)) WITHOUT ROWID;
CREATE TABLE media (target TEXT PRIMARY KEY, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE blobs (target TEXT, sha256 TEXT, actual TEXT, kept_at REAL, shared INTEGER);
CREATE INDEX blobs_target ON blobs (target);
CREATE TABLE deletes (target TEXT, at REAL);
"""

_NAMED_SENT = "SELECT id FROM sent WHERE kind NOT IN ('event', 'gap')"
_NAMED_KEPT = "SELECT id FROM kept WHERE kind NOT IN ('event', 'gap')"
_CHECKS = (
    ("got a 200 and is nowhere", f"{_NAMED_SENT} EXCEPT {_NAMED_KEPT}"),
    ("is kept and was never sent", f"{_NAMED_KEPT} EXCEPT {_NAMED_SENT}"),
    ("is held by the provider and is no residue", "SELECT id FROM held EXCEPT SELECT id FROM residue"),
    ("is residue and not held by the provider", "SELECT id FROM residue EXCEPT SELECT id FROM held"),
    ("has other bytes in the blob store than were kept", "SELECT target FROM blobs WHERE sha256 <> actual"),
    (
        "has other bytes than the provider served",
        "SELECT target FROM blobs JOIN media USING (target) WHERE media.sha256 <> blobs.actual",
    ),
    (
        "was erased before it was kept",
        "SELECT target FROM deletes JOIN blobs USING (target) WHERE NOT shared AND at < kept_at",
    ),
    (
        "was erased and never kept",
        "SELECT target FROM deletes WHERE target NOT IN (SELECT target FROM blobs)",
    ),
)  # fmt: skip


def _problems(sets: sqlite3.Connection) -> Iterable[str]:
    for words, query in _CHECKS:
        count = _count(sets, f"SELECT count(*) FROM ({query})")  # noqa: S608 - our own words
        if count:
            examples = [one for (one,) in sets.execute(f"{query} LIMIT {_EXAMPLES}")]
            yield f"{count} times: {words}: {', '.join(examples)}"
    for kind in ("event", "gap"):
        sent = _count(sets, f"SELECT count(DISTINCT account || id) FROM sent WHERE kind = '{kind}'")  # noqa: S608 - likewise
        kept = _count(sets, f"SELECT count(*) FROM kept WHERE kind = '{kind}'")  # noqa: S608 - likewise
        if kept < sent:
            yield f"{sent} {kind}s got a 200, {kept} are kept"


def _count(sets: sqlite3.Connection, query: str) -> int:
    return int(sets.execute(query).fetchone()[0])


def _kept_ids(kept: KeptRecord) -> Iterable[tuple[str, str]]:
    """What a row answers for: itself, its original, or the entry that was set aside."""
    envelope = kept.record.envelope
    if envelope.kind == Kind.VARIANT and kept.variant_of is not None:
        yield "message", kept.variant_of
    elif envelope.kind in _NAMED or envelope.kind == Kind.EVENT:
        yield envelope.kind, kept.record_id
    elif envelope.kind == Kind.GAP and envelope.type != "dead":
        yield "gap", kept.record_id
    elif envelope.kind == Kind.GAP:
        yield from (("message", one.record_id) for one in envelope.relations)
