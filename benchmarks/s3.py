"""An S3 server of the benchmarks' own, and a bucket on it."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.s3.embedded import EmbeddedS3
from backends.s3.options import S3Options
from backends.s3.prepare import prepare_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class S3At:
    """A bucket, and who may use it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)

    def options(self) -> S3Options:
        """How Custody uses it."""
        return S3Options(
            bucket=self.bucket,
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            path_style=True,
        )


@asynccontextmanager
async def s3_server() -> AsyncGenerator[EmbeddedS3]:
    """A server until the block is left."""
    async with await EmbeddedS3.start() as server:
        yield server


async def fresh_bucket(server: EmbeddedS3) -> S3At:
    """A bucket as `custody init` makes one."""
    at = S3At(
        endpoint=server.endpoint,
        bucket=f"bench-{secrets.token_hex(6)}",
        access_key=server.access_key,
        secret_key=server.secret_key,
    )
    await prepare_bucket(at.options())
    return at
