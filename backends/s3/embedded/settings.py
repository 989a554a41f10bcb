"""SeaweedFS' command line and its settings files. Pure: from ports and keys to words and text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.s3.embedded.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_SERVICES = ("s3", "master", "volume", "filer")
_VOLUME_MIB = 64
_VOLUMES = 100_000
"""Each bucket has volumes of its own; what is free on the disk ends them, not this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What only the server's owner knows: the login, and the keys that stay on this machine."""

    access_key: str
    secret_key: str = field(repr=False)
    internal: str = field(repr=False)
    encryption: str = field(repr=False)


def claim_ports(port: int, take: Callable[[int], int]) -> dict[str, int]:
    """A port for each service, and one for its gRPC; that of S3 may be given."""
    claimed = {service: take(port if service == "s3" else 0) for service in _SERVICES}
    return claimed | {f"{service}.grpc": take(0) for service in _SERVICES}


def words(ports: Mapping[str, int], *, data: Path, settings: Path) -> list[str]:
    """The arguments: everything on loopback, nothing told to anybody, small volumes, no service that is not used."""
    return [
        "-logtostderr",
        f"-config_dir={settings}",
        "server",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-filer",
        "-s3",
        *(f"-{service}.port={ports[service]}" for service in _SERVICES),
        *(f"-{service}.port.grpc={ports[f'{service}.grpc']}" for service in _SERVICES),
        "-master.telemetry=false",
        "-master.electionTimeout=500ms",  # alone, it is its own majority; by default it waits for others first
        "-master.heartbeatInterval=100ms",
        f"-master.volumeSizeLimitMB={_VOLUME_MIB}",
        f"-volume.max={_VOLUMES}",
        "-volume.preStopSeconds=0",
        f"-filer.localSocket={data / 'filer.sock'}",
        f"-s3.localSocket={data / 's3.sock'}",
        f"-s3.config={settings / 'identities.json'}",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


def files(keys: Keys) -> dict[str, str]:
    """The settings files, by name."""
    login = {"accessKey": keys.access_key, "secretKey": keys.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": "custody", "credentials": [login], "actions": actions}]}
    signed = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    security = "".join(f'[{section}]\nkey = "{keys.internal}"\n' for section in signed)
    return {
        "identities.json": json.dumps(identities),
        "security.toml": f'{security}[s3.sse]\nkek = "{keys.encryption}"\n',
        "master.toml": "[master.volume_growth]\ncopy_1 = 1\n",
    }
