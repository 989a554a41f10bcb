"""How a Postgres log is to behave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresLogOptions:
    """The defaults suit one machine; the tests shorten the waits.

    Attributes:
        pool_size: connections that reads, commits and memberships share. Two more may be open: one that appends,
            one that listens.
        connect_timeout_seconds: after so long without an answer the log counts as down.
        timeout_seconds: the longest that one statement may take, here and on the server. A transaction may take twice
            that, where the server can tell (PostgreSQL 17 and later).
        lease_seconds: a member that has not been heard of for so long loses its partitions. A third of it is the
            time between two signs of life, within which a new topic is noticed at the latest.
        idle_seconds: a member without a sign of life (`fetch`, `commit`, `keep_alive`) for so long lets its lease run
            out, so that others take over from a worker that hangs.
        poll_seconds: how often a waiting reader looks, in case no notification reaches it.
        notify_seconds: the least time between two notifications of one process.
        group_entries: how many entries of several callers may go into one transaction.
        group_bytes: how many bytes of them.
        entry_bytes: the most that one entry may have, key and headers included.
        append_bytes: the most that one call of `append` may carry.
        fetch_bytes: values of so many bytes at most come with one fetch, or a single larger one.
        trim_entries: how many entries one transaction takes away.
        allow_unsafe_server: accept a server without fsync, which forgets what it acknowledged. For tests.
    """

    pool_size: int = 8
    connect_timeout_seconds: float = 5.0
    timeout_seconds: float = 15.0
    lease_seconds: float = 10.0
    idle_seconds: float = 300.0
    poll_seconds: float = 0.5
    notify_seconds: float = 0.005
    group_entries: int = 5000
    group_bytes: int = 8 * 2**20
    entry_bytes: int = 16 * 2**20
    append_bytes: int = 128 * 2**20
    fetch_bytes: int = 16 * 2**20
    trim_entries: int = 500
    allow_unsafe_server: bool = False

    @property
    def heartbeat_seconds(self) -> float:
        """The time between two signs of life."""
        return self.lease_seconds / 3

    @property
    def statement_milliseconds(self) -> int:
        """The longest that one statement may take, as the server is told."""
        return max(1, int(self.timeout_seconds * 1000))

    @property
    def transaction_milliseconds(self) -> int:
        """The longest that a transaction may take, whatever its client does meanwhile."""
        return 2 * self.statement_milliseconds
