"""MongoDB for the tests: where it comes from, fresh databases on it, and replica sets that a test may break."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pymongo import AsyncMongoClient

from backends.mongo.embedded import EmbeddedMongo, ServerOptions
from backends.mongo.embedded.kind import is_installed
from tests.servers import docker_runs, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MONGO_VARIABLE = "CUSTODY_TEST_MONGO_URI"
WRITER, PASSWORD = "custody_tests", "only-for-tests"
_DOCKER_IMAGE = "mongo:7.0"
_DOCKER_USER = "custody-superuser"
_REMEDY = (
    f"set {MONGO_VARIABLE} to a superuser's URI of a replica set, install custody[embedded-mongo], or start Docker"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMongo:
    """The replica set of the whole run, by its superuser's URI. Logins belong to a database, and go with it."""

    uri: str = field(repr=False)

    def database_uri(self, database: str) -> str:
        """The superuser's URI to that database."""
        return with_database(self.uri, database)

    @asynccontextmanager
    async def fresh_database(self) -> AsyncGenerator[str]:
        """The superuser's URI of a database that is not there yet, dropped afterwards with its logins."""
        name = f"test_{secrets.token_hex(8)}"
        try:
            yield self.database_uri(name)
        finally:
            await drop_database(self.database_uri(name))


def database_of(uri: str) -> str:
    """The database a URI names."""
    return urlsplit(uri).path.removeprefix("/")


def with_database(uri: str, database: str) -> str:
    """The same servers and login, another database."""
    parts = urlsplit(uri)
    options = "&".join(one for one in parts.query.split("&") if one and not one.startswith("authSource="))
    source = _option(uri, "authSource") or database_of(uri) or "admin"
    return parts._replace(path=f"/{database}", query=f"{options}&authSource={source}".lstrip("&")).geturl()


def as_login(uri: str, user: str, password: str) -> str:
    """The same servers and database, a login of that database."""
    parts = urlsplit(uri)
    hosts = parts.netloc.rpartition("@")[2]
    options = "&".join(one for one in parts.query.split("&") if one and not one.startswith("authSource="))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{hosts}", query=options).geturl()


def as_writer(uri: str) -> str:
    """The same database, by the login that stores under test use."""
    return as_login(uri, WRITER, PASSWORD)


@asynccontextmanager
async def client_of(uri: str) -> AsyncGenerator[AsyncMongoClient[dict[str, Any]]]:
    """A client, closed afterwards."""
    # Polling, the driver has no connection that it leaves open when closed at once.
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, serverMonitoringMode="poll")
    try:
        yield client
    finally:
        await client.close()


async def drop_database(uri: str) -> None:
    """Drops the database of that URI, its logins and its roles."""
    async with client_of(uri) as client:
        database = client[database_of(uri)]
        await database.command("dropAllUsersFromDatabase")
        await database.command("dropAllRolesFromDatabase")
        await client.drop_database(database.name)


def refuse_without_mongo() -> None:
    """Skips, or fails in CI, where `shared_mongo` would; no event loop is left half way by that."""
    if not os.environ.get(MONGO_VARIABLE) and not is_installed() and not docker_runs():
        unavailable(f"MongoDB: {_REMEDY}")


@asynccontextmanager
async def shared_mongo() -> AsyncGenerator[SharedMongo]:
    """A replica set of the caller's own, the embedded one, or a container, whichever is there first."""
    if uri := os.environ.get(MONGO_VARIABLE):
        yield SharedMongo(uri=uri)
    elif is_installed():
        async with private_mongo() as server:
            yield SharedMongo(uri=server.uri())
    elif docker_runs():
        async with _container() as uri:
            yield SharedMongo(uri=uri)
    else:
        unavailable(f"MongoDB: {_REMEDY}")


@asynccontextmanager
async def private_mongo(options: ServerOptions | None = None, *, members: int = 1) -> AsyncGenerator[EmbeddedMongo]:
    """A replica set whose members the test may stop, kill, freeze and restart. Without options: temporary."""
    if not is_installed():
        unavailable("A MongoDB to stop and kill: install custody[embedded-mongo]")
    async with await EmbeddedMongo.start(options or ServerOptions(members=members)) as server:
        yield server


def _option(uri: str, name: str) -> str | None:
    found = [one.partition("=")[2] for one in urlsplit(uri).query.split("&") if one.startswith(f"{name}=")]
    return found[0] if found else None


@asynccontextmanager
async def _container() -> AsyncGenerator[str]:
    """A replica set of one member in a container. With logins it wants a key, which is made as the container starts."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to import, and seldom of use
    from testcontainers.core.waiting_utils import wait_for_logs  # noqa: PLC0415 - as above

    password, key = secrets.token_hex(16), secrets.token_hex(48)
    start = (
        'printf %s "$CUSTODY_KEY" > /tmp/key && chmod 400 /tmp/key && chown mongodb:mongodb /tmp/key && '
        "exec docker-entrypoint.sh mongod --replSet custody --keyFile /tmp/key --bind_ip_all"
    )
    container = (
        DockerContainer(_DOCKER_IMAGE)
        .with_exposed_ports(27017)
        .with_env("CUSTODY_KEY", key)
        .with_env("MONGO_INITDB_ROOT_USERNAME", _DOCKER_USER)
        .with_env("MONGO_INITDB_ROOT_PASSWORD", password)
        .with_kwargs(entrypoint=["bash", "-c", start])
    )
    with container as server:
        wait_for_logs(server, "(?s)Waiting for connections.*Waiting for connections", timeout=120)
        address = f"{server.get_container_host_ip()}:{server.get_exposed_port(27017)}"
        uri = f"mongodb://{_DOCKER_USER}:{password}@{address}/?authSource=admin&directConnection=true"
        async with client_of(uri) as client:
            wanted = {"_id": "custody", "members": [{"_id": 0, "host": "127.0.0.1:27017"}]}
            await client.admin.command("replSetInitiate", wanted)
            while not (await client.admin.command("hello"))["isWritablePrimary"]:  # noqa: ASYNC110 - a server's state
                await asyncio.sleep(0.05)
        yield uri
