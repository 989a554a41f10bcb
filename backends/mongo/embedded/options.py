"""How an embedded replica set is run, and what of it is fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backends.embedded.ports import HOST
from backends.mongo.facts import NEVER_SLOW_MILLISECONDS
from broker.core.errors import SettingsError

# What a member's log may say is what the server is doing, never a document or a command that carries one.
# Slow operations are logged with their command: none is slow enough here.
_FIXED_PARAMETERS: Mapping[str, str] = {
    "diagnosticDataCollectionEnabled": "false",
    "enableLocalhostAuthBypass": "false",  # whoever is on this machine logs in like all others, from the first moment
    "logLevel": "0",
}
_PARAMETERS: Mapping[str, str] = {
    "shutdownTimeoutMillisForSignaledShutdown": "100",  # a set that is stopped whole has nobody to hand over to
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to run a replica set.

    Attributes:
        directory: where the set is made, or found again, and left. None: under /var/tmp, removed on close.
        port: of the first member; the next ones follow it. None takes free ones.
        members: how many. Three can lose one and go on.
        cache_gigabytes: of memory for each member's cache of documents.
        oplog_megabytes: how much each member keeps of what it replicates.
        election_timeout_seconds: how long a primary may be silent until the others elect another.
        parameters: the server's own, by name, over the ones here.
        run_as: the account that the members get when root starts them.
        start_timeout_seconds: for a primary to be there.
        stop_timeout_seconds: for a member to end in good order; then it is killed.
    """

    directory: Path | None = None
    port: int | None = None
    members: int = 1
    cache_gigabytes: float = 0.25
    oplog_megabytes: int = 1024
    election_timeout_seconds: float = 3.0
    parameters: Mapping[str, str] = field(default_factory=dict)
    run_as: str = "nobody"
    start_timeout_seconds: float = 90.0
    stop_timeout_seconds: float = 30.0


def refuse_unfit(options: ServerOptions) -> None:
    """Raises SettingsError, a finding for each option that can't be served."""
    findings = [
        f"parameters.{name}: fixed for an embedded server; leave it out"
        for name in sorted(options.parameters)
        if name in _FIXED_PARAMETERS
    ]
    if options.members % 2 == 0 or options.members < 1:
        findings.append(f"members: {options.members} can't outvote a lost one; for example 3")
    if findings:
        raise SettingsError(findings)


def words(options: ServerOptions, *, name: str, port: int, data: Path, key: Path) -> list[str]:
    """The arguments of one member's `mongod`."""
    parameters = {**_PARAMETERS, **options.parameters, **_FIXED_PARAMETERS}
    return [
        *("--replSet", name, "--keyFile", str(key), "--dbpath", str(data)),
        *("--bind_ip", HOST, "--port", str(port), "--nounixsocket"),
        *("--wiredTigerCacheSizeGB", f"{options.cache_gigabytes:g}", "--oplogSize", str(options.oplog_megabytes)),
        *("--quiet", "--profile", "0", "--slowms", str(NEVER_SLOW_MILLISECONDS)),
        *(word for item in parameters.items() for word in ("--setParameter", "=".join(item))),
    ]
