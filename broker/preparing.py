"""Preparing the servers: databases, logins, migrations, topics. Everything may be done again at any time."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import asyncpg

from backends.postgres.embedded import identifier
from backends.postgres.migrate import migrate
from backends.postgres.roles import ensure_reader, ensure_writer, scram_verifier
from backends.postgres.sql import BLOBS, RECORDS
from broker.core.errors import BlobsUnavailableError, LogUnavailableError, SettingsError, StoreUnavailableError
from broker.core.topics import tenant_topics, unclaimed_topic
from broker.findings import line
from broker.log.postgres import PostgresLog
from broker.servers import admin_address, is_embedded, open_log
from broker.addresses import DSN_EXAMPLE
from broker.settings import Server, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from broker.core.errors import RetryableError
    from broker.core.registry import Registry
    from broker.core.topics import TopicSpec

_SALT_BYTES = 16
_CONNECT_SECONDS = 10.0
_UNAVAILABLE: Mapping[Server, type[RetryableError]] = {
    "log": LogUnavailableError,
    "records": StoreUnavailableError,
    "blobs": BlobsUnavailableError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that was done, or found done: `what` on which server."""

    server: str
    what: str
    changed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A role and its password."""

    role: str
    password: str

    def __repr__(self) -> str:
        return f"Login(role={self.role!r})"


async def prepare(
    settings: Settings, *, registry: Registry | None = None, passwords: Mapping[str, str] | None = None
) -> list[Step]:
    """Brings every database up to date, and makes the topics of `registry`'s tenants; a Kafka needs no more.

    With `passwords` (by server) the roles that the settings' addresses name are made too, as least-privileged logins;
    on Custody's own server that is always so. Raises what the servers do; everything may then be repeated.
    """
    steps: list[Step] = []
    for server in settings.databases:
        dsn, admin = settings.address(server), admin_address(settings, server)
        given = (passwords or {}).get(server)
        login = login_of(dsn, server, password=given)
        own = is_embedded(settings, dsn)
        if own:
            steps += await _ensure_database(server, admin)
        steps += await _bring_up(server, admin, login if own or given is not None else None)
    if registry is not None:
        steps += await create_topics(settings, topics_of(settings, registry))
    return steps


async def create_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[Step]:
    """Creates the topics that are missing."""
    log = await open_log(settings)
    try:
        created = await log.create_topics(specs)
    finally:
        await log.close()
    made = [Step(server="log", what=f"created topic {name}") for name in created]
    return made or [Step(server="log", what=f"{len(specs)} topics are there", changed=False)]


def topics_of(settings: Settings, registry: Registry) -> list[TopicSpec]:
    """Every topic that the tenants of a registry need, and the one for what belongs to nobody yet."""
    return [
        *(
            spec
            for tenant in registry.tenants
            for spec in tenant_topics(tenant, partitions=settings.partitions, retention_days=settings.retention_days)
        ),
        unclaimed_topic(),
    ]


def login_of(dsn: str, server: Server, *, password: str | None = None) -> Login:
    """The role that an address names, with its password or the one given. `SettingsError` where it names none."""
    parts = urlsplit(dsn)
    found = unquote(parts.password or "") if password is None else password
    if not parts.username or not found:
        fault = "names no user with a password, so that there is no login to make"
        raise SettingsError([line(setting_name(server, "dsn"), fault, DSN_EXAMPLE)])
    return Login(role=unquote(parts.username), password=found)


async def ensure_tenant_reader(settings: Settings, tenant: str, password: str) -> str:
    """Makes the login that reads one tenant's records and blobs; its name."""
    await ensure_reader(admin_address(settings, "blobs"), tenant, password)
    return await ensure_reader(admin_address(settings, "records"), tenant, password)


async def _bring_up(server: Server, admin: str, login: Login | None) -> list[Step]:
    """Migrations, and then the login: its group is made by them."""
    if server == "log":
        if login is not None:
            await _ensure_log_login(admin, login)
        names = await PostgresLog.migrate(admin, grant_to=[login.role] if login else [])
    else:
        schema = RECORDS if server == "records" else BLOBS
        names = await migrate(admin, schema)
        if login is not None:
            await ensure_writer(admin, login.role, login.password, schema=schema)
    steps = [Step(server=server, what=f"applied {name}") for name in names]
    steps = steps or [Step(server=server, what="its schema is up to date", changed=False)]
    return [*steps, Step(server=server, what=f"login {login.role} is there", changed=False)] if login else steps


async def _ensure_log_login(admin: str, login: Login) -> None:
    """Makes the log's login. Only the verifier travels, never the password itself."""
    verifier = scram_verifier(login.password, salt=secrets.token_bytes(_SALT_BYTES))
    async with _connected("log", admin) as connection:
        there = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", login.role)
        verb = "ALTER" if there else "CREATE"
        await connection.execute(f"{verb} ROLE {identifier(login.role)} LOGIN PASSWORD '{verifier}'")


async def _ensure_database(server: Server, admin: str) -> list[Step]:
    parts = urlsplit(admin)
    name = unquote(parts.path.removeprefix("/"))
    async with _connected(server, parts._replace(path="/postgres").geturl()) as connection:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return []
        await connection.execute(f"CREATE DATABASE {identifier(name)}")
    return [Step(server=server, what=f"created database {name}")]


@asynccontextmanager
async def _connected(server: Server, dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection whose errors are Custody's; the driver's own words may quote values."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, EOFError) as error:
        name = type(error).__name__
    else:
        return
    raise _UNAVAILABLE[server](f"the {server} server does not take it from the administrator ({name})")
