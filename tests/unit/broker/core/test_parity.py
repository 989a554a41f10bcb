"""Parity, purely: differences found are exactly those that were made."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from broker.core.parity import (
    Compared,
    Root,
    compared_part,
    compared_record,
    compared_target,
    counting_result,
    merged,
    respects,
)
from broker.core.plan import record_row
from broker.core.ports import SealedRecord
from broker.core.seals import broken_seals
from tests.records import NOON, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

KEYS = st.tuples(st.text("ab\U0001f600é", max_size=3), st.integers(0, 3))
FACTS = st.tuples(st.binary(max_size=2), st.binary(max_size=2))
ROWS = st.dictionaries(KEYS, FACTS, max_size=8)


def rows_of(facts: dict[tuple[str, int], tuple[bytes, bytes]]) -> list[Compared]:
    return [
        Compared(key=key, conversation="cnv", facts=(("one", one), ("two", two)))
        for key, (one, two) in sorted(facts.items())
    ]


async def stream(rows: Iterable[Compared]) -> AsyncIterator[Compared]:
    for one in rows:
        yield one


async def differences(left: list[Compared], right: list[Compared]) -> dict[object, tuple[str, ...]]:
    return {
        (ours or theirs).key: what  # type: ignore[union-attr]
        async for ours, theirs in merged(stream(left), stream(right), lambda one: one.key)
        if (what := respects(ours, theirs))
    }


def root(rows: Iterable[Compared]) -> Root:
    found = Root()
    for one in rows:
        found = found.over("records", one)
    return found


@given(left=ROWS, right=ROWS)
def test_the_differences_found_are_exactly_those_that_were_made(
    left: dict[tuple[str, int], tuple[bytes, bytes]], right: dict[tuple[str, int], tuple[bytes, bytes]]
) -> None:
    expected: dict[tuple[str, int], tuple[str, ...]] = dict.fromkeys(left.keys() - right.keys(), ("only_left",))
    expected |= dict.fromkeys(right.keys() - left.keys(), ("only_right",))
    for key in left.keys() & right.keys():
        differing = tuple(
            name for name, ours, theirs in zip(("one", "two"), left[key], right[key], strict=True) if ours != theirs
        )
        expected |= {key: differing} if differing else {}
    found = asyncio.run(differences(rows_of(left), rows_of(right)))
    assert found == expected
    assert list(found) == sorted(expected)
    assert (root(rows_of(left)) == root(rows_of(right))) == (not expected)


@given(facts=ROWS, data=st.data())
def test_a_root_goes_on_from_where_it_was_left(
    facts: dict[tuple[str, int], tuple[bytes, bytes]], data: st.DataObject
) -> None:
    rows = rows_of(facts)
    at = data.draw(st.integers(0, len(rows)))
    again = root(rows[:at])
    again = Root(digest=again.digest, rows=again.rows)
    for one in rows[at:]:
        again = again.over("records", one)
    assert again == root(rows)
    assert again.rows == len(rows)


def test_rows_that_change_places_and_kinds_give_another_root() -> None:
    one, two = rows_of({("a", 1): (b"", b"x"), ("a", 2): (b"x", b"")})
    assert root([one, two]) != root([two, one])
    assert Root().over("records", one) != Root().over("parts", one)
    assert Root().over("records", one) != Root().over("records", replace(one, facts=(("one", b"x"), ("two", b""))))


def sealed(seed: int = 1) -> SealedRecord:
    record = Desk(seed).text('"Good morning"')
    row = record_row(
        record, record_id=record.envelope.record_id, variant_of=None, worker_made=False, keep_seq=1, kept_at=NOON
    )
    return SealedRecord(
        tenant=record.envelope.tenant,
        record_id=row.record_id,
        envelope=row.envelope,
        arrival=row.arrival,
        content=record.content.data,
        record_digest=row.record_digest,
        arrival_digest=row.arrival_digest,
    )


def test_a_record_is_compared_by_its_own_bytes_and_the_altered_side_is_named() -> None:
    kept = sealed()
    altered = replace(kept, content=kept.content.replace(b"Good", b"Food"))
    assert broken_seals(altered) == ("content",)
    ours, theirs = compared_record(kept, "cnv"), compared_record(altered, "cnv")
    assert respects(ours, compared_record(kept, "cnv")) == ()
    assert respects(ours, theirs) == ("content", "altered_right")
    assert respects(theirs, ours) == ("content", "altered_left")


def test_bytes_and_digest_altered_together_are_found_by_the_other_store() -> None:
    kept = sealed()
    envelope = kept.envelope.replace(b"text", b"tent")
    digest = hashlib.sha256(b"custody/record/v1\0" + envelope).digest()
    found = respects(
        compared_record(kept, "cnv"), compared_record(replace(kept, envelope=envelope, record_digest=digest), "cnv")
    )
    assert found == ("envelope", "digests")


def test_a_claim_is_a_lease_and_a_reason_is_not_compared() -> None:
    target = {
        "target_id": "tgt",
        "account": "1",
        "object_kind": "media",
        "object_id": b"5",
        "conversation": "cnv",
        "state": "due",
        "reason": "part_lost",
    }
    due = compared_target(target)
    assert respects(due, compared_target(target | {"state": "commanded", "reason": None})) == ()
    assert respects(due, compared_target(target | {"state": "erased"})) == ("state",)
    assert respects(due, compared_target(target | {"object_id": b"6"})) == ("object_id",)


def test_a_part_is_compared_with_the_result_that_counts() -> None:
    part = {"record_id": "rec", "number": 1, "media_kind": "image", "mime": "image/png", "target_id": "tgt"}
    lost = {"fingerprint": b"f", "state": "lost", "reason": "gone", "size": None, "sha256": None, "place": None}
    kept = {"fingerprint": b"f", "state": "kept", "reason": None, "size": 3, "sha256": b"s" * 32, "place": "a/rec/1"}
    others = {**kept, "fingerprint": b"g"}
    assert counting_result([], b"f") is None
    assert counting_result([others, lost], b"f") is lost
    assert counting_result([lost, kept, {**kept, "size": 4}], b"f") is kept
    open_part, lost_part, kept_part = [compared_part(part, one, "cnv") for one in (None, lost, kept)]
    assert respects(open_part, lost_part) == ("state", "reason")
    assert respects(lost_part, kept_part) == ("state", "reason", "size", "sha256")
    assert kept_part.blob is not None
    assert (lost_part.blob, kept_part.blob.place) == (None, "a/rec/1")
    moved = compared_part(part, {**kept, "place": "elsewhere", "version": "7", "kept_at": NOON, "shared": True}, "cnv")
    assert respects(kept_part, moved) == ()
