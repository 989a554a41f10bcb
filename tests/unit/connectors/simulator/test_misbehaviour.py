from __future__ import annotations

import pytest

from connectors.simulator import ConfigError, Misbehaviour
from connectors.simulator.misbehaviour import Draws, fraction


def test_the_same_seed_strikes_the_same_keys() -> None:
    one = Draws(seed=3, misbehaviour=Misbehaviour(lost=0.5))
    two = Draws(seed=3, misbehaviour=Misbehaviour(lost=0.5))
    keys = [str(number) for number in range(200)]

    assert [one.strikes("lost", key) for key in keys] == [two.strikes("lost", key) for key in keys]


def test_a_probability_strikes_about_that_often() -> None:
    draws = Draws(seed=1, misbehaviour=Misbehaviour(lost=0.2))

    struck = sum(draws.strikes("lost", str(number)) for number in range(5_000))

    assert 850 < struck < 1_150
    assert draws.struck["lost"] == struck


def test_what_is_switched_off_never_strikes_and_counts_nothing() -> None:
    draws = Draws(seed=1, misbehaviour=Misbehaviour())

    assert not any(draws.strikes_again("throttled", "same") for _ in range(100))
    assert not draws.struck


def test_each_attempt_on_a_key_is_a_draw_of_its_own() -> None:
    draws = Draws(seed=1, misbehaviour=Misbehaviour(throttled=0.5))

    assert {draws.strikes_again("throttled", "same") for _ in range(50)} == {True, False}


def test_certain_misbehaviour_always_strikes() -> None:
    draws = Draws(seed=1, misbehaviour=Misbehaviour(variant=1.0))

    assert all(draws.strikes("variant", str(number)) for number in range(100))


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_probability_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="lost"):
        Misbehaviour(lost=value)


def test_changes_name_what_there_is() -> None:
    assert Misbehaviour(lost=0.5).changed({"slow": 1}) == Misbehaviour(lost=0.5, slow=1.0)
    with pytest.raises(ConfigError, match="no misbehaviour is called rudeness"):
        Misbehaviour().changed({"rudeness": 1})
    with pytest.raises(ConfigError, match="not a number"):
        Misbehaviour().changed({"slow": True})


def test_fractions_take_any_text() -> None:
    assert 0.0 <= fraction(1, "\ud83d", "\x00") < 1.0
