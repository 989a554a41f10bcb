"""The settings: what they are, their defaults and their limits. `broker.sources` reads them.

In the environment a setting is `CUSTODY_` and its path joined by `__`: `CUSTODY_LOG__DSN` is `dsn` of `log`.
Secrets are `SecretStr`, or files that hold them; no command takes one as an argument.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from broker.addresses import (
    DSN_EXAMPLE,
    MONGO_EXAMPLE,
    Words,
    dsn_fault,
    is_broker,
    is_origin,
    is_url,
    uri_fault,
)
from broker.core.errors import SettingsError
from broker.findings import line
from broker.secret_files import read_secret
from broker.store_settings import (
    PLACES,
    PROFILES,
    SECTION,
    BlobsSettings,
    Kind,
    OtherStore,
    PostgresSettings,
    RecordsSettings,
    StoreName,
)

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

PREFIX = "CUSTODY_"
DELIMITER = "__"
Server = Literal["log", "records", "blobs"]
SERVERS: tuple[Server, ...] = ("log", "records", "blobs")


class Profile(StrEnum):
    """What this installation is for. Production refuses what is only fit for trying out."""

    DEVELOPMENT = "development"
    DEMO = "demo"
    PRODUCTION = "production"


class LogSettings(PostgresSettings):
    """The event log, of one kind or the other: a Postgres database, or a Kafka cluster by its brokers.

    What belongs to the other kind is refused; see `broker.kafka_settings`, and `KafkaLogOptions` for what it means.
    `instance` names this process among the members of its groups, and must be another in each process. What is over
    `entry_bytes` has its content in the blob store, and a reference on the log; by default each log's own bound holds.
    """

    kind: Literal["postgres", "kafka"] = Field(default="postgres", examples=["postgres"])
    bootstrap: Words = Field(default=(), examples=["kafka-1.example.org:9092,kafka-2.example.org:9092"])
    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", examples=["sasl_ssl"]
    )
    mechanism: Literal["scram-sha-256", "scram-sha-512", "oauthbearer"] | None = Field(
        default=None, examples=["scram-sha-512"]
    )
    username: str | None = Field(default=None, min_length=1, examples=["custody"])
    password: SecretStr | None = Field(default=None, min_length=1, examples=["secret"])
    password_file: Path | None = Field(default=None, examples=["/run/secrets/custody-kafka-password"])
    token_file: Path | None = Field(default=None, examples=["/run/secrets/custody-kafka-token"])
    ca_file: Path | None = Field(default=None, examples=["/etc/custody/kafka-ca.pem"])
    certificate_file: Path | None = Field(default=None, examples=["/run/secrets/custody-kafka.pem"])
    key_file: Path | None = Field(default=None, examples=["/run/secrets/custody-kafka.key"])
    client_id: str = Field(default="custody", min_length=1, max_length=100, examples=["custody"])
    instance: str | None = Field(default=None, min_length=1, max_length=100, examples=["custody-0"])
    generation: int = Field(default=1, ge=1, le=9_999, examples=[1])
    replication: int = Field(default=3, ge=1, le=99, examples=[3])
    min_insync: int = Field(default=2, ge=1, le=99, examples=[2])
    entry_bytes: int | None = Field(default=None, ge=8_192, le=67_108_864, examples=[1_000_000])
    compression: Literal["none", "gzip", "lz4", "zstd"] = Field(default="zstd", examples=["zstd"])
    linger_seconds: float = Field(default=0.005, ge=0, le=1, examples=[0.005])
    session_seconds: float = Field(default=30.0, ge=0.5, le=1800, examples=[30])
    heartbeat_seconds: float = Field(default=3.0, ge=0.05, le=60, examples=[3])
    poll_seconds: float = Field(default=300.0, ge=1, le=86_400, examples=[300])
    metadata_seconds: float = Field(default=10.0, ge=0.1, le=3600, examples=[10])
    fetch_bytes: int = Field(default=16 * 2**20, ge=2**20, le=2**30, examples=[16_777_216])
    request_seconds: float = Field(default=15.0, ge=0.5, le=600, examples=[15])

    @field_validator("bootstrap")
    @classmethod
    def _are_brokers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_broker(one) for one in value):
            raise ValueError("holds something that is not the host:port of a broker")
        return value


class EmbeddedSettings(BaseModel):
    """Servers of Custody's own, for one machine: a Postgres, a Kafka of one broker, a MongoDB of one member, an S3.

    Each has a folder and a port, and is started by whoever needs it, where the log or the stores are of its kind.
    """

    model_config = SECTION

    directory: Path | None = Field(default=None, examples=["/var/lib/custody/postgres"])
    port: int = Field(default=25432, ge=1024, le=65535, examples=[25432])
    kafka_directory: Path | None = Field(default=None, examples=["/var/lib/custody/kafka"])
    kafka_port: int = Field(default=25492, ge=1024, le=65535, examples=[25492])
    mongo_directory: Path | None = Field(default=None, examples=["/var/lib/custody/mongo"])
    mongo_port: int = Field(default=25417, ge=1024, le=65535, examples=[25417])
    s3_directory: Path | None = Field(default=None, examples=["/var/lib/custody/s3"])
    s3_port: int = Field(default=25433, ge=1024, le=65535, examples=[25433])


class EdgeSettings(BaseModel):
    """The webhook edge: where it listens, and its bounds. See `connectors.whatsapp_cloud.webhook.EdgeLimits`."""

    model_config = SECTION

    host: str = Field(default="127.0.0.1", examples=["0.0.0.0"])  # noqa: S104 - an example, where a proxy stands before it
    port: int = Field(default=8400, ge=0, le=65535, examples=[8400])
    body_bytes: int = Field(default=4_000_000, ge=3_000_000, le=64_000_000, examples=[4_000_000])
    in_flight_bytes: int = Field(default=64_000_000, ge=3_000_000, examples=[64_000_000])
    in_flight_bodies: int = Field(default=200, ge=1, examples=[200])
    read_seconds: float = Field(default=20.0, gt=0, le=600, examples=[20])
    append_seconds: float = Field(default=5.0, gt=0, le=60, examples=[5])
    retry_after_seconds: int = Field(default=5, ge=1, le=3600, examples=[5])
    recent_identities: int = Field(default=20_000, ge=0, le=10_000_000, examples=[20_000])
    drain_seconds: float = Field(default=10.0, ge=0, le=600, examples=[10])

    @model_validator(mode="after")
    def _holds_a_body(self) -> Self:
        if self.in_flight_bytes < self.body_bytes:
            raise ValueError("has in_flight_bytes below body_bytes: raise it to hold one body at least")
        return self


class WhatsAppCloudSettings(BaseModel):
    """The WhatsApp Cloud API: its address, and media hosts beside the provider's own.

    A host may have a port, and its scheme before it; plain http is for loopback alone, and not for production.
    """

    model_config = SECTION

    graph_url: str = Field(default="https://graph.facebook.com/v25.0", examples=["https://graph.facebook.com/v25.0"])
    extra_media_hosts: Words = Field(default=(), examples=["media.example.org"])

    @field_validator("graph_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not is_url(value):
            raise ValueError("is not the http or https address of a server")
        return value.rstrip("/")

    @field_validator("extra_media_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_origin(one if "://" in one else f"https://{one}") for one in value):
            raise ValueError("holds something that is not a host, or a host and port")
        return tuple(one.rstrip("/") for one in value)


class WorkerSettings(BaseModel):
    """How the workers pace themselves. The defaults suit one machine; times are in seconds.

    `lag_alarm_seconds`: when entries have waited for so long, an alarm is raised; half of `retention_days` by default.
    """

    model_config = SECTION

    batch_entries: int = Field(default=1000, ge=1, le=100_000, examples=[1000])
    idle_wait_seconds: float = Field(default=0.5, gt=0, le=60, examples=[0.5])
    first_wait_seconds: float = Field(default=0.1, gt=0, le=60, examples=[0.1])
    most_wait_seconds: float = Field(default=15.0, gt=0, le=3600, examples=[15])
    dead_letters_in_a_row: int = Field(default=100, ge=1, examples=[100])
    media_concurrency: int = Field(default=8, ge=1, le=256, examples=[8])
    media_grace_seconds: float = Field(default=300.0, ge=0, le=86_400, examples=[300])
    erase_concurrency: int = Field(default=8, ge=1, le=256, examples=[8])
    erase_lease_seconds: float = Field(default=300.0, ge=1, le=86_400, examples=[300])
    relay_batch: int = Field(default=500, ge=1, le=100_000, examples=[500])
    relay_poll_seconds: float = Field(default=0.25, gt=0, le=3600, examples=[0.25])
    claim_poll_seconds: float = Field(default=30.0, gt=0, le=86_400, examples=[30])
    lag_poll_seconds: float = Field(default=15.0, gt=0, le=3600, examples=[15])
    lag_alarm_seconds: float | None = Field(default=None, gt=0, examples=[86_400])
    tidy_poll_seconds: float = Field(default=300.0, gt=0, le=86_400, examples=[300])
    frozen_after_seconds: float = Field(default=120.0, ge=1, le=86_400, examples=[120])
    witness_seconds: float = Field(default=900.0, gt=0, le=86_400, examples=[900])


class TelemetrySettings(BaseModel):
    """What Custody tells of itself. `log_format` auto: JSON in production and where nobody watches a terminal.

    `traces_ratio` is the share of traces that are taken at all.
    """

    model_config = SECTION

    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", examples=["info"])
    log_format: Literal["auto", "json", "console"] = Field(default="auto", examples=["json"])
    metrics: Literal["none", "console", "otlp"] = Field(default="none", examples=["otlp"])
    metrics_interval_seconds: float = Field(default=60.0, ge=1, le=3600, examples=[60])
    traces: Literal["none", "console", "otlp"] = Field(default="none", examples=["otlp"])
    traces_ratio: float = Field(default=1.0, ge=0, le=1, examples=[0.05])


class Settings(BaseSettings):
    """Everything that can be set. Built from its arguments alone: `broker.sources.load` gathers those from outside."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
    )

    profile: Profile = Field(default=Profile.DEVELOPMENT, examples=["production"])
    seed: int | None = Field(default=None, examples=[1])
    """Salts and ids are drawn from it, so that a demo can be repeated. Whoever knows it can undo every salt."""
    registry: Path | None = Field(default=None, examples=["/etc/custody/custody.toml"])
    registry_poll_seconds: float = Field(default=1.0, gt=0, le=3600, examples=[1])
    health_port: int | None = Field(default=None, ge=0, le=65535, examples=[8401])
    partitions: int = Field(default=4, ge=1, le=1024, examples=[4])
    retention_days: int = Field(default=14, ge=1, le=3650, examples=[14])
    log: LogSettings = Field(default_factory=LogSettings)
    store: StoreName = Field(default="postgres", examples=["s3_mongo"])
    """Where records and blobs rest: the one setting that chooses what both are."""
    records: RecordsSettings = Field(default_factory=RecordsSettings)
    blobs: BlobsSettings = Field(default_factory=BlobsSettings)
    other: OtherStore = Field(default_factory=OtherStore)
    embedded: EmbeddedSettings = Field(default_factory=EmbeddedSettings)
    edge: EdgeSettings = Field(default_factory=EdgeSettings)
    whatsapp_cloud: WhatsAppCloudSettings = Field(default_factory=WhatsAppCloudSettings)
    workers: WorkerSettings = Field(default_factory=WorkerSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as above
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but arguments: `load` must see what is missing as well as what is wrong, and tests stay apart."""
        return (init_settings,)

    _under: tuple[str, ...] = PrivateAttr(default=())

    def kind(self, server: Server) -> Kind:
        """What a server is."""
        return self.log.kind if server == "log" else PROFILES[self.store][server]

    @property
    def databases(self) -> tuple[Server, ...]:
        """The servers that are Postgres databases."""
        return tuple(one for one in SERVERS if self.kind(one) == "postgres")

    def second(self) -> Settings | None:
        """The same settings with the other store in the first one's place; None where there is none."""
        other = self.other
        if other.store is None:
            return None
        chosen = {"store": other.store, "records": other.records, "blobs": other.blobs, "other": OtherStore()}
        view = self.model_copy(update=chosen)
        view._under = ("other",)  # noqa: SLF001 - a copy of this very object
        return view

    def name(self, server: Server, field: str) -> str:
        """A setting's name as it stands in the environment, of the other store where this is the view of that one."""
        return setting_name(*(self._under if server != "log" else ()), server, field)

    def place(self, server: Server) -> str:
        """The name of the setting that says where a server is."""
        return self.name(server, PLACES[self.kind(server)])

    def address(self, server: Server) -> str:
        """A database's DSN or URI, from the setting or its file. `SettingsError` where there is none."""
        return self._address(server, PLACES[self.kind(server)])

    def admin_address(self, server: Server) -> str | None:
        """The admin's address, which `custody init` uses; None where no other than the common one is given."""
        section, field = getattr(self, server), f"admin_{PLACES[self.kind(server)]}"
        given = getattr(section, field) is not None or getattr(section, f"{field}_file") is not None
        return self._address(server, field) if given else None

    def _address(self, server: Server, field: str) -> str:
        is_mongo = self.kind(server) == "mongo"
        example = MONGO_EXAMPLE if is_mongo else DSN_EXAMPLE
        section = getattr(self, server)
        direct: SecretStr | None = getattr(section, field)
        if direct is not None:
            return direct.get_secret_value()
        path: Path | None = getattr(section, f"{field}_file")
        if path is None:
            raise SettingsError([line(self.name(server, field), "is missing", example)])
        fault_of = partial(uri_fault, database=field == "uri") if is_mongo else dsn_fault
        return read_secret(path, self.name(server, f"{field}_file"), example=example, fault_of=fault_of)


def setting_name(*path: str) -> str:
    """A setting's name as it stands in the environment."""
    return PREFIX + DELIMITER.join(path).upper()
