"""A member of a group: alive by a lease, owner of partitions by claims. All times are the server's.

A claim passes to another member when its owner gives it back, or when the owner's lease is over. The new owner takes
it under a new epoch, and a commit names the epoch it works under: what a former owner commits late moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from broker.core.topics import TopicPartition
from broker.log.postgres.errors import guarded
from broker.log.postgres.queries import queries
from broker.log.postgres.sharing import Claim, Shares, share_claims

if TYPE_CHECKING:
    from broker.log.postgres.connections import Connection, Connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a partition may be read from."""

    committed: int | None
    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a member owns after a look at its group, and what it is asked to give back when it can."""

    owned: Mapping[int, tuple[TopicPartition, int]] = field(default_factory=dict)
    surplus: Sequence[tuple[int, Sequence[int]]] = ()


class Membership:
    """The database's side of one member. It remembers nothing but who it is."""

    def __init__(
        self,
        connections: Connections,
        *,
        group_id: int,
        streams: Sequence[str],
        lease_seconds: float,
    ) -> None:
        self._connections = connections
        self.group_id = group_id
        self.member_id: UUID = uuid4()
        self._streams = list(streams)
        self._lease_seconds = lease_seconds

    @guarded("renewing a lease")
    async def renew(self) -> bool:
        """Keeps the membership alive; False when it has ended, so that it is to be entered again."""
        async with self._connections.borrow() as connection:
            found = await connection.fetchval(
                queries()["renew_lease"], self.group_id, self.member_id, self._lease_seconds
            )
        return found is not None

    @guarded("sharing partitions")
    async def look(self, *, expel: bool) -> Standing:
        """Renews the lease, takes what is free and due to this member, and tells where it stands.

        `expel` ends memberships whose lease is over.
        """
        async with self._connections.borrow() as connection, connection.transaction():
            await connection.execute(queries()["lock_group"], self.group_id)
            await connection.execute(
                queries()["enter_member"], self.group_id, self.member_id, self._streams, self._lease_seconds
            )
            if expel:
                await connection.execute(queries()["expel_members"], self.group_id)
            await connection.execute(queries()["add_claims"], self.group_id, self._streams)
            claims = await self._claims(connection)
            shares = share_claims(self.member_id, await self._members(connection), claims)
            taken = await self._take(connection, shares)
        return self._standing(claims, shares, taken)

    @guarded("giving partitions back")
    async def give(self, partition_ids: Sequence[int]) -> None:
        """Gives claims back that nothing is in hand of."""
        async with self._connections.borrow() as connection:
            await connection.execute(queries()["give_claims"], self.group_id, list(partition_ids), self.member_id)

    @guarded("leaving a group")
    async def leave(self) -> None:
        """Ends the membership and gives everything back."""
        async with self._connections.borrow() as connection:
            await connection.execute(queries()["leave_group"], self.group_id, self.member_id)

    @guarded("reading committed offsets")
    async def starts(self, partition_ids: Sequence[int]) -> Mapping[int, Start]:
        """Where the group stands in these partitions."""
        async with self._connections.borrow() as connection:
            rows = await connection.fetch(queries()["starts"], self.group_id, list(partition_ids))
        return {
            partition_id: Start(committed=committed, first=first, end=end)
            for partition_id, committed, first, end in rows
        }

    @guarded("committing offsets")
    async def commit(self, moves: Sequence[tuple[int, int, int]]) -> bool:
        """Moves (partition id, epoch, next offset) of each, or of none: False when one of them was lost."""
        ids, epochs, offsets = map(list, zip(*moves, strict=True))
        async with self._connections.borrow() as connection:
            status = await connection.execute(queries()["commit"], self.group_id, self.member_id, ids, epochs, offsets)
        return status == f"UPDATE {len(moves)}"

    async def _claims(self, connection: Connection) -> Sequence[Claim]:
        rows = await connection.fetch(queries()["list_claims"], self.group_id)
        return [
            Claim(
                partition_id=partition_id,
                topic=topic,
                stream=stream,
                partition=partition,
                owner=owner,
                epoch=epoch,
            )
            for partition_id, topic, stream, partition, owner, epoch in rows
        ]

    async def _members(self, connection: Connection) -> Mapping[UUID, frozenset[str]]:
        rows = await connection.fetch(queries()["list_members"], self.group_id)
        return {member_id: frozenset(streams) for member_id, streams in rows}

    async def _take(self, connection: Connection, shares: Shares) -> Mapping[int, int]:
        if not shares.take:
            return {}
        rows = await connection.fetch(queries()["take_claims"], self.group_id, list(shares.take), self.member_id)
        return dict(map(tuple, rows))

    def _standing(self, claims: Sequence[Claim], shares: Shares, taken: Mapping[int, int]) -> Standing:
        owned = {
            claim.partition_id: (
                TopicPartition(claim.topic, claim.partition),
                taken.get(claim.partition_id, claim.epoch),
            )
            for claim in claims
            if claim.owner == self.member_id or claim.partition_id in taken
        }
        return Standing(owned=owned, surplus=shares.surplus)


@guarded("joining a group")
async def find_group(connections: Connections, group: str) -> int:
    """The id of a group, made if it is new."""
    async with connections.borrow() as connection:
        await connection.execute(queries()["join_group"], group)
        group_id: int = await connection.fetchval(queries()["find_group"], group)
    return group_id
