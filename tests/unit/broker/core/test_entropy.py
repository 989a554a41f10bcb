"""A seeded source: the same bytes for the same thing, in whatever order and process it is asked."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.entropy import SeededEntropy, drawn
from broker.core.intake import new_delivery_id

if TYPE_CHECKING:
    from collections.abc import MutableSequence

names = st.lists(st.text() | st.binary(), max_size=3).map(tuple)


class Backwards(random.Random):
    """Shuffles by turning round."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        x.reverse()


def _plain(about: tuple[str | bytes, ...]) -> list[bytes]:
    """What is asked about: text and its bytes are one name, and so share one series of fresh bytes."""
    return [piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece for piece in about]


@example(asked=[(("a",), True), ((b"a",), True)], seed=0, shuffle=Backwards())
@given(asked=st.lists(st.tuples(names, st.booleans()), max_size=20), seed=st.integers(), shuffle=st.randoms())
def test_the_order_of_asking_does_not_matter(
    asked: list[tuple[tuple[str | bytes, ...], bool]], seed: int, shuffle: random.Random
) -> None:
    first, other = SeededEntropy(seed), SeededEntropy(seed)
    again = list(asked)
    shuffle.shuffle(again)
    bytes_of = sorted((_plain(about), drawn(first, 32, *about, fresh=fresh)) for about, fresh in asked)
    assert bytes_of == sorted((_plain(about), drawn(other, 32, *about, fresh=fresh)) for about, fresh in again)


@given(one=names, two=names)
def test_two_things_two_seeds_and_two_kinds_of_asking_get_different_bytes(
    one: tuple[str | bytes, ...], two: tuple[str | bytes, ...]
) -> None:
    source = SeededEntropy(1)
    assert (drawn(source, 32, *one) == drawn(source, 32, *two)) is (_plain(one) == _plain(two))
    assert drawn(source, 32, *one) != drawn(SeededEntropy(2), 32, *one)
    assert drawn(source, 32, *one, fresh=True) != drawn(source, 32, *one)


def test_fresh_bytes_are_others_each_time_and_the_same_series_again() -> None:
    series = [[drawn(source, 16, "a body", fresh=True) for _ in range(5)] for source in map(SeededEntropy, (7, 7))]
    assert series[0] == series[1]
    assert len(set(series[0])) == 5
    source = SeededEntropy(7)
    assert len({source(8) for _ in range(100)}) == 100
    assert [new_delivery_id(SeededEntropy(7), b"a body") for _ in range(2)] == [new_delivery_id(source, b"a body")] * 2


def test_what_is_remembered_is_bounded() -> None:
    source = SeededEntropy(7)
    for number in range(20_000):
        drawn(source, 4, "delivery", str(number), fresh=True)
    assert len(source._asked) == 10_000


def test_the_systems_source_is_asked_as_ever() -> None:
    assert len(drawn(secrets.token_bytes, 32, "a record")) == 32
    assert drawn(secrets.token_bytes, 32, "a record") != drawn(secrets.token_bytes, 32, "a record")


def test_the_seed_is_not_shown() -> None:
    assert "4711" not in repr(SeededEntropy(4711))
