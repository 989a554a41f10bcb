"""When two stores hold the same: what is compared of their rows, and one digest over all of it. Pure.

Compared is what both have to agree on. What each store makes of its own is left out: times of keeping, numbers of rows,
versions of blobs, and a claim, which is a lease.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from broker.core import identity
from broker.core.erasure import TargetState
from broker.core.model import PartState
from broker.core.seals import broken_seals
from broker.core.tables import Key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from broker.core.ports import SealedRecord

T = TypeVar("T")
Kind = Literal["records", "parts", "targets"]
KINDS: tuple[Kind, ...] = ("records", "parts", "targets")
ONLY_LEFT, ONLY_RIGHT = "only_left", "only_right"
NOTHING = bytes(identity.FINGERPRINT_BYTES)
"""The root of no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Where a part's bytes lie, and what they are."""

    place: str
    size: int
    sha256: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A row as it is compared: its key, and what both stores have to say alike, by name.

    `altered`: what of a record is not what was kept in this very store. `blob` is that of a kept part.
    """

    key: Key
    conversation: str
    facts: tuple[tuple[str, bytes], ...] = field(repr=False)
    altered: tuple[str, ...] = ()
    blob: Blob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row that is not the same in both stores, or a blob.

    `what`: `only_left`, `only_right`, or in which respects it differs; and `altered_left`, `altered_right` where a
    store no longer has what it kept, `missing_left`, `missing_right` where it has no blob.
    """

    tenant: str
    kind: Literal["records", "parts", "targets", "blobs"]
    conversation: str
    key: tuple[str | int, ...]
    what: tuple[str, ...]

    def __str__(self) -> str:
        name = f"{self.kind.removesuffix('s')} {' '.join(map(str, self.key))}"
        where = f" of {self.conversation}" if self.conversation else ""
        return f"{name}{where}: {', '.join(one.replace('_', ' ') for one in self.what)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One digest over rows in the order of their keys; it goes on from where it was left."""

    digest: bytes = NOTHING
    rows: int = 0

    def over(self, kind: str, row: Compared) -> Root:
        """With one more row. Each link holds the one before, so that rows can't change places."""
        link = identity.framed("custody/parity-root/v1", (self.digest, row_digest(kind, row)))
        return Root(digest=hashlib.sha256(link).digest(), rows=self.rows + 1)


def row_digest(kind: str, row: Compared) -> bytes:
    """SHA-256 over label, kind, key and facts: 32 bytes."""
    names = [value for fact in row.facts for value in fact]
    return hashlib.sha256(identity.framed("custody/parity-row/v1", (kind, *map(str, row.key), *names))).digest()


def compared_record(sealed: SealedRecord, conversation: str) -> Compared:
    """A record, by digests of the bytes that lie there, and by those that were kept with them."""
    return Compared(
        key=(sealed.record_id,),
        conversation=conversation,
        facts=(
            ("envelope", identity.record_digest(sealed.envelope)),
            ("arrival", identity.arrival_digest(sealed.arrival)),
            ("content", hashlib.sha256(sealed.content).digest()),
            ("digests", sealed.record_digest + sealed.arrival_digest),
        ),
        altered=broken_seals(sealed),
    )


def compared_part(part: Mapping[str, object], result: Mapping[str, object] | None, conversation: str) -> Compared:
    """A part by its columns, and the result that counts."""
    ended = result or {}
    return Compared(
        key=(part["record_id"], part["number"]),
        conversation=conversation,
        facts=(
            *((name, _bytes(part[name])) for name in ("media_kind", "mime", "target_id")),
            *((name, _bytes(ended.get(name))) for name in ("state", "reason", "size", "sha256")),
        ),
        blob=_blob(ended),
    )


def compared_target(target: Mapping[str, object]) -> Compared:
    """A target by its columns."""
    state = TargetState.DUE if target["state"] == TargetState.COMMANDED else target["state"]
    names = ("account", "object_kind", "object_id")
    return Compared(
        key=(target["target_id"],),
        conversation=str(target["conversation"]),
        facts=(*((name, _bytes(target[name])) for name in names), ("state", _bytes(state))),
    )


def counting_result(results: Sequence[Mapping[str, object]], fingerprint: object) -> Mapping[str, object] | None:
    """Of a delivery's results, in order, the one that counts: the first that kept the bytes, else the first."""
    own = [one for one in results if one["fingerprint"] == fingerprint]
    kept = (one for one in own if one["state"] == PartState.KEPT)
    return next(kept, own[0] if own else None)


def respects(left: Compared | None, right: Compared | None) -> tuple[str, ...]:
    """In which respects two rows of one key differ; none when they are the same."""
    if left is None:
        return (ONLY_RIGHT,)
    if right is None:
        return (ONLY_LEFT,)
    differing = tuple(_differing(left, right))
    if not differing:
        return ()
    altered = {"altered_left": left.altered, "altered_right": right.altered}
    return (*differing, *(name for name, found in altered.items() if found))


def _differing(left: Compared, right: Compared) -> Iterator[str]:
    for (name, value), (_, other) in zip(left.facts, right.facts, strict=True):
        if value != other:
            yield name


async def merged(
    left: AsyncIterator[T], right: AsyncIterator[T], key: Callable[[T], Key]
) -> AsyncIterator[tuple[T | None, T | None]]:
    """What two streams in the order of their keys have of each key, in that order: both, or one of them and None."""
    ours, theirs = await anext(left, None), await anext(right, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and key(ours) < key(theirs)):
            yield ours, None
            ours = await anext(left, None)
        elif ours is None or key(theirs) < key(ours):
            yield None, theirs
            theirs = await anext(right, None)
        else:
            yield ours, theirs
            ours, theirs = await anext(left, None), await anext(right, None)


def _blob(result: Mapping[str, object]) -> Blob | None:
    place, size, sha256 = result.get("place"), result.get("size"), result.get("sha256")
    if not isinstance(place, str) or not isinstance(size, int) or not isinstance(sha256, bytes):
        return None
    return Blob(place=place, size=size, sha256=sha256)


def _bytes(value: object) -> bytes:
    """A column's value, told apart by its kind."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return b"b" + value
    return (b"n" if isinstance(value, int) else b"s") + str(value).encode("utf-8", "surrogatepass")
