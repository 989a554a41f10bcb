"""The file that a broker is started with: which of Kafka's settings may be tuned, and which make it what it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from broker.log.kafka.local.options import ClusterOptions, ClusterSecurity

HOST = "127.0.0.1"
CLIENTS = "CLIENTS"
_APART = "INTERNAL"
_CONTROLLER = "CONTROLLER"
_LAST_PORT = 65535
_OAUTH = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """Where one broker listens. `apart` is for the brokers among each other, where clients must log in."""

    clients: int
    controller: int
    apart: int


def properties(options: ClusterOptions, node_id: int, ports: Sequence[NodePorts], data: Path) -> dict[str, str]:
    """The settings of one broker. `ports` has those of each broker, in the order of their ids, which start at 1."""
    own = ports[node_id - 1]
    security = options.security
    addresses = {CLIENTS: own.clients, _CONTROLLER: own.controller}
    if security is not None:
        addresses[_APART] = own.apart
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in addresses.items())
    protocol = security.protocol.upper() if security is not None else "PLAINTEXT"
    return {
        **_tunable(len(ports)),
        **_durable(options),
        **options.settings,
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(f"{i}@{HOST}:{one.controller}" for i, one in enumerate(ports, start=1)),
        "controller.listener.names": _CONTROLLER,
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": f"{CLIENTS}:{protocol},{_CONTROLLER}:PLAINTEXT,{_APART}:PLAINTEXT",
        "inter.broker.listener.name": CLIENTS if security is None else _APART,
        "log.dirs": str(data),
        **(_secured(security) if security is not None else {}),
    }


def text(settings: Mapping[str, str]) -> str:
    """The settings as Java reads them from a properties file."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def refuse_unfit(options: ClusterOptions) -> None:
    """Raises SettingsError, a finding for each setting that is not the caller's to choose or lacks another."""
    fixed = sorted(name for name in options.settings if name in _FIXED or name.startswith("listener."))
    findings = [f"settings.{name}: fixed for a local cluster; leave it out" for name in fixed]
    if options.brokers < 1:
        findings.append("brokers: must be 1 or more; for example 3")
    if not 0 <= options.port <= _LAST_PORT - max(options.brokers, 1) + 1:
        findings.append(f"port: must leave every broker one from 1 to {_LAST_PORT}, or be 0; for example 9092")
    if options.security is not None:
        findings += _unfit(options.security)
    if findings:
        raise SettingsError(findings)


def _unfit(security: ClusterSecurity) -> Iterator[str]:
    by_sasl, by_tls = security.protocol.startswith("sasl"), security.protocol.endswith("ssl")
    if by_sasl != bool(security.mechanisms):
        yield "security.mechanisms: go with a SASL protocol, and it with them; for example ('scram-sha-512',)"
    if by_tls != (security.keystore_file is not None):
        yield "security.keystore_file: goes with a TLS protocol, and it with the file; for example 'brokers.pem'"
    if security.client_ca_file is not None and not by_tls:
        yield "security.client_ca_file: needs a TLS protocol; for example protocol='ssl'"
    if security.acls and not by_sasl and security.client_ca_file is None:
        yield "security.acls: need clients that say who they are; for example protocol='sasl_plaintext'"


def java_flags(options: ClusterOptions, security: ClusterSecurity | None) -> list[str]:
    """A small heap, and a quick start rather than the best speed after an hour."""
    flags = [f"-Xmx{options.heap_mebibytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    flags += ["-Djava.awt.headless=true", "-Dfile.encoding=UTF-8"]
    if security is not None and security.jwks_file is not None:
        # A broker reads keys only from where it was told to outside of its settings.
        # Source: https://kafka.apache.org/43/security/authentication-using-sasl/, 2026-11
        flags.append(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={security.jwks_file.resolve().as_uri()}")
    return flags


def _tunable(brokers: int) -> dict[str, str]:
    """What suits a small cluster that is often started: few partitions of its own, quick to notice a lost broker."""
    replicas, insync = str(min(brokers, 3)), str(min(brokers, 2))
    return {
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": insync,
        "num.partitions": "1",
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": insync,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": insync,
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",  # a killed broker is let back in only when this has passed
        "replica.lag.time.max.ms": "6000",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": "8388608",
        "socket.request.max.bytes": "104857600",
    }


def _durable(options: ClusterOptions) -> dict[str, str]:
    """Where the data stays, an append is on disk before it is answered: no replica on another machine has it.

    Source: https://kafka.apache.org/43/configuration/broker-configs/, 2026-11: by default the system flushes when it
    likes.
    """
    return {} if options.directory is None else {"log.flush.interval.messages": "1"}


def _secured(security: ClusterSecurity) -> dict[str, str]:
    return {**_with_sasl(security), **_with_tls(security), **_with_acls(security)}


def _with_sasl(security: ClusterSecurity) -> dict[str, str]:
    if not security.protocol.startswith("sasl"):
        return {}
    prefix = f"listener.name.{CLIENTS.lower()}"
    found = {f"{prefix}.sasl.enabled.mechanisms": ",".join(one.upper() for one in security.mechanisms)}
    for mechanism in security.mechanisms:
        if mechanism == "oauthbearer":
            found |= _with_tokens(security, f"{prefix}.{mechanism}")
        else:
            module = "org.apache.kafka.common.security.scram.ScramLoginModule"
            found[f"{prefix}.{mechanism}.sasl.jaas.config"] = f"{module} required;"
    return found


def _with_tokens(security: ClusterSecurity, prefix: str) -> dict[str, str]:
    """Kafka's checker of signed tokens where there are keys; otherwise its checker of unsigned ones."""
    login = f"{_OAUTH}.OAuthBearerLoginModule required"
    if security.jwks_file is None:
        return {f"{prefix}.sasl.jaas.config": f"{login};"}
    found = {
        f"{prefix}.sasl.jaas.config": f"{login};",
        f"{prefix}.sasl.server.callback.handler.class": f"{_OAUTH}.OAuthBearerValidatorCallbackHandler",
        f"{prefix}.sasl.oauthbearer.jwks.endpoint.url": security.jwks_file.resolve().as_uri(),
    }
    if security.audience is not None:
        found[f"{prefix}.sasl.oauthbearer.expected.audience"] = security.audience
    if security.issuer is not None:
        found[f"{prefix}.sasl.oauthbearer.expected.issuer"] = security.issuer
    return found


def _with_tls(security: ClusterSecurity) -> dict[str, str]:
    if security.keystore_file is None:
        return {}
    prefix = f"listener.name.{CLIENTS.lower()}"
    found = {
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": str(security.keystore_file.resolve()),
    }
    if security.client_ca_file is None:
        return found
    return {
        **found,
        f"{prefix}.ssl.truststore.type": "PEM",
        f"{prefix}.ssl.truststore.location": str(security.client_ca_file.resolve()),
        f"{prefix}.ssl.client.auth": "required",
    }


def _with_acls(security: ClusterSecurity) -> dict[str, str]:
    if not security.acls:
        return {}
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(("User:ANONYMOUS", *security.super_users)),
    }


def _escaped(value: str) -> str:
    """As Java unescapes it: JSON's escapes are among those it knows.

    Source: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html, 2026-11
    """
    return json.dumps(value)[1:-1]


_FIXED = frozenset(
    {
        "advertised.listeners",
        "authorizer.class.name",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listeners",
        "log.dir",
        "log.dirs",
        "node.id",
        "process.roles",
        "super.users",
    }
)
