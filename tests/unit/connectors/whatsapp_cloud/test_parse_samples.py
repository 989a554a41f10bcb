"""What each sample is parsed to, from a table that people can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from broker.core.model import Kind
from connectors.whatsapp_cloud.parse import parse
from tests.unit.connectors.whatsapp_cloud.parse_samples import SAMPLES, Sample, elements, reported

if TYPE_CHECKING:
    from broker.core.item import Item

KNOWN_ANSWERS = Path(__file__).with_name("test_parse_known_answers.tsv")
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def answer(item: Item) -> str:
    parties = [f"{one.role} {one.identity.kind} {one.identity.value}" for one in item.parties]
    relations = [f"{one.kind} {one.target_kind} {' '.join(one.native_key)}" for one in item.relations]
    parts = [f"{one.media_kind} {one.mime} {one.object_id}" for one in item.parts]
    columns = (
        f"{item.kind}/{item.type}",
        item.direction,
        " ".join(item.thread),
        item.occurred_at.isoformat() if item.occurred_at else "",
        *(", ".join(words) for words in (parties, relations, parts)),
    )
    return "\t".join(column or "-" for column in columns)


def known_answers() -> dict[str, list[str]]:
    answers: dict[str, list[str]] = {}
    for line in KNOWN_ANSWERS.read_text().splitlines()[1:]:
        name, columns = line.split("\t", 1)
        answers.setdefault(name, []).append(columns)
    return answers


ANSWERS = known_answers()


@each_sample
def test_a_sample_gives_the_known_answers(sample: Sample) -> None:
    assert [answer(item) for item in sample.items()] == ANSWERS[sample.name]


def test_the_table_names_no_sample_that_is_gone() -> None:
    assert set(ANSWERS) == {sample.name for sample in SAMPLES}


@each_sample
def test_every_element_of_every_array_and_every_change_without_one_is_an_item(sample: Sample) -> None:
    assert len(reported(sample.items())) == len(elements(sample.body))


@each_sample
def test_an_item_holds_the_bytes_of_its_element(sample: Sample) -> None:
    assert [json.loads(item.raw) for item in reported(sample.items())] == elements(sample.body)
    assert all(item.raw in sample.data for item in reported(sample.items()))


@each_sample
def test_a_change_says_whose_it_is(sample: Sample) -> None:
    for change, (entry, value) in zip(parse(sample.data), entries_and_values(sample), strict=True):
        metadata = value.get("metadata") or value.get("recipient") or {}
        assert change.account == metadata.get("phone_number_id")
        assert change.account_group == entry["id"]


def entries_and_values(sample: Sample) -> list[tuple[dict[str, str], dict[str, dict[str, str]]]]:
    return [(entry, change["value"]) for entry in sample.body["entry"] for change in entry["changes"]]


@each_sample
def test_the_body_of_a_change_gives_that_change_again(sample: Sample) -> None:
    for change in parse(sample.data):
        (again,) = parse(change.body)
        assert again == change


@each_sample
def test_spaces_in_a_body_change_no_item_but_in_its_bytes(sample: Sample) -> None:
    spaced = [item for change in parse(json.dumps(sample.body, indent=1).encode()) for item in change.items]
    assert [answer(item) for item in spaced] == ANSWERS[sample.name]
    assert [item.counted for item in spaced if item.kind != Kind.GAP] == [
        item.counted for item in sample.items() if item.kind != Kind.GAP
    ]


@each_sample
def test_the_context_holds_no_other_item(sample: Sample) -> None:
    items = reported(sample.items())
    for item in items:
        assert item.context is not None
        assert not any(other.raw in item.context for other in items)


@each_sample
def test_types_and_mime_types_come_from_closed_sets(sample: Sample) -> None:
    for item in sample.items():
        words = (item.type, *(part.media_kind for part in item.parts), *(part.mime for part in item.parts))
        assert all(word.isascii() and word == word.lower() and " " not in word for word in words)
