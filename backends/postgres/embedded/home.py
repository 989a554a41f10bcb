"""The home folder of one cluster: its data, socket, log, password and lock.

Whoever starts the server owns it. An owner that is root hands the data and the socket to an unprivileged
account and keeps the rest: that account can neither change nor read the log, the password or the rules of
access, and root writes nowhere that this account could have laid a trap.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backends.postgres.embedded.account import (
    PREFIX,
    TEMPORARY_ROOT,
    Account,
    EmbeddedPostgresError,
    last_lines,
    refuse_strangers,
)

_UNLOCKED_GRACE_SECONDS = 3600.0
_ACCESS_RULES = """\
# Passwords only, by SCRAM: no line here trusts anybody.
local all         all              scram-sha-256
local replication all              scram-sha-256
host  all         all 127.0.0.1/32 scram-sha-256
host  replication all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder of one cluster. `lock` is held by its owner and by every process of its server.

    The kernel frees the lock when the last of them is gone, however they went, so a free lock means that
    nobody uses the folder: no process id is compared, none can be taken for another.
    """

    root: Path
    account: Account
    lock: int
    temporary: bool

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sockets(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def access_rules(self) -> Path:
        return self.root / "pg_hba.conf"

    def prepare(self, binaries: Path, *, password: str, durable: bool) -> None:
        """Makes the cluster unless there is one, and writes the rules of access afresh."""
        _write(self.access_rules, _ACCESS_RULES, mode=0o640, gid=self.account.gid)
        self._hand_over(self.sockets)
        if (self.data / "PG_VERSION").exists():
            self._check_cluster(binaries)
        else:
            self._initialise(binaries, password=password, durable=durable)

    def password(self, fresh: str) -> str:
        """The superuser's password: `fresh` for a new cluster, else the one kept in its file (mode 0600)."""
        if self.temporary:
            return fresh
        path = self.root / "superuser.password"
        if not (self.data / "PG_VERSION").exists():
            _write(path, fresh, mode=0o600)
        try:
            return path.read_text()
        except FileNotFoundError:
            raise EmbeddedPostgresError(f"{path} is missing: put the superuser's password back there") from None

    def announces(self, process_id: int) -> bool:
        """Whether the server with this first process has written that it is ready for connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(process_id)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def release(self) -> None:
        """Frees the lock; a temporary home is removed first. The server must be stopped."""
        if self.temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        os.close(self.lock)

    def _initialise(self, binaries: Path, *, password: str, durable: bool) -> None:
        """Initialises beside the final place: an initdb that was cut off leaves nothing that looks whole."""
        unfinished, secret = self.root / "data.new", self.root / "initial.password"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._hand_over(unfinished)
        _write(secret, password, mode=0o400, uid=self.account.uid)
        words = [
            f"--pgdata={unfinished}",
            f"--pwfile={secret}",
            *_INITDB,
            *([] if durable else ["--no-sync"]),
        ]
        try:
            outcome = self.account.run(binaries / "initdb", *words, pass_fds=[self.lock])
        finally:
            secret.unlink()
        if outcome.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed in {self.root}:\n{last_lines(outcome.stdout)}")
        unfinished.rename(self.data)

    def _check_cluster(self, binaries: Path) -> None:
        owner = self.data.stat().st_uid
        if owner != self.account.uid:
            raise EmbeddedPostgresError(
                f"{self.data} belongs to uid {owner}, and the server would run as uid {self.account.uid}: "
                "start it as the account that made it"
            )
        made_by = (self.data / "PG_VERSION").read_text().strip()
        found = self.account.run(binaries / "postgres", "--version").stdout.split()[-1]
        if found.split(".")[0] != made_by:
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, and {found} is installed: "
                "dump it with the older one and restore, or use pg_upgrade"
            )

    def _hand_over(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() != self.account.uid:
            os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)


_INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # sorts by code point on every machine, whatever its C library
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def temporary_home(account: Account, *, root: Path = TEMPORARY_ROOT) -> Home:
    """A new folder under `root`, removed on release, or by `sweep` if its owner never came to that."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    _let_through(folder, account)
    unnamed = folder / "lock.new"
    lock = try_lock(unnamed)
    if lock is None:
        raise EmbeddedPostgresError(f"{unnamed} is locked by another process")
    unnamed.rename(folder / "lock")  # appears only once it is held, so that no sweep can come between
    return Home(root=folder, account=account, lock=lock, temporary=True)


def persistent_home(directory: Path, account: Account) -> Home | None:
    """The folder at `directory`, made if it is missing. None while another process holds it."""
    folder = directory.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_strangers(folder)
    if not (folder / "lock").exists() and any(folder.iterdir()):
        raise EmbeddedPostgresError(f"{folder} holds files that are not a cluster of Custody's: name an empty folder")
    lock = try_lock(folder / "lock")
    if lock is None:
        return None
    _let_through(folder, account)
    return Home(root=folder, account=account, lock=lock, temporary=False)


def try_lock(path: Path) -> int | None:
    """Locks the file, made if it is missing, and returns its descriptor; None if somebody holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())  # for people; no program relies on it
    return descriptor


def sweep(root: Path = TEMPORARY_ROOT) -> list[Path]:
    """Removes this account's temporary homes that nobody uses any more; returns those it removed."""
    return [folder for folder in sorted(root.glob(f"{PREFIX}*")) if _swept(folder)]


def _swept(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if found.st_uid != os.geteuid() or folder.is_symlink():
            return False
        if not (folder / "lock").exists():  # being made at this moment, or cut off in the making
            if time.time() - found.st_mtime < _UNLOCKED_GRACE_SECONDS:
                return False
            shutil.rmtree(folder, ignore_errors=True)
            return True
        lock = try_lock(folder / "lock")
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            return True
    return False


def _let_through(folder: Path, account: Account) -> None:
    """Opens the folder's door, and no more, to the server's account."""
    if os.geteuid() != account.uid:
        os.chown(folder, -1, account.gid, follow_symlinks=False)
        folder.chmod(0o710)
    else:
        folder.chmod(0o700)


def _write(path: Path, text: str, *, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Writes a file of ours whole; as root, hands it to an account, before there is anything in it."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        file.write(text)
