"""What the parent tells the processes of this benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.logs import LogAt
from benchmarks.s3 import S3At
from broker.settings import WorkerSettings

CONCURRENCY = WorkerSettings().media_concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobsAt:
    """Where blobs go: to S3 where that is given, else to Postgres."""

    dsn: str = field(default="", repr=False)
    s3: S3At | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrders:
    """Fetch the `parts` that the log's messages name, from the provider that listens on `port`."""

    log: LogAt
    port: int
    blobs: BlobsAt
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOrders:
    """Download `parts` objects of the provider that listens on `port`, and put them."""

    port: int
    blobs: BlobsAt
    parts: int
