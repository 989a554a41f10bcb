"""Which partition a key has."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

_POSITIVE = 0x7FFFFFFF


@lru_cache(maxsize=2**15)
def _hash(key: bytes) -> int:
    """Kafka's own hash. In Python it costs more than the rest of an append; conversations come again and again."""
    return int(murmur2(key)) & _POSITIVE


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own producers choose for this key, so that others may write to our topics.

    Source: https://kafka.apache.org/documentation/#producerconfigs_partitioner.class, 2026-11-23
    """
    return _hash(key) % partitions
