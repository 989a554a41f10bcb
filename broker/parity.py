"""Do two stores hold the same? Both are read side by side, in bounded memory, and every difference is named."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from broker.comparable import Selection, grouped, rows
from broker.core.errors import DigestMismatchError, ObjectGoneError
from broker.core.parity import KINDS, Difference, Kind, Root, merged, respects
from broker.core.ports import BlobStore
from broker.core.ports.tables import TableSnapshot
from broker.core.tables import PARTS, RECORDS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.parity import Blob, Compared
    from broker.core.tables import Key

_TABLES = {"records": RECORDS, "parts": PARTS, "targets": TARGETS}
_ROWS_AT_ONCE = 200
_BLOBS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two stores: its rows as they were at one moment, and its blobs, which never change."""

    snapshot: TableSnapshot
    blobs: BlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is compared. `quick`: blobs by what their store says of them. `first`: so many differences are named."""

    since: datetime | None = None
    conversation: str | None = None
    quick: bool = False
    first: int = 20

    @property
    def selection(self) -> Selection:
        """Which rows."""
        return Selection(
            since=self.since, conversations=None if self.conversation is None else frozenset({self.conversation})
        )


@dataclass(slots=True, kw_only=True)
class Stand:
    """How far a kind of rows is compared: the roots of both sides, and the last key."""

    left: Root = field(default_factory=Root)
    right: Root = field(default_factory=Root)
    after: tuple[str | int, ...] | None = None
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class Found:
    """What came out of one tenant so far: it can be saved, and gone on with."""

    tenant: str
    kinds: dict[str, Stand] = field(default_factory=dict)
    blobs: int = 0
    differences: int = 0
    first: list[Difference] = field(default_factory=list)
    conversations: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    """The digest of a conversation on either side, in hex; None until all rows are compared, and where the rows of one
    moment could not be had for long enough."""
    is_done: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return self.differences == 0

    @property
    def is_compared(self) -> bool:
        """Whether every difference is known; digests of conversations may be missing yet."""
        return all(kind in self.kinds and self.kinds[kind].is_done for kind in KINDS)

    @property
    def rows(self) -> int:
        """How many of either side were compared, whichever are more."""
        return sum(max(one.left.rows, one.right.rows) for one in self.kinds.values())


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told: of rows and blobs that were compared, and when there is something to save."""

    step: Callable[[int], None] = lambda _: None
    save: Callable[[], None] = lambda: None


async def tenants(left: Side, right: Side) -> list[str]:
    """Whose rows there are on either side."""
    return sorted({*await left.snapshot.tenants(), *await right.snapshot.tenants()})


async def amount(side: Side, tenant: str) -> int:
    """About how many rows are to be compared."""
    return sum([await side.snapshot.count(table, tenant) for table in _TABLES.values()])


async def compare(left: Side, right: Side, wanted: Wanted, found: Found, watcher: Watcher) -> None:
    """Compares a tenant, from where `found` was left."""
    for kind in KINDS:
        stand = found.kinds.setdefault(kind, Stand())
        if not stand.is_done:
            await _Comparing(left, right, wanted, found, watcher, kind, stand).run()
            stand.is_done = True
            watcher.save()
    if wanted.conversation is not None:
        found.conversations.setdefault(wanted.conversation, None)
    await _compare_conversations(left, right, wanted, found)
    found.is_done = True
    watcher.save()


@dataclass(frozen=True, slots=True)
class _Comparing:
    """One kind of rows of one tenant."""

    left: Side
    right: Side
    wanted: Wanted
    found: Found
    watcher: Watcher
    kind: Kind
    stand: Stand

    async def run(self) -> None:
        ours, theirs = (
            rows(self.kind, side.snapshot, self.found.tenant, self.wanted.selection, after=self.stand.after)
            for side in (self.left, self.right)
        )
        at_once = _BLOBS_AT_ONCE if self.kind == "parts" else _ROWS_AT_ONCE
        pairs = merged(ours, theirs, _key_of)
        async for group in grouped(pairs, at_once):
            await self._take(group)

    async def _take(self, group: list[tuple[Compared | None, Compared | None]]) -> None:
        checks = await asyncio.gather(*(self._blob_faults(*pair) for pair in group))
        for (left, right), (blobs, faults) in zip(group, checks, strict=True):
            self.found.blobs += blobs
            self._note(self.kind, left, right, respects(left, right))
            self._note("blobs", left, right, faults)
            self.stand.left = self.stand.left if left is None else self.stand.left.over(self.kind, left)
            self.stand.right = self.stand.right if right is None else self.stand.right.over(self.kind, right)
            self.stand.after = _key(left, right)
        self.watcher.step(len(group))
        self.watcher.save()

    def _note(self, kind: Kind | str, left: Compared | None, right: Compared | None, what: tuple[str, ...]) -> None:
        if not what:
            return
        row = left or right
        conversation = "" if row is None else row.conversation
        self.found.differences += 1
        if len(self.found.first) < self.wanted.first:
            difference = Difference(
                tenant=self.found.tenant,
                kind="blobs" if kind == "blobs" else self.kind,
                conversation=conversation,
                key=_key(left, right),
                what=what,
            )
            self.found.first.append(difference)
        if conversation and len(self.found.conversations) < self.wanted.first:
            self.found.conversations.setdefault(conversation, None)

    async def _blob_faults(self, left: Compared | None, right: Compared | None) -> tuple[int, tuple[str, ...]]:
        """How many blobs were looked at, and what is wrong with them."""
        faults = []
        count = 0
        for name, side, row in (("left", self.left, left), ("right", self.right, right)):
            if row is not None and row.blob is not None:
                count += 1
                fault = await blob_fault(side.blobs, row.blob, quick=self.wanted.quick)
                faults += [f"{fault}_{name}"] if fault else []
        return count, tuple(faults)


async def blob_fault(blobs: BlobStore, blob: Blob, *, quick: bool = False) -> str | None:
    """What is wrong with a blob: it is `missing`, or `altered`; None when its bytes are those that were kept."""
    if quick:
        info = await blobs.stat(blob.place)
        if info is None:
            return "missing"
        return None if (info.size, info.sha256) == (blob.size, blob.sha256) else "altered"
    digest = hashlib.sha256()
    try:
        async for chunk in blobs.open(blob.place):
            digest.update(chunk)
    except ObjectGoneError:
        return "missing"
    except DigestMismatchError:  # a store that looks for itself
        return "altered"
    return None if digest.digest() == blob.sha256 else "altered"


async def _compare_conversations(left: Side, right: Side, wanted: Wanted, found: Found) -> None:
    names = [name for name, digests in found.conversations.items() if digests is None]
    if not names:
        return
    selection = Selection(since=wanted.since, conversations=frozenset(names))
    ours, theirs = [await _roots(side, found.tenant, selection) for side in (left, right)]
    for name in names:
        found.conversations[name] = (_hex(ours, name), _hex(theirs, name))


async def _roots(side: Side, tenant: str, selection: Selection) -> Mapping[str, Root]:
    """A digest over all rows of each conversation: records, then parts, then targets."""
    roots: dict[str, Root] = {}
    for kind in KINDS:
        async for row in rows(kind, side.snapshot, tenant, selection):
            roots[row.conversation] = roots.get(row.conversation, Root()).over(kind, row)
    return roots


def _key_of(row: Compared) -> Key:
    return row.key


def _hex(roots: Mapping[str, Root], name: str) -> str:
    return roots.get(name, Root()).digest.hex()


def _key(left: Compared | None, right: Compared | None) -> tuple[str | int, ...]:
    row = left or right
    return () if row is None else tuple(one if isinstance(one, int) else str(one) for one in row.key)
