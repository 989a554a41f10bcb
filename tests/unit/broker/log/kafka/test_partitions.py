from __future__ import annotations

import pytest

from broker.log.kafka import partition_of


@pytest.mark.parametrize(
    ("key", "java"),
    [
        # Source: Kafka's own UtilsTest.java, testMurmur2, 2026-11-23
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_has_the_partition_that_javas_producer_gives_it(key: bytes, java: int) -> None:
    for partitions in (1, 3, 12, 1000):
        assert partition_of(key, partitions) == (java & 0x7FFFFFFF) % partitions


def test_an_empty_key_has_a_partition_too() -> None:
    assert partition_of(b"", 7) in range(7)
