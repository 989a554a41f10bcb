"""Which result of a part counts, whose bytes serve whom, and what is known of a target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from broker.core.ports import ErasurePolicy
from broker.core.standing import Ending, Standing, counting, sharing, target_facts

AT = datetime(2026, 11, 26, tzinfo=UTC)
POLICY = ErasurePolicy(not_before=AT, erase_after_seconds=0, expires_at=AT)


def ending(order: int, state: str = "kept", reason: str | None = None, *, witnessed: bool = False) -> Ending:
    at = AT + timedelta(seconds=order)
    return Ending(order=order, state=state, reason=reason, witnessed=witnessed, shared=False, kept_at=at)


def part(number: int, found: Ending | None) -> Standing:
    return Standing(
        tenant="acme",
        record_id=f"rec_{number}",
        number=1,
        media_kind="image",
        origin_id=f"rec_{number}",
        fingerprint=b"",
        target_id="tgt_1",
        named_at=AT,
        ending=found,
    )


def test_the_first_that_kept_the_bytes_counts_else_the_first() -> None:
    lost, kept, again = ending(1, "lost", "gone"), ending(2), ending(3)
    for some in permutations([lost, kept, again]):
        assert counting(some) == kept
    assert counting([ending(4, "lost", "expired"), lost]) == lost
    assert counting([]) is None


@pytest.mark.parametrize(("reason", "is_made_good"), [("gone", True), ("expired", True), ("too_large", False)])
def test_the_oldest_bytes_serve_whom_the_object_was_lost_for(reason: str, is_made_good: bool) -> None:
    parts = [part(1, ending(5)), part(2, None), part(3, ending(2)), part(4, ending(1, "lost", reason))]
    source, lacking = sharing(parts)
    assert source == parts[2].ending
    assert lacking == [parts[1], parts[3]] if is_made_good else [parts[1]]


def test_without_bytes_there_is_nothing_to_share() -> None:
    assert sharing([part(1, None), part(2, ending(1, "lost", "gone"))]) == (None, [])


def test_the_facts_of_a_target() -> None:
    parts = [
        part(1, ending(3)),
        part(2, None),
        part(3, ending(7, "lost", "gone", witnessed=True)),
        part(4, ending(1, "lost", "too_large", witnessed=True)),
    ]
    facts = target_facts(parts, state="waiting", policy=POLICY, commands=2)
    assert facts is not None
    assert (facts.parts, facts.kept, facts.lost, facts.gone, facts.witnessed) == (4, 1, 2, 1, True)
    assert (facts.settled_at, facts.commands) == (AT + timedelta(seconds=7), 2)
    assert target_facts([], state="waiting", policy=POLICY, commands=0) is None
