"""What the parser makes can be sealed, and then nothing of it stands in clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from broker.core import codec
from connectors.whatsapp_cloud.parse import parse
from tests.unit.connectors.whatsapp_cloud.parse_samples import SAMPLES, Sample, sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.core.model import Envelope

SHORTEST_SECRET = 5
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@each_sample
def test_a_sealed_sample_reads_back_with_its_bytes(sample: Sample) -> None:
    items = sample.items()
    for item, record in zip(items, sealed(items), strict=True):
        assert codec.decode_record(codec.canonical(record)) == record
        content = codec.item_content(record.content)
        assert isinstance(content.item, msgspec.Raw)
        assert bytes(content.item) == item.raw
        assert content.provider_ids == item.provider_ids
        assert content.identities == tuple(party.identity for party in item.parties)


@each_sample
def test_the_context_of_a_sample_is_sealed_with_it(sample: Sample) -> None:
    items = sample.items()
    for item, record in zip(items, sealed(items), strict=True):
        context = codec.item_content(record.content).context
        assert isinstance(context, msgspec.Raw)
        assert bytes(context) == item.context


@each_sample
def test_nothing_of_a_sample_stands_in_the_envelope(sample: Sample) -> None:
    items = sample.items()
    derived = {word for item in items for word in (*item.native_key, *item.provider_ids, *item.thread)}
    derived |= {party.identity.value for item in items for party in item.parties}
    for record in sealed(items):
        envelope = codec.canonical(record.envelope).decode()
        vocabulary = " ".join(words_in_clear(record.envelope))
        secrets = {word for word in {*derived, *words(sample.body)} if word not in vocabulary}
        assert [word for word in secrets if len(word) >= SHORTEST_SECRET and word in envelope] == []


def words_in_clear(envelope: Envelope) -> Iterator[str]:
    yield from (envelope.account, envelope.provider, envelope.kind, envelope.type, envelope.direction)
    yield from (relation.kind for relation in envelope.relations)
    yield from (party.role for party in envelope.parties)
    yield from (party.identity for party in envelope.parties)
    for part in envelope.parts:
        yield from (part.media_kind, part.mime)
    yield from ("parties", "relations", "objects", "parts", "media")


def words(value: object) -> Iterator[str]:
    """Every text and number in a body, also within JSON in a text."""
    if isinstance(value, dict):
        for one in value.values():
            yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    elif value is not None:
        yield str(value)
        if isinstance(value, str) and value.startswith("{"):
            yield from words(json.loads(value)) if value.endswith("}") and value[1] == '"' else ()


@each_sample
def test_every_part_is_an_object_to_erase(sample: Sample) -> None:
    items = sample.items()
    for item, record in zip(items, sealed(items), strict=True):
        assert len(record.envelope.objects) == len(item.parts)
        assert len(record.arrival.deadlines) == len(item.parts)


@pytest.mark.parametrize("depth", [900, 1_200, 100_000])
def test_a_slice_of_any_depth_is_sealed(depth: int) -> None:
    body = b'{"object":' + b"[" * depth + b"]" * depth + b"}"
    assert sealed([item for change in parse(body) for item in change.items])
