"""The settings of a topic, as Custody wants them: what `create_topics` asks for and what `topics plan` compares with.

Source: https://kafka.apache.org/documentation/#topicconfigs, 2026-11-23.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.topics import TopicSpec
    from broker.log.kafka.options import KafkaLogOptions

FOREVER = "-1"
"""`retention.ms` and `retention.bytes` of a topic whose entries stay until they are trimmed."""

_BATCH_HEADROOM_BYTES = 16 * 2**10
_INCOMPRESSIBLE_PART = 128
_SEGMENT_MS = 24 * 3600 * 1000


def topic_config(spec: TopicSpec, options: KafkaLogOptions) -> dict[str, str]:
    """Every setting that a promise depends on, by Kafka's own name, with the value as Kafka spells it.

    - `min.insync.replicas`: an append returns once so many replicas have the entry.
    - `unclean.leader.election.enable`: a replica that lags behind never becomes the leader, which would lose entries.
    - `cleanup.policy`, `retention.ms`, `retention.bytes`: entries go by age alone; neither a newer entry of the same
      key nor a full partition takes one away.
    - `segment.ms`: what is past its retention, or trimmed, leaves the disk a day later at most; by default a partition
      with little traffic would hold it for a week.
    - `message.timestamp.type`: an entry's time is the log's own.
    - `max.message.bytes`: takes a batch of one entry of `entry_bytes`.
    - `compression.type`: batches stay as the producer packed them.
    """
    retention_ms = FOREVER if spec.retention_seconds is None else str(spec.retention_seconds * 1000)
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(batch_bytes(options.entry_bytes)),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(options.min_insync),
        "retention.bytes": FOREVER,
        "retention.ms": retention_ms,
        "segment.ms": str(_SEGMENT_MS),
        "unclean.leader.election.enable": "false",
    }


def batch_bytes(entry_bytes: int) -> int:
    """The most that a batch of one entry of this size has on the wire: with its framing, and compressed in vain."""
    return entry_bytes + entry_bytes // _INCOMPRESSIBLE_PART + _BATCH_HEADROOM_BYTES
