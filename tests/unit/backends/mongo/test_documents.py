"""Rows as MongoDB's documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.mongo.documents import ID_OF, dead_id, documents_of, micros, of_tenant, place_id, row_of, time_of
from broker.core import rows
from broker.core.errors import UnstorableError
from broker.core.tables import TABLES
from broker.core.topics import TopicPartition

PLACE = TopicPartition("custody.acme.messages.v1", 3)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_time_comes_back_to_the_microsecond_and_is_a_long(at: datetime) -> None:
    (found,) = bson.decode(bson.encode({"at": micros(at)})).values()
    assert type(found) is bson.Int64
    assert time_of(found) == at


def test_the_ids_of_places_are_those_of_their_documents() -> None:
    row = {"tenant": "acme", "log": "a/b", "topic": PLACE.topic, "partition": PLACE.partition, "log_offset": 42}
    assert place_id("a/b", PLACE) == ID_OF["progress"](row) == "acme/a/b/custody.acme.messages.v1/000003"
    assert dead_id("a/b", (PLACE, 42)) == ID_OF["dead_letters"](row)


def test_every_table_has_an_id_that_begins_with_its_tenant() -> None:
    assert ID_OF.keys() == {table.name for table in TABLES}
    for table in TABLES:
        row = {**dict.fromkeys(table.columns, 1), "tenant": "acme", "topic": PLACE.topic}
        assert of_tenant("acme")["$gte"] < ID_OF[table.name](row) < of_tenant("acme")["$lt"]


def test_no_other_tenants_ids_are_within_a_tenants() -> None:
    ids = of_tenant("acme")
    for other in ("acm", "acme-life", "acme0", "acmf"):
        assert not ids["$gte"] <= f"{other}/rec_1" < ids["$lt"]


def test_numbers_of_one_part_are_in_order_as_text() -> None:
    made = [ID_OF["part_results"]({"tenant": "a", "origin_id": "r", "number": 1, "result_number": n}) for n in (9, 10)]
    assert made == sorted(made)


def test_a_document_has_the_columns_of_its_row_and_reads_back() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC) + timedelta(microseconds=1)
    (document,) = documents_of("gaps", rows.GAP_COLUMNS, [("acme", "rec_1", "dead", "acc", at)], state="open")
    assert document == {
        "_id": "acme/rec_1",
        "tenant": "acme",
        "record_id": "rec_1",
        "cause": "dead",
        "account": "acc",
        "received_at": micros(at),
        "state": "open",
    }
    assert row_of(document)["received_at"] == at


def test_a_nul_in_a_text_is_refused_without_a_word_of_it() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    with pytest.raises(UnstorableError) as caught:
        documents_of("gaps", rows.GAP_COLUMNS, [("acme", "rec_1", "secret\0", "acc", at)])
    assert "secret" not in str(caught.value)
