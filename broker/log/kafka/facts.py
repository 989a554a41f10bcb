"""What is known of a cluster and its topics: gathered by `admin`, judged by `planning` and `findings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OFFSETS_TOPIC = "__consumer_offsets"
"""Where the cluster keeps how far each group has read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFacts:
    """One partition: its leader (None while it has none), and the brokers that have it, those in sync apart."""

    number: int
    leader: int | None
    replicas: tuple[int, ...]
    insync: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """A topic as it is. `settings` are the values in force, none where the cluster refuses to tell.

    `own` names those that are set on the topic itself.
    """

    name: str
    partitions: tuple[PartitionFacts, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    @property
    def replication(self) -> int:
        """Replicas of the partition that has the fewest."""
        return min((len(one.replicas) for one in self.partitions), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """A cluster as it is.

    `brokers` are its brokers' settings by broker id; None where the cluster refuses to tell. `offsets`: the topic of
    the groups' offsets, None while no group ever committed, or it is not shown to us.
    """

    brokers: Mapping[int, Mapping[str, str] | None]
    topics: Mapping[str, TopicFacts]
    offsets: TopicFacts | None = None
