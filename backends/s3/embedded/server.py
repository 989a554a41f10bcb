"""A real S3 server in the life of one process: started, used, frozen, killed, started again, and gone."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from backends.postgres.embedded.account import Account, bare_environment, last_lines
from backends.postgres.embedded.postmaster import wait_until
from backends.s3.embedded import settings
from backends.s3.embedded.errors import EmbeddedS3Error
from backends.s3.embedded.home import Home, persistent_home, sweep, temporary_home
from backends.s3.embedded.ports import HOST, Ports
from backends.s3.embedded.program import usable_program
from backends.s3.embedded.readiness import serves

if TYPE_CHECKING:
    from types import TracebackType

_HOLDER_TIMEOUT_SECONDS = 10.0
_KILL_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class S3ServerOptions:
    """How to run a server.

    Without a `directory` its data are temporary: they lie under /var/tmp and are removed on close. With one, they are
    made there or found again, and left. `port` 0 takes a free one; so are all its other ports. Without keys it has
    some of its own, the same again for the same directory. `run_as` is the account the server gets when root starts
    it.
    """

    directory: Path | None = None
    port: int = 0
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    run_as: str = "nobody"
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 3.0


class EmbeddedS3:
    """A server on 127.0.0.1. What it holds is open to whoever is on this machine; the network does not reach it.

    A put that was acknowledged outlives a killed server. A loss of power may take the last ones along: it is for
    trying out, for tests, and for one machine whose blobs are copied elsewhere. It holds nothing that belongs to an
    event loop, so it may be used from several, one after another. On Linux it ends with the thread that started it.
    """

    def __init__(self, *, options: S3ServerOptions, program: Path, home: Home, keys: settings.Keys) -> None:
        self._options = options
        self._program = program
        self._home = home
        self._keys = keys
        self._claims = Ports()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._closed = False

    @classmethod
    async def start(cls, options: S3ServerOptions | None = None) -> Self:
        """Makes the folder if need be, starts the server, and returns once it takes blobs.

        Raises:
            EmbeddedS3Error: the program is missing, the directory is held or unfit, or the server does not start; the
                message has the end of its log.
        """
        options = options or S3ServerOptions()
        await asyncio.to_thread(sweep)
        account = _server_account(options.run_as)
        program = await asyncio.to_thread(usable_program, account)
        home = await _home(options, account)
        try:
            server = cls(options=options, program=program, home=home, keys=_keys(options, home))
            home.prepare()
        except BaseException:
            home.release()
            raise
        try:
            server._ports = settings.claim_ports(options.port, server._claims.take)
            await server._launch()
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
        return f"EmbeddedS3(root={str(self.root)!r}, port={self._ports.get('s3')}, running={self.running})"

    @property
    def root(self) -> Path:
        """The home folder: `data`, `settings`, `server.log`."""
        return self._home.root

    @property
    def log(self) -> Path:
        """The server's log, a file of its owner's: it names buckets and keys, and nothing of what they hold."""
        return self._home.log

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._ports['s3']}"

    @property
    def access_key(self) -> str:
        return self._keys.access_key

    @property
    def secret_key(self) -> str:
        return self._keys.secret_key

    @property
    def running(self) -> bool:
        """Whether its process is there; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """Raises EmbeddedS3Error if it is not running."""
        if self._process is None or not self.running:
            raise EmbeddedS3Error(f"The server in {self.root} is not running: restart it")
        return self._process.pid

    async def stop(self) -> None:
        """Asks it to end; killed if it takes its time, by which nothing that was acknowledged is lost."""
        if not self.running:
            return
        self.thaw()
        self._signal(signal.SIGTERM)
        if not await wait_until(lambda: not self.running, timeout_seconds=self._options.stop_timeout_seconds):
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, also to a frozen one."""
        if not self.running:
            return
        self._signal(signal.SIGKILL)
        if not await wait_until(lambda: not self.running, timeout_seconds=_KILL_TIMEOUT_SECONDS):
            raise EmbeddedS3Error(f"Server process {self.process_id} outlives SIGKILL: look at the disk")

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers. `thaw` lets it go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Stops the server if it runs, and starts it on the same ports and data; returns once it takes blobs."""
        if self._closed:
            raise EmbeddedS3Error(f"The server in {self.root} is closed: start another")
        await self.stop()
        await self._launch()

    async def close(self) -> None:
        """Stops the server, removes temporary data, frees the directory. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            await (self.kill() if self._home.temporary else self.stop())
            self._claims.tidy()
        finally:
            self._claims.release()
            await asyncio.to_thread(self._home.release)

    async def _launch(self) -> None:
        self._claims.tidy()
        for name, text in settings.files(self._keys).items():
            self._home.write_settings(name, text)
        self._execute()
        try:
            await self._ready()
        except EmbeddedS3Error:
            await self.kill()
            raise

    def _execute(self) -> None:
        """Starts the process. Linux ends it with the thread that called this: call it from the main thread."""
        words = settings.words(self._ports, data=self._home.data, settings=self._home.settings)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._log_start = os.fstat(log).st_size
            self._process = subprocess.Popen(  # noqa: S603 - fixed words and paths of ours, no shell
                self._home.account.command(self._program, *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**bare_environment(), "HOME": str(self._home.data)},
                cwd="/",
                pass_fds=[self._home.lock],
                umask=0o077,
                start_new_session=True,  # Ctrl-C at the terminal is for the owner, who stops the server last
            )
        finally:
            os.close(log)

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.start_timeout_seconds
        while self.running:
            if await serves(gateway=self._ports["s3"], master=self._ports["master"]):
                return
            if loop.time() > deadline:
                raise EmbeddedS3Error(self._said("gave no answer in time"))
            await asyncio.sleep(_POLL_SECONDS)
        raise EmbeddedS3Error(self._said("ended as it started"))

    def _said(self, what: str) -> str:
        said = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        return f"The S3 server on port {self._ports['s3']} {what}; the end of {self.log}:\n{last_lines(said)}"

    def _signal(self, number: signal.Signals) -> None:
        """To a process that is there; one that has ended takes none."""
        if self._process is not None:
            self._process.send_signal(number)


def _server_account(run_as: str) -> Account:
    """The caller's own account, or, for root, that of `run_as`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(run_as)
    except KeyError:
        raise EmbeddedS3Error(f"This machine has no account {run_as!r} to run the S3 server as") from None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _keys(options: S3ServerOptions, home: Home) -> settings.Keys:
    return settings.Keys(
        access_key=options.access_key or home.kept("access.key", f"custody{secrets.token_hex(8)}"),
        secret_key=options.secret_key or home.kept("secret.key", secrets.token_urlsafe(30)),
        internal=secrets.token_hex(32),
        encryption=home.kept("encryption.key", secrets.token_hex(32)),
    )


async def _home(options: S3ServerOptions, account: Account) -> Home:
    """The server's folder; one whose owner was killed may need a moment to end and free it."""
    if options.directory is None:
        return temporary_home(account)
    directory = options.directory
    found: list[Home] = []

    def held() -> bool:
        home = persistent_home(directory, account)
        found.extend([home] if home else [])
        return bool(found)

    if not await wait_until(held, timeout_seconds=_HOLDER_TIMEOUT_SECONDS):
        raise EmbeddedS3Error(f"Another server runs in {directory}: stop it, or name another directory")
    return found[0]
