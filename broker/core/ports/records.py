"""The record store: Postgres, MongoDB, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from broker.core.model import Record
    from broker.core.ports.stored import (
        Adoption,
        Answer,
        Arrived,
        ClaimedTarget,
        DeadEntry,
        KeptPart,
        KeptRecord,
        KeptTarget,
        Loss,
        OpenGap,
        Progress,
        SealedRecord,
        Tally,
        UnkeptPart,
    )
    from broker.core.topics import TopicPartition


class RecordStore(Protocol):
    """The PAS's records: Postgres, MongoDB, memory."""

    async def keep(self, batch: Sequence[Arrived]) -> Sequence[Answer]:
        """Keeps a batch in one transaction, progress included; an answer for each entry, in order.

        Within a partition the batch's entries are in order and without holes. Below progress an entry is a replay.
        `OffsetGapError`: nothing was written. `UnstorableError`: nothing was written; one entry of the batch is at
        fault.
        `StoreUnavailableError`: nothing was written, or all of it; keep the same batch again.
        """
        ...

    async def keep_act(self, record: Record) -> None:
        """Keeps what an operator did: a record without a place in the log."""
        ...

    async def accept_loss(self, loss: Loss, gap: Record) -> None:
        """Moves progress past entries that the log lost, counts them as lost and keeps the gap record that says so.

        One transaction. The same loss again changes nothing. `LossRefusedError`: progress is not at its first offset;
        nothing was written.
        """
        ...

    async def adopt(self, adoption: Adoption) -> None:
        """Lets a log take another one's place, in one transaction; the same again changes nothing.

        `AdoptionRefusedError`: the store did not keep this tenant from that log, or a third has taken its place.
        """
        ...

    async def other_logs(self, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """By topic: other logs it was kept from, and that none has taken the place of."""
        ...

    async def progress(self, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
        """How far the store is in a log's partitions; partitions it never saw are left out."""
        ...

    async def claim_due(self, *, now: datetime, limit: int, lease: timedelta) -> Sequence[ClaimedTarget]:
        """Claims targets that are due (or whose lease is over), each for `lease`, and counts the attempt.

        Also moves residue past its day to `expired`, which is all that a `limit` of 0 does.
        """
        ...

    async def record(self, tenant: str, record_id: str) -> KeptRecord | None:
        """One record, or None."""
        ...

    async def conversation(
        self, tenant: str, conversation: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[KeptRecord]:
        """A conversation's records in the order they were kept, without the first `after` of them."""
        ...

    def records(self, tenant: str) -> AsyncIterator[KeptRecord]:
        """Every record of a tenant, streamed in bounded memory."""
        ...

    def sealed(self, tenant: str) -> AsyncIterator[SealedRecord]:
        """Every row of a tenant, its bytes as they lie there, streamed: for whoever hashes them again."""
        ...

    def kept_parts(self, tenant: str) -> AsyncIterator[KeptPart]:
        """Every part whose bytes are kept, streamed."""
        ...

    def unkept_parts(self, tenant: str) -> AsyncIterator[UnkeptPart]:
        """Every part whose bytes are not kept, streamed."""
        ...

    def targets(self, tenant: str) -> AsyncIterator[KeptTarget]:
        """Every target of a tenant, streamed: what the account of the provider's side is held against."""
        ...

    async def unblock(self, tenant: str, target_ids: Sequence[str]) -> int:
        """Puts blocked targets back to `due`, after a person saw to the cause; how many there were."""
        ...

    async def accept_gone(self, tenant: str, target_ids: Sequence[str]) -> int:
        """Moves blocked targets to `already_gone`, on a person's word; how many there were.

        A target that is not blocked stays, and so does one with a part of which it is not known how it ended.
        """
        ...

    async def dead_letters(self, tenant: str | None = None, *, settled: bool = False) -> Sequence[DeadEntry]:
        """Dead letters, oldest first; the settled ones too when asked."""
        ...

    def gaps(self, tenant: str) -> AsyncIterator[OpenGap]:
        """Every open gap of a tenant, by cause and then oldest first, streamed; the derived ones among them."""
        ...

    async def tally(self, tenant: str, log: str, *, buckets: bool = False) -> Tally:
        """The store's side of the account, in one snapshot."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers and its schema is known."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
