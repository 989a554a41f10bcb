"""Who reads what: how a group's partitions are shared by its members, and a fetch by its partitions. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A partition that a group reads; `owner` None when it is free."""

    partition_id: int
    topic: str
    stream: str
    partition: int
    owner: UUID | None
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What one member is to do: claims to take, and how many of which to give back when it can."""

    take: tuple[int, ...]
    surplus: tuple[tuple[int, tuple[int, ...]], ...]


def share_claims(me: UUID, members: Mapping[UUID, frozenset[str]], claims: Sequence[Claim]) -> Shares:
    """What `me` is to take and to give back, given every live member with its streams, and every claim.

    The partitions of a topic are shared evenly by the members that may read it, and so are those of all topics that
    the same members may read: no two of them differ by more than one. Everybody computes the same quotas, so that what
    one gives back, the others take. Of what is one too many for all to have alike, who has more keeps more.
    """
    take: list[int] = []
    surplus: list[tuple[int, tuple[int, ...]]] = []
    dealt: dict[frozenset[UUID], Counter[UUID]] = defaultdict(Counter)
    for topic in _topics(claims):
        readers = frozenset(member for member, streams in members.items() if topic[0].stream in streams)
        if me not in readers:
            continue
        quotas = _quotas(readers, topic, dealt[readers])
        dealt[readers].update(quotas)
        mine = tuple(claim.partition_id for claim in topic if claim.owner == me)
        free = [claim.partition_id for claim in topic if claim.owner not in members]
        take += free[: max(0, quotas[me] - len(mine))]
        if len(mine) > quotas[me]:
            surplus.append((len(mine) - quotas[me], mine))
    return Shares(take=tuple(take), surplus=tuple(surplus))


def _topics(claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
    """The claims topic by topic: for every member in the same order."""
    ordered = sorted(claims, key=lambda claim: (claim.topic, claim.partition))
    return (list(topic) for _, topic in groupby(ordered, key=lambda claim: claim.topic))


def _quotas(readers: frozenset[UUID], topic: Sequence[Claim], before: Mapping[UUID, int]) -> Mapping[UUID, int]:
    """How many partitions of a topic each is due, where the topics before it have made so many."""
    owned = Counter(claim.owner for claim in topic)
    each, more = divmod(len(topic), len(readers))
    ranked = sorted(readers, key=lambda reader: (before[reader], -owned[reader], reader))
    return {reader: each + (rank < more) for rank, reader in enumerate(ranked)}


def share_fetch(waiting: Sequence[int], most: int) -> list[int]:
    """How many entries to take of each partition, where so many are waiting: evenly, and `most` in all.

    What one partition has too few for, the others get. With more partitions than `most`, the first ones get one each.
    """
    shares = [0] * len(waiting)
    served = sorted(range(min(len(waiting), most)), key=lambda index: waiting[index])
    left = most
    for rank, index in enumerate(served):
        shares[index] = min(waiting[index], left // (len(served) - rank))
        left -= shares[index]
    return shares
