"""How entries lie in the database."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ports import NewEntry
from broker.core.topics import TopicPartition
from broker.log.postgres.rows import Row, entry_at, few_arguments, partition_of, placed, row_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_texts = st.text(st.characters(codec="utf-8"), max_size=9)


def test_a_key_lies_where_any_crc_32_says() -> None:
    """The check value of CRC-32 (0xCBF43926) and two more keys, worked out with other tools (gzip, cksum -o 3)."""
    assert partition_of(b"123456789", 2**32) == 0xCBF43926
    assert partition_of(b"123456789", 8) == 0xCBF43926 % 8 == 6
    assert partition_of(b"", 4) == 0
    assert partition_of(b"a", 2**32) == 0xE8B7BE43


@given(key=st.binary(max_size=50), headers=st.lists(st.tuples(_texts, st.binary(max_size=9))), value=st.binary())
def test_an_entry_comes_back_from_its_row(key: bytes, headers: list[tuple[str, bytes]], value: bytes) -> None:
    new = NewEntry(topic="custody.acme.messages.v1", key=key, headers=tuple(headers), value=value)
    row = row_of(new, [10, 11, 12])
    back = entry_at(TopicPartition(new.topic, row.partition_id - 10), 5, NOON, row.key, row.headers, row.value)
    assert (back.key, back.headers, back.value) == (new.key, new.headers, new.value)
    assert back.partition == partition_of(key, 3)


def test_headers_are_message_pack() -> None:
    new = NewEntry(topic="t", key=b"", headers=(("ce_id", b"\x00"),), value=b"")
    assert row_of(new, [1]).headers == b"\x91\x92\xa5ce_id\xc4\x01\x00"


def test_entries_are_numbered_within_their_partition_in_the_order_they_came() -> None:
    rows = [Row(place, str(number).encode(), b"", b"") for number, place in enumerate([7, 9, 7, 7, 9])]
    ids, counts, places, numbers, keys, _, _ = few_arguments(rows)
    assert (ids, counts) == ([7, 9], [3, 2])
    assert (places, numbers) == ([7, 9, 7, 7, 9], [0, 0, 1, 2, 1])
    assert keys == [b"0", b"1", b"2", b"3", b"4"]
    offsets = [(one[0], one[1]) for one in placed(rows, {7: (100, NOON), 9: (5, NOON)})]
    assert offsets == [(7, 100), (9, 5), (7, 101), (7, 102), (9, 6)]
