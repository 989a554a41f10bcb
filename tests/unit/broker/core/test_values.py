"""What a value shows of itself, and how one is changed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec import UNSET, UnsetType

from broker.core import model, planned, ports, topics
from broker.core.values import Hidden, Value, replace
from tests.records import Desk

CANARY = b"canary-27821234567"


class Letter(Value, frozen=True, kw_only=True):
    number: int
    data: Hidden[bytes]
    name: Hidden[str] | UnsetType = UNSET
    pages: Hidden[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Envelope:
    number: int


def kinds(of: type[Value]) -> list[type[Value]]:
    return [one for kind in of.__subclasses__() for one in (kind, *kinds(kind))]


def test_what_is_hidden_stands_in_no_repr() -> None:
    assert repr(Letter(number=1, data=CANARY, name="canary", pages=("canary",))) == "Letter(number=1)"


def test_content_stands_in_no_repr_of_a_record() -> None:
    record = Desk(1).text(f'"{CANARY.decode()}"')
    assert CANARY in record.content.data
    assert "canary" not in repr(record)


@pytest.mark.parametrize("kind", kinds(Value), ids=lambda kind: kind.__name__)
def test_every_kind_of_value_can_be_shown(kind: type[Value]) -> None:
    value = kind(**dict.fromkeys(kind.__struct_fields__, None))
    assert repr(value).startswith(f"{kind.__name__}(")


def test_the_kinds_are_those_of_the_core() -> None:
    assert {model.Record, planned.RecordRow, ports.LogEntry, topics.TopicPartition} <= set(kinds(Value))


def test_a_value_and_a_dataclass_are_changed_alike() -> None:
    letter = Letter(number=1, data=CANARY)
    assert replace(letter, number=2) == Letter(number=2, data=CANARY)
    assert letter.number == 1
    assert replace(Envelope(1), number=2) == Envelope(2)


def test_a_value_is_never_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Letter(number=1, data=CANARY).number = 2  # type: ignore[misc]
