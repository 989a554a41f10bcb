"""Who reads what: how a group's partitions are shared by its members, and a fetch by its partitions. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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

    Partitions that the same members may read form a pool, shared evenly: no two of them differ by more than one.
    Everybody computes the same quotas, so that what one gives back, the others take. Who has more keeps more, and
    nothing moves without need.
    """
    take: list[int] = []
    surplus: list[tuple[int, tuple[int, ...]]] = []
    for readers, pool in _pools(members, claims).items():
        if me not in readers:
            continue
        mine = tuple(claim.partition_id for claim in pool if claim.owner == me)
        free = [claim.partition_id for claim in pool if claim.owner not in members]
        quota = _quotas(readers, pool)[me]
        take += free[: max(0, quota - len(mine))]
        if len(mine) > quota:
            surplus.append((len(mine) - quota, mine))
    return Shares(take=tuple(take), surplus=tuple(surplus))


def _pools(
    members: Mapping[UUID, frozenset[str]], claims: Sequence[Claim]
) -> Mapping[frozenset[UUID], Sequence[Claim]]:
    pools: dict[frozenset[UUID], list[Claim]] = defaultdict(list)
    for claim in claims:
        pools[frozenset(member for member, streams in members.items() if claim.stream in streams)].append(claim)
    return pools


def _quotas(readers: frozenset[UUID], pool: Sequence[Claim]) -> Mapping[UUID, int]:
    owned = {reader: sum(claim.owner == reader for claim in pool) for reader in readers}
    each, more = divmod(len(pool), len(readers))
    ranked = sorted(readers, key=lambda reader: (-owned[reader], reader))
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
