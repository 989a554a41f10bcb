"""A real PostgreSQL server in the life of one process: started, used, stopped, and gone."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import asyncpg

from backends.embedded.ports import HOST, free_port
from backends.postgres.embedded.account import KIND, EmbeddedPostgresError, last_lines, server_account
from backends.postgres.embedded.binaries import usable_binaries
from backends.postgres.embedded.home import Home, sweep
from backends.postgres.embedded.postmaster import Postmaster
from backends.postgres.embedded.settings import DISCREET, TUNABLE, refuse_fixed

if TYPE_CHECKING:
    from types import TracebackType

SUPERUSER = "postgres"
_PORT_ATTEMPTS = 10
_LONGEST_SOCKET_PATH = 103  # sun_path less its NUL, on the system that has least
_HOLDER_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to run a server.

    Without a `directory` the cluster is temporary: it lies under /var/tmp and is removed on close. With one,
    it is made there or found again, and left. `port` 0 takes a free one. `fsync` off is for tests alone: a
    loss of power then loses the cluster. `settings` are Postgres' own, by name. `run_as` is the account that
    the server gets when root starts it.
    """

    directory: Path | None = None
    port: int = 0
    fsync: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    run_as: str = "nobody"
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 30.0


class EmbeddedPostgres:
    """A server on 127.0.0.1, and on a socket that only its own account can reach; SCRAM passwords only.

    It holds nothing that belongs to an event loop, so it may be used from several, one after another. On
    Linux it ends with the thread that started it.
    """

    def __init__(self, *, options: ServerOptions, binaries: Path, home: Home, password: str) -> None:
        self._options = options
        self._binaries = binaries
        self._home = home
        self._password = password
        self._port = options.port
        self._postmaster: Postmaster | None = None
        self._closed = False

    @classmethod
    async def start(cls, options: ServerOptions | None = None) -> Self:
        """Makes the cluster if need be, starts the server, and returns once a connection succeeds.

        Raises:
            EmbeddedPostgresError: the binaries are missing, the directory is held or unfit, or the server
                does not start; the message has the end of its log.
            SettingsError: `settings` name one that is fixed here.
        """
        options = options or ServerOptions()
        refuse_fixed(options.settings)
        await asyncio.to_thread(sweep)
        account = server_account(options.run_as)
        binaries = await asyncio.to_thread(usable_binaries, account)
        home = await Home.claim(KIND, options.directory, account, timeout_seconds=_HOLDER_TIMEOUT_SECONDS)
        try:
            password = home.password(secrets.token_urlsafe(24))
            await asyncio.to_thread(home.prepare, binaries, password=password, durable=not home.temporary)
            server = cls(options=options, binaries=binaries, home=home, password=password)
        except BaseException:
            home.release()
            raise
        try:
            await server._start()
        except BaseException:
            await server.close()
            raise
        return server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"EmbeddedPostgres(root={str(self._home.root)!r}, port={self._port}, running={self.running})"

    @property
    def root(self) -> Path:
        """The home folder: `data`, `run` with the socket, `server.log`."""
        return self._home.root

    @property
    def port(self) -> int:
        return self._port

    @property
    def log(self) -> Path:
        """The server's log, a file of its owner's."""
        return self._home.log

    @property
    def sockets(self) -> Path | None:
        """The folder of the socket (mode 0700), or None where its path would be too long for one."""
        longest = self._home.sockets / f".s.PGSQL.{self._port}"
        return self._home.sockets if len(bytes(longest)) <= _LONGEST_SOCKET_PATH else None

    @property
    def running(self) -> bool:
        return self._postmaster is not None and self._postmaster.running

    @property
    def process_id(self) -> int:
        """The server's first process. Raises EmbeddedPostgresError if it is not running."""
        if self._postmaster is None or not self._postmaster.running:
            raise EmbeddedPostgresError(f"The server in {self.root} is not running: restart it")
        return self._postmaster.process_id

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """A `postgresql://` URL, the superuser's unless another role and its password are given."""
        if password is None and user != SUPERUSER:
            raise ValueError(f"role {user!r} needs its password")
        secret = self._password if password is None else password
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{login}@{HOST}:{self._port}/{quote(database, safe='')}"

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """Makes a database and returns the superuser's DSN to it."""
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(f"CREATE DATABASE {identifier(name)} TEMPLATE {identifier(template)}")
        finally:
            await connection.close()
        return self.dsn(name)

    async def stop(self) -> None:
        """Fast shutdown: open sessions are cut off, and what was committed is written."""
        if self._postmaster is not None:
            await self._postmaster.stop(timeout_seconds=self._options.stop_timeout_seconds)

    async def kill(self) -> None:
        """SIGKILL to all its processes. `restart` recovers from the write-ahead log."""
        if self._postmaster is not None:
            await self._postmaster.kill()

    async def restart(self) -> None:
        """Stops the server if it runs, and starts it on the same port and data. The DSNs stay valid."""
        if self._closed:
            raise EmbeddedPostgresError(f"The server in {self.root} is closed: start another")
        await self.stop()
        await self._launch()

    async def close(self) -> None:
        """Stops the server, removes a temporary cluster, frees the directory. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.stop()
        finally:
            await asyncio.to_thread(self._home.release)

    async def _start(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._port = self._options.port or _free_port()
            try:
                await self._launch()
            except _PortTakenError:
                if self._options.port or attempt == _PORT_ATTEMPTS:
                    raise
            else:
                return

    async def _launch(self) -> None:
        log_start = self.log.stat().st_size if self.log.exists() else 0
        self._postmaster = Postmaster.launch(self._binaries, self._home, self._settings())
        try:
            await self._ready()
        except EmbeddedPostgresError as error:
            await self._postmaster.kill()
            said = self.log.read_bytes()[log_start:].decode(errors="replace")
            kind = _PortTakenError if "could not bind" in said else EmbeddedPostgresError
            raise kind(f"{error}; the end of {self.log}:\n{last_lines(said)}") from None

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.start_timeout_seconds
        while self.running:
            if self._home.announces(self.process_id) and await self._answers():
                return
            if loop.time() > deadline:
                waited = self._options.start_timeout_seconds
                raise EmbeddedPostgresError(f"Postgres gave no answer on port {self._port} in {waited:g} s")
            await asyncio.sleep(0.02)
        raise EmbeddedPostgresError(f"Postgres ended as it started, on port {self._port}")

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn(), timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    def _settings(self) -> dict[str, str]:
        durable = "on" if self._options.fsync else "off"
        return {
            **TUNABLE,
            **self._options.settings,
            **DISCREET,
            "fsync": durable,
            "full_page_writes": durable,
            "hba_file": str(self._home.access_rules),
            "listen_addresses": HOST,
            "port": str(self._port),
            "unix_socket_directories": str(self.sockets or ""),
            "unix_socket_permissions": "0700",
        }


class _PortTakenError(EmbeddedPostgresError):
    """Another process listens on the port."""


def identifier(name: str) -> str:
    """The name as SQL wants it: in double quotes, case kept."""
    return '"' + name.replace('"', '""') + '"'


def _free_port() -> int:
    """A port that nobody listens on at this moment. Another may take it first: the caller tries again."""
    return free_port(KIND)
