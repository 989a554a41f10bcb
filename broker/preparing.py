"""Preparing the servers: databases, logins, migrations, topics. Everything may be done again at any time."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import asyncpg

from backends.postgres.embedded import identifier
from backends.postgres.migrate import migrate
from backends.postgres.roles import ensure_reader, ensure_writer, scram_verifier
from backends.postgres.sql import BLOBS, RECORDS
from broker.addresses import DSN_EXAMPLE, MONGO_EXAMPLE, mongo_database, mongo_login
from broker.core.errors import BlobsUnavailableError, LogUnavailableError, SettingsError, StoreUnavailableError
from broker.core.topics import tenant_topics, unclaimed_topic
from broker.findings import line
from broker.log.postgres import PostgresLog
from broker.servers import admin_address, is_embedded, open_log
from broker.settings import SERVERS, Server, Settings
from broker.store_options import s3_options
from broker.store_settings import ROLES

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
    settings: Settings,
    *,
    registry: Registry | None = None,
    passwords: Mapping[str, str] | None = None,
    keep_log_identity: bool = False,
) -> list[Step]:
    """Brings every server up to date, the second store's too, and makes the topics of `registry`'s tenants.

    With `passwords` (by server) the logins that the settings' addresses name are made too, with the least they need; on
    Custody's own servers that is always so. `keep_log_identity`: see `PostgresLog.migrate`; `SettingsError` for another
    log. Raises what the servers do; everything may then be repeated.
    """
    if keep_log_identity and settings.kind("log") != "postgres":
        fault = "is for a log on Postgres: on another, its own id goes with its servers"
        raise SettingsError([line("--keep-log-identity", fault, "custody log show")])
    given = passwords or {}
    steps = [step for server in SERVERS for step in await _prepared(settings, server, given.get(server))]
    if keep_log_identity:
        await PostgresLog.migrate(admin_address(settings, "log"), keep_identity=True)
        steps.append(Step(server="log", what="goes on under the identity it had"))
    other = settings.second()
    if other is not None:
        found = [step for server in ROLES for step in await _prepared(other, server, given.get(f"other {server}"))]
        steps += [replace(step, server=f"other {step.server}") for step in found]
    if registry is not None:
        steps += await create_topics(settings, topics_of(settings, registry))
    return steps


def passwords_of(settings: Settings) -> Mapping[str, str]:
    """The password in each database's address, by server: for `prepare`. `SettingsError` where one has none."""
    other = settings.second()
    views: list[tuple[str, Settings, Sequence[Server]]] = [("", settings, SERVERS)]
    views += [("other ", other, ROLES)] if other is not None else []
    return {
        f"{prefix}{server}": login_of(view, server).password
        for prefix, view, servers in views
        for server in servers
        if _has_logins(view, server)
    }


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


def login_of(settings: Settings, server: Server, *, password: str | None = None) -> Login:
    """The login that an address names, with its password or the one given. `SettingsError` where it names none."""
    is_mongo, address = settings.kind(server) == "mongo", settings.address(server)
    login = mongo_login(address) if is_mongo else urlsplit(address).netloc.rpartition("@")[0]
    name, _, quoted = login.partition(":")
    found = unquote(quoted) if password is None else password
    if not name or not found:
        fault = "names no user with a password, so that there is no login to make"
        raise SettingsError([line(settings.place(server), fault, MONGO_EXAMPLE if is_mongo else DSN_EXAMPLE)])
    return Login(role=unquote(name), password=found)


async def ensure_tenant_reader(settings: Settings, tenant: str, password: str) -> Mapping[str, str]:
    """Makes the logins that read one tenant's records and blobs; their names, by server.

    Nobody logs in at S3 like that: who reads a tenant's bucket or prefix is said there.
    """
    made: dict[str, str] = {}
    for server in reversed(ROLES):
        if _has_logins(settings, server):
            made[server] = await _ensure_reader(settings, server, tenant, password)
    return {role: made[role] for role in ROLES if role in made}


def _has_logins(settings: Settings, server: Server) -> bool:
    """Whether it is a database, whose logins are made here."""
    return settings.kind(server) in {"postgres", "mongo"}


async def _ensure_reader(settings: Settings, server: Server, tenant: str, password: str) -> str:
    admin = admin_address(settings, server)
    if settings.kind(server) == "mongo":
        from backends.mongo.roles import ensure_reader as ensure_mongo_reader  # noqa: PLC0415 - for those who use it

        return await ensure_mongo_reader(admin, mongo_database(settings.address(server)), tenant, password)
    return await ensure_reader(admin, tenant, password)


async def _prepared(settings: Settings, server: Server, password: str | None) -> list[Step]:
    """What was done to one server; a Kafka needs no more than its topics."""
    match settings.kind(server):
        case "postgres":
            return await _prepared_postgres(settings, server, password)
        case "mongo":
            return await _prepared_mongo(settings, server, password)
        case "s3":
            return await _prepared_s3(settings, server)
        case "kafka":
            return []


def _wanted_login(settings: Settings, server: Server, password: str | None) -> Login | None:
    """The login to make: on Custody's own server, or where a password is given."""
    if password is None and not is_embedded(settings, server):
        return None
    return login_of(settings, server, password=password)


async def _prepared_mongo(settings: Settings, server: Server, password: str | None) -> list[Step]:
    from backends.mongo.migrate import migrate as migrate_mongo  # noqa: PLC0415 - its driver, for those who use it
    from backends.mongo.roles import ensure_writer as ensure_mongo_writer  # noqa: PLC0415 - as above

    admin, login = admin_address(settings, server), _wanted_login(settings, server, password)
    database = mongo_database(settings.address(server))
    asked = "uri" if settings.admin_address(server) is None else "admin_uri"
    async with _naming(settings.name(server, asked)):
        names = await migrate_mongo(admin, database)
        if login is not None:
            await ensure_mongo_writer(admin, database, login.role, login.password)
    return _told(server, names, login)


async def _prepared_s3(settings: Settings, server: Server) -> list[Step]:
    from backends.s3.prepare import prepare_bucket  # noqa: PLC0415 - as above

    async with _naming(settings.name(server, "endpoint")):
        done = await prepare_bucket(s3_options(settings))
    steps = [Step(server=server, what=what) for what in done]
    return steps or [Step(server=server, what="its buckets are there", changed=False)]


@asynccontextmanager
async def _naming(setting: str) -> AsyncIterator[None]:
    """A server that does not do it is told with the setting of the address at which it was asked."""
    try:
        yield
    except (StoreUnavailableError, BlobsUnavailableError) as error:
        problem = type(error)(f"{error} (asked at {setting})")
    else:
        return
    raise problem


async def _prepared_postgres(settings: Settings, server: Server, password: str | None) -> list[Step]:
    admin, login = admin_address(settings, server), _wanted_login(settings, server, password)
    steps = await _ensure_database(server, admin) if is_embedded(settings, server) else []
    return [*steps, *await _bring_up(server, admin, login)]


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
    return _told(server, names, login)


def _told(server: Server, names: Sequence[str], login: Login | None) -> list[Step]:
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
