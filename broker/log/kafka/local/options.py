"""How a local cluster is to be run, and how its clients are to prove who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["scram-sha-256", "scram-sha-512", "oauthbearer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user who logs in by SCRAM. For tests: see `scram` for who else on this machine could."""

    user: str
    password: str = field(repr=False)
    mechanism: Literal["scram-sha-256", "scram-sha-512"] = "scram-sha-512"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSecurity:
    """What the brokers ask of their clients. They themselves talk on a listener apart, open to this machine.

    Attributes:
        protocol: with or without TLS, with or without SASL.
        mechanisms: of SASL that are taken; at least one with a SASL protocol.
        logins: who may log in by SCRAM; taken in when the cluster is made.
        jwks_file: the keys that sign bearer tokens, as a JWKS. Without it a token need not be signed: for tests alone.
        audience: for whom a signed token must be meant; without one, a token that names any is refused.
        issuer: who must have made it.
        keystore_file: the brokers' key (PKCS#8) and certificate chain, in one PEM file; needed with TLS.
        client_ca_file: whose client certificates are trusted, in PEM; with it a client must show one.
        acls: whether a client may do only what an ACL allows; the listener apart (`admin_bootstrap`) may do all.
        super_users: principals that may do all besides, such as `User:admin`.
    """

    protocol: Protocol = "plaintext"
    mechanisms: tuple[Mechanism, ...] = ()
    logins: tuple[Login, ...] = ()
    jwks_file: Path | None = None
    audience: str | None = None
    issuer: str | None = None
    keystore_file: Path | None = None
    client_ca_file: Path | None = None
    acls: bool = False
    super_users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """How to run a cluster.

    Attributes:
        brokers: how many; each is a controller too. One, or an odd number that can outvote a lost one.
        directory: where the cluster is made, or found again, and left. None: under /var/tmp, removed on close.
        port: of the first broker's clients; the next ones follow it. 0 takes free ones.
        settings: Kafka's own, by name, over the ones here.
        security: what is asked of clients; None asks nothing of whoever is on this machine.
        heap_mebibytes: of each broker.
        libraries: the folder of Kafka's jars; None: the cache's, fetched if need be.
        start_timeout_seconds: for the whole cluster to answer.
        stop_timeout_seconds: for a broker to end in good order; then it is killed.
    """

    brokers: int = 1
    directory: Path | None = None
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    security: ClusterSecurity | None = None
    heap_mebibytes: int = 256
    libraries: Path | None = None
    start_timeout_seconds: float = 90.0
    stop_timeout_seconds: float = 20.0
