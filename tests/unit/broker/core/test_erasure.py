"""The erasure state machine: what facts and receipts make of a target."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from broker.core.erasure import (
    OPEN_STATES,
    RETRY_MOST_SECONDS,
    SETTLED_STATES,
    TargetFacts,
    TargetState,
    due_at,
    receive,
    retry_wait,
    settle,
)
from broker.core.model import ErasureOutcome, ReceiptOutcome
from broker.core.ports import ErasurePolicy
from tests.records import NOON

POLICY = ErasurePolicy(not_before=NOON, erase_after_seconds=60, expires_at=NOON + timedelta(days=7))
COUNTS = st.integers(0, 4)


def facts(state: TargetState = TargetState.WAITING, **changed: int) -> TargetFacts:
    """Facts of one part that is not settled yet, unless changed."""
    counts = {"parts": 1, "kept": 0, "lost": 0, "gone": 0, "witnessed": 0, "commands": 0} | changed
    return TargetFacts(
        state=state,
        parts=counts["parts"],
        kept=counts["kept"],
        lost=counts["lost"],
        gone=counts["gone"],
        witnessed=bool(counts["witnessed"]),
        settled_at=NOON,
        policy=POLICY,
        commands=counts["commands"],
    )


def receipt(outcome: str, *, attempt: int = 1, witnessed: bool = False, wish: float | None = None) -> ReceiptOutcome:
    return ReceiptOutcome(
        target_id="tgt",
        attempt=attempt,
        outcome=outcome,
        evidence="200",
        at=NOON,
        salt=b"",
        witnessed=witnessed,
        retry_after_seconds=UNSET if wish is None else wish,
    )


class TestSettle:
    @pytest.mark.parametrize(
        ("given_facts", "state", "reason"),
        [
            (facts(kept=1), TargetState.DUE, None),
            (facts(parts=2, kept=1, lost=1), TargetState.DUE, None),
            (facts(lost=1), TargetState.RESIDUE, "part_lost"),
            (facts(parts=2, lost=2, gone=1, witnessed=1), TargetState.RESIDUE, "part_lost"),
            (facts(lost=1, gone=1, witnessed=1), TargetState.ALREADY_GONE, "gone"),
            (facts(lost=1, gone=1), TargetState.BLOCKED, "gone_unwitnessed"),
        ],
    )
    def test_settled_parts_settle_their_target(self, given_facts: TargetFacts, state: TargetState, reason: str) -> None:
        decision = settle(given_facts)
        assert decision is not None
        assert (decision.state, decision.reason) == (state, reason)
        assert (decision.due_at is not None) == (state is TargetState.DUE)

    def test_a_target_that_waits_goes_on_waiting(self) -> None:
        assert settle(facts(parts=2, kept=1)) is None

    def test_a_part_that_comes_while_it_is_due_puts_it_back(self) -> None:
        decision = settle(facts(TargetState.DUE, parts=2, kept=1))
        assert decision is not None
        assert decision.state is TargetState.WAITING

    @given(parts=COUNTS, kept=COUNTS, lost=COUNTS, gone=COUNTS, state=st.sampled_from(TargetState))
    def test_nothing_is_due_before_every_part_is_settled_and_one_is_kept(
        self, parts: int, kept: int, lost: int, gone: int, state: TargetState
    ) -> None:
        decision = settle(facts(state, parts=parts, kept=kept, lost=lost, gone=gone))
        if decision is not None and decision.state is TargetState.DUE:
            assert kept
            assert kept + lost >= parts

    @pytest.mark.parametrize("state", sorted(set(TargetState) - {TargetState.WAITING, TargetState.DUE}))
    def test_what_was_commanded_or_settled_is_left_alone(self, state: TargetState) -> None:
        assert settle(facts(state, kept=1, commands=1)) is None
        assert settle(facts(state, lost=1)) is None
        assert settle(facts(state, parts=3, kept=1, lost=1)) is None

    @pytest.mark.parametrize("state", [TargetState.RESIDUE, TargetState.ALREADY_GONE, TargetState.BLOCKED])
    def test_what_was_given_up_and_is_kept_after_all_is_to_be_erased(self, state: TargetState) -> None:
        decision = settle(facts(state, parts=2, kept=1, lost=1))
        assert decision is not None
        assert decision.state is TargetState.DUE

    @pytest.mark.parametrize("state", [TargetState.ERASED, TargetState.EXPIRED, TargetState.COMMANDED])
    def test_what_is_kept_after_all_moves_no_other_target(self, state: TargetState) -> None:
        assert settle(facts(state, kept=1)) is None


class TestDueAt:
    @given(
        age=st.floats(0, 10_000),
        wait=st.floats(0, 10_000),
        life=st.floats(0, 10_000),
    )
    def test_the_minimum_age_holds_and_the_providers_deadline_wins_over_the_wait(
        self, age: float, wait: float, life: float
    ) -> None:
        policy = ErasurePolicy(
            not_before=NOON + timedelta(seconds=age),
            erase_after_seconds=wait,
            expires_at=NOON + timedelta(seconds=life),
        )
        at = due_at(policy, NOON)
        assert at >= policy.not_before
        assert at == policy.not_before or at <= NOON + timedelta(seconds=wait)
        assert at == policy.not_before or at < policy.expires_at


class TestReceive:
    @pytest.mark.parametrize("state", [TargetState.ERASED, TargetState.ALREADY_GONE, TargetState.EXPIRED])
    @pytest.mark.parametrize("outcome", list(ErasureOutcome))
    def test_the_end_is_the_end(self, state: TargetState, outcome: str) -> None:
        assert receive(state, receipt(outcome), commands=1, refused_before=0, now=NOON) is None

    @pytest.mark.parametrize("state", sorted(OPEN_STATES | {TargetState.RESIDUE}))
    def test_erased_is_erased_whenever_it_is_heard(self, state: TargetState) -> None:
        decision = receive(state, receipt(ErasureOutcome.ERASED), commands=1, refused_before=0, now=NOON)
        assert decision is not None
        assert decision.state is TargetState.ERASED

    @pytest.mark.parametrize("outcome", [ErasureOutcome.RETRY, ErasureOutcome.UNANSWERED, ErasureOutcome.BLOCKED])
    @pytest.mark.parametrize("state", sorted(set(TargetState) - {TargetState.COMMANDED}))
    def test_a_failure_heard_late_moves_nothing(self, state: TargetState, outcome: str) -> None:
        assert receive(state, receipt(outcome), commands=1, refused_before=0, now=NOON) is None

    @pytest.mark.parametrize(
        ("attempt", "refused", "witnessed", "state"),
        [
            (1, 0, True, TargetState.ALREADY_GONE),
            (1, 0, False, TargetState.BLOCKED),
            (2, 1, True, TargetState.ALREADY_GONE),
            (2, 1, False, TargetState.BLOCKED),
            (2, 0, False, TargetState.ERASED),
            (5, 3, False, TargetState.ERASED),
        ],
    )
    def test_absent_is_ours_only_after_a_command_nobody_answered(
        self, attempt: int, refused: int, witnessed: bool, state: TargetState
    ) -> None:
        heard = receipt(ErasureOutcome.ABSENT, attempt=attempt, witnessed=witnessed)
        decision = receive(TargetState.COMMANDED, heard, commands=attempt, refused_before=refused, now=NOON)
        assert decision is not None
        assert decision.state is state

    @given(attempt=st.integers(1, 10_000), wish=st.none() | st.floats(0, 100_000))
    def test_waits_double_up_to_a_quarter_of_an_hour_and_heed_the_provider(
        self, attempt: int, wish: float | None
    ) -> None:
        wait = retry_wait(receipt(ErasureOutcome.RETRY, attempt=attempt, wish=wish)).total_seconds()
        assert 2 <= wait <= max(RETRY_MOST_SECONDS, wish or 0) + 1e-6
        assert wait >= (wish or 0) - 1e-6


def test_every_state_is_open_or_settled() -> None:
    assert set(TargetState) == OPEN_STATES | SETTLED_STATES
    assert not OPEN_STATES & SETTLED_STATES
