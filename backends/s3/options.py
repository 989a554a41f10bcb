"""Where blobs rest on S3, as whom they are put there, and how they are protected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from broker.core.errors import SettingsError

MIB = 1024 * 1024
LEAST_PART_BYTES = 5 * MIB
MOST_PART_BYTES = 5 * 1024 * MIB
MOST_PARTS = 10_000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, 2026-11."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Login:
    """A key, its secret, and the token that temporary ones have."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBucket:
    """A tenant's own place: its bucket, and that bucket's region where it is another."""

    bucket: str
    region: str | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where one blob lies."""

    place: str
    region: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """How to use an S3 server.

    Without an `endpoint` it is AWS'. `credentials` is asked before each request, so that a renewed key is found
    without a restart; without it and without `access_key` the machine's own are used, as AWS' tools find them.
    `secret_key` may be a function for the same reason. A blob of more than `part_bytes` goes up in parts of that size,
    of which one is in memory while it is sent and one while it fills. The tenant is the first component of a place.
    """

    bucket: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | Callable[[], str] | None = field(default=None, repr=False)
    credentials: Callable[[], S3Login] | None = field(default=None, repr=False)
    prefix: str = ""
    path_style: bool = False
    part_bytes: int = 8 * MIB
    connections: int = 16
    sse: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    lock_mode: Literal["governance", "compliance"] | None = None
    lock_days: int = 0
    legal_hold: bool = False
    tenant_buckets: Mapping[str, TenantBucket] = field(default_factory=dict)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if found := list(_contradictions(self)):
            raise SettingsError(found)

    def login(self) -> S3Login | None:
        """Who asks, as of now; None: whoever this machine is."""
        if self.credentials is not None:
            return self.credentials()
        if self.access_key is None or self.secret_key is None:
            return None
        secret = self.secret_key if isinstance(self.secret_key, str) else self.secret_key()
        return S3Login(access_key=self.access_key, secret_key=secret)

    def locate(self, place: str) -> Location:
        """Where the blob of that place lies, or would."""
        own = self.home(place.partition("/")[0])
        return Location(place=place, region=own.region or self.region, bucket=own.bucket, key=joined(own.prefix, place))

    def home(self, tenant: str) -> TenantBucket:
        """The bucket of that tenant: its own, or the common one."""
        return self.tenant_buckets.get(tenant) or TenantBucket(bucket=self.bucket, prefix=self.prefix)

    def homes(self) -> list[TenantBucket]:
        """Every bucket and prefix, each once, with its region."""
        common = TenantBucket(bucket=self.bucket, prefix=self.prefix)
        found = {
            (one.bucket, one.prefix): TenantBucket(
                bucket=one.bucket, region=one.region or self.region, prefix=one.prefix
            )
            for one in (common, *self.tenant_buckets.values())
        }
        return list(found.values())

    def part_bytes_for(self, max_bytes: int) -> int:
        """Parts of such a size that not too many of them hold the largest blob allowed."""
        return max(self.part_bytes, -(-max_bytes // MOST_PARTS))


def joined(prefix: str, name: str) -> str:
    """The name below the prefix, which may end in a slash or not."""
    return f"{prefix.rstrip('/')}/{name}" if prefix else name


def _contradictions(options: S3Options) -> list[str]:
    found = []
    if not LEAST_PART_BYTES <= options.part_bytes <= MOST_PART_BYTES:
        found.append(f"part_bytes: S3 takes parts of {LEAST_PART_BYTES} to {MOST_PART_BYTES} bytes, such as 8388608")
    if options.kms_key is not None and options.sse != "aws:kms":
        found.append("kms_key: needs sse=aws:kms")
    if (options.lock_mode is None) != (options.lock_days <= 0):
        found.append("lock_mode and lock_days: both or neither, such as governance and 365")
    if (options.access_key is None) != (options.secret_key is None):
        found.append("access_key and secret_key: both or neither")
    return found
