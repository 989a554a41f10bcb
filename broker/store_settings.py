"""The settings of a store: its profile, where records rest, and where blobs do.

One setting, `store`, chooses what both are; see `PROFILES`. What belongs to another kind is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from broker.addresses import DSN_EXAMPLE, MONGO_EXAMPLE, dsn_fault, is_origin, uri_fault
from broker.secret_files import file_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECTION = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

StoreName = Literal["postgres", "s3_mongo", "s3_postgres"]
STORES: tuple[StoreName, ...] = ("postgres", "s3_mongo", "s3_postgres")
Kind = Literal["postgres", "kafka", "mongo", "s3"]
StoreRole = Literal["records", "blobs"]
ROLES: tuple[StoreRole, ...] = ("records", "blobs")
DriverName = Literal["pymongo", "motor"]

PROFILES: Mapping[StoreName, Mapping[StoreRole, Kind]] = {
    "postgres": {"records": "postgres", "blobs": "postgres"},
    "s3_mongo": {"records": "mongo", "blobs": "s3"},
    "s3_postgres": {"records": "postgres", "blobs": "s3"},
}
"""What records and blobs rest on, by profile."""

_MIB = 2**20


class PostgresSettings(BaseModel):
    """A Postgres database by its address. The admin's address is for `custody init` alone.

    `allow_unsafe_server` accepts one that forgets what it acknowledged (fsync off): for tests.
    """

    model_config = SECTION

    dsn: SecretStr | None = Field(default=None, examples=[DSN_EXAMPLE])
    dsn_file: Path | None = Field(default=None, examples=["/run/secrets/custody-dsn"])
    admin_dsn: SecretStr | None = Field(default=None, examples=[DSN_EXAMPLE.replace("custody:", "postgres:", 1)])
    admin_dsn_file: Path | None = Field(default=None, examples=["/run/secrets/custody-admin-dsn"])
    pool_size: int = Field(default=8, ge=2, le=500, examples=[8])
    allow_unsafe_server: bool = Field(default=False, examples=["false"])

    @field_validator("dsn", "admin_dsn")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and (fault := dsn_fault(value.get_secret_value())):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        _refuse_both(self, "dsn", "admin_dsn")
        return self


class RecordsSettings(PostgresSettings):
    """Where records rest: a Postgres database, or a MongoDB database by its URI, whose path names it.

    `pool_size` and the two time limits are of either. `allow_standalone` accepts a MongoDB that is no replica set;
    nothing is erased then.
    """

    uri: SecretStr | None = Field(default=None, examples=[MONGO_EXAMPLE])
    uri_file: Path | None = Field(default=None, examples=["/run/secrets/custody-uri"])
    admin_uri: SecretStr | None = Field(
        default=None, examples=["mongodb://admin:secret@127.0.0.1:27017/?replicaSet=rs0"]
    )
    admin_uri_file: Path | None = Field(default=None, examples=["/run/secrets/custody-admin-uri"])
    driver: DriverName = Field(default="pymongo", examples=["pymongo"])
    connect_timeout_seconds: float = Field(default=10.0, ge=0.1, le=600, examples=[10])
    command_timeout_seconds: float = Field(default=60.0, ge=1, le=3600, examples=[60])
    allow_standalone: bool = Field(default=False, examples=["false"])

    @field_validator("uri", "admin_uri")
    @classmethod
    def _is_uri(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # The administrator's may be without a database: the store's is the one that `uri` names.
        if value is not None and (fault := uri_fault(value.get_secret_value(), database=info.field_name == "uri")):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _one_uri_of_each(self) -> Self:
        _refuse_both(self, "uri", "admin_uri")
        return self


class TenantBucketSettings(BaseModel):
    """Where one tenant's blobs rest, if not with the others: a bucket of its own, a region, a prefix."""

    model_config = SECTION

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["acme-custody"])
    region: str | None = Field(default=None, min_length=1, examples=["af-south-1"])
    prefix: str = Field(default="", max_length=200, examples=["custody/"])


def _parsed(value: object) -> object:
    """A table as it is written in an environment: in JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None


TenantBuckets = Annotated[dict[str, TenantBucketSettings], NoDecode, BeforeValidator(_parsed)]


class BlobsSettings(PostgresSettings):
    """Where blobs rest: a Postgres database, or buckets on S3 or a server that speaks its protocol.

    Without keys they are found as AWS's own tools find theirs. What each means: `backends.s3.options.S3Options`.
    """

    bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["custody-blobs"])
    endpoint: str | None = Field(default=None, examples=["https://s3.example.org"])
    region: str = Field(default="us-east-1", min_length=1, max_length=60, examples=["af-south-1"])
    access_key: str | None = Field(default=None, min_length=1, repr=False, examples=["custody"])
    secret_key: SecretStr | None = Field(default=None, min_length=1, examples=["secret"])
    secret_key_file: Path | None = Field(default=None, examples=["/run/secrets/custody-s3-secret-key"])
    prefix: str = Field(default="", max_length=200, examples=["custody/"])
    path_style: bool = Field(default=False, examples=["true"])
    part_bytes: int = Field(default=8 * _MIB, ge=5 * _MIB, le=512 * _MIB, examples=[8 * _MIB])
    connections: int = Field(default=16, ge=1, le=500, examples=[16])
    sse: Literal["AES256", "aws:kms"] | None = Field(default=None, examples=["aws:kms"])
    kms_key: str | None = Field(default=None, min_length=1, examples=["alias/custody"])
    lock_mode: Literal["governance", "compliance"] | None = Field(default=None, examples=["governance"])
    lock_days: int | None = Field(default=None, ge=1, le=36_500, examples=[365])
    legal_hold: bool = Field(default=False, examples=["false"])
    tenant_buckets: TenantBuckets = Field(
        default_factory=dict, examples=['{"acme": {"bucket": "acme-custody", "region": "af-south-1"}}']
    )
    connect_timeout_seconds: float = Field(default=5.0, ge=0.1, le=600, examples=[5])
    read_timeout_seconds: float = Field(default=30.0, ge=0.1, le=3600, examples=[30])
    ca_file: Path | None = Field(default=None, examples=["/etc/custody/s3-ca.pem"])

    @field_validator("endpoint")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        if value is not None and not is_origin(value):
            raise ValueError("is not the http or https address of a server, without a path")
        return value.rstrip("/") if value is not None else None


class OtherStore(BaseModel):
    """A second store beside the first: to copy to, to compare with, and, with `write`, to keep everything in as well.

    There is none as long as `store` is not set.
    """

    model_config = SECTION

    store: StoreName | None = Field(default=None, examples=["s3_mongo"])
    records: RecordsSettings = Field(default_factory=RecordsSettings)
    blobs: BlobsSettings = Field(default_factory=BlobsSettings)
    write: bool = Field(default=False, examples=["false"])


_POSTGRES = frozenset(PostgresSettings.model_fields)
_MONGO = frozenset(RecordsSettings.model_fields) - _POSTGRES
_S3 = frozenset(BlobsSettings.model_fields) - _POSTGRES
FIELDS: Mapping[Kind, frozenset[str]] = {
    "postgres": _POSTGRES,
    "mongo": _MONGO | {"pool_size"},
    "s3": _S3,
}
"""The settings of a section that each kind of server knows."""
_OF_RECORDS = frozenset({"connect_timeout_seconds", "command_timeout_seconds"})
"""Those that records know on every kind."""
PLACES: Mapping[Kind, str] = {"postgres": "dsn", "kafka": "bootstrap", "mongo": "uri", "s3": "bucket"}
"""The setting that says where a server of a kind is."""
PLACE_FILES: Mapping[Kind, str] = {"postgres": "dsn_file", "mongo": "uri_file"}
"""The setting of a file that says it, where there is one."""


def blob_faults(blobs: BlobsSettings) -> Iterator[tuple[str, str]]:
    """Each setting of blobs on S3 that lacks another or is not used with the others, and what is wrong with it."""
    has_secret = blobs.secret_key is not None or blobs.secret_key_file is not None
    if blobs.secret_key is not None and blobs.secret_key_file is not None:
        yield "secret_key", "is given beside secret_key_file: leave one of them out"
    if blobs.access_key is not None and not has_secret:
        yield "secret_key", "is missing beside access_key, and so is secret_key_file"
    if blobs.access_key is None and has_secret:
        yield "access_key", "is missing beside the secret key"
    if blobs.kms_key is not None and blobs.sse != "aws:kms":
        yield "kms_key", "is used with sse aws:kms only"
    if blobs.lock_mode is not None and blobs.lock_days is None:
        yield "lock_days", f"is missing, and lock_mode {blobs.lock_mode} needs it"
    if blobs.lock_days is not None and blobs.lock_mode is None:
        yield "lock_mode", "is missing beside lock_days"


def blob_file_faults(blobs: BlobsSettings) -> Iterator[tuple[str, str]]:
    """Each setting of blobs on S3 whose file can't be used."""
    for name in ("secret_key_file", "ca_file"):
        path: Path | None = getattr(blobs, name)
        if path is not None and (fault := file_fault(path)):
            yield name, fault


def foreign(role: StoreRole, kind: Kind, given: Mapping[str, object]) -> Iterator[tuple[str, StoreName]]:
    """Each setting given to a section that its kind does not know, and a profile in which it would be right."""
    known = FIELDS[kind] | (_OF_RECORDS if role == "records" else frozenset())
    for name in given:
        if name not in known:
            owners = [one for one, kinds in PROFILES.items() if name in FIELDS[kinds[role]]]
            if owners:
                yield name, owners[0]


def _refuse_both(section: BaseModel, *names: str) -> None:
    for name in names:
        if getattr(section, name) is not None and getattr(section, f"{name}_file") is not None:
            raise ValueError(f"has both {name} and {name}_file: leave one of them out")
