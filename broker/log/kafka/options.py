"""How a Kafka log is to behave, and how it is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["scram-sha-256", "scram-sha-512", "oauthbearer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """How a client proves who it is, and how it knows the brokers.

    Attributes:
        protocol: with or without TLS, with or without SASL.
        mechanism: of SASL; None without.
        username: for SCRAM.
        password: for SCRAM; asked afresh at each connection, so that a rotated one needs no restart.
        token: for OAUTHBEARER: the bearer token, asked afresh when the last one ends.
        ca_file: whom to trust, in PEM; None trusts whom the system trusts.
        certificate_file: the client's own certificate chain in PEM, for mutual TLS.
        key_file: its key in PEM.
    """

    protocol: Protocol = "plaintext"
    mechanism: Mechanism | None = None
    username: str | None = None
    password: Callable[[], str] | None = field(default=None, repr=False)
    token: Callable[[], str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLogOptions:
    """The defaults suit a cluster of three brokers; the tests shorten the waits.

    Attributes:
        bootstrap: brokers to begin with, as host:port.
        security: how to log in.
        client_id: how the brokers name this client in their logs and quotas.
        instance: this process's name among the members of its groups (static membership): a worker that restarts under
            its name within `session_seconds` gets its partitions back without a rebalance. None: a new member each
            time.
        generation: part of the log's identity, from 2 on. One more where topics of this cluster were made anew: the log
            is another one then, and is kept from its first entries once it was let take the former one's place.
        replication: replicas of a topic that Custody creates.
        min_insync: how many of them must have an entry before an append returns.
        entry_bytes: the most that one entry may have, key and headers included; topics are created to take it.
        compression: of the producer's batches. Measured with webhook entries (2.3 KB): zstd packs 5:1 at 3 us of CPU an
            entry and is the fastest on the whole; lz4 3.4:1 at 16 us, gzip 4.2:1 at 25 us.
        linger_seconds: how long the producer waits for company, so that small appends share a request.
        session_seconds: a member that has not been heard of for so long loses its partitions.
        heartbeat_seconds: the time between two signs of life, by which a member also learns that the group changes; a
            third of `session_seconds` where that is less.
        poll_seconds: the longest that a member may go without a sign of life (`fetch`, `commit`, `keep_alive`) before
            it counts as hanging.
        metadata_seconds: a topic that was created later is noticed within this time.
        fetch_bytes: the most that one fetch brings, of all partitions together.
        request_seconds: after so long without an answer the log counts as down.
    """

    bootstrap: tuple[str, ...]
    security: KafkaSecurity = KafkaSecurity()
    client_id: str = "custody"
    instance: str | None = None
    generation: int = 1
    replication: int = 3
    min_insync: int = 2
    entry_bytes: int = 1_000_000
    compression: Literal["none", "gzip", "lz4", "zstd"] = "zstd"
    linger_seconds: float = 0.005
    session_seconds: float = 30.0
    heartbeat_seconds: float = 3.0
    poll_seconds: float = 300.0
    metadata_seconds: float = 10.0
    fetch_bytes: int = 16 * 2**20
    request_seconds: float = 15.0
