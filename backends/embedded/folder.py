"""The folder of one server, and the lock that says whether it is used.

Whoever starts the server owns it. An owner that is root hands the data to an unprivileged account and keeps the rest:
that account can neither change nor read the log and the password, and root writes nowhere that this account could have
laid a trap.
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
from typing import Self

from backends.embedded.account import TEMPORARY_ROOT, Account, Kind, refuse_strangers
from backends.embedded.waiting import wait_until

_UNLOCKED_GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The folder of one server. `lock` is held by its owner and by every process of the server.

    The kernel frees the lock when the last of them is gone, however they went, so a free lock means that
    nobody uses the folder: no process id is compared, none can be taken for another.
    """

    root: Path
    account: Account
    lock: int
    temporary: bool

    @classmethod
    def make_temporary(cls, kind: Kind, account: Account, *, root: Path = TEMPORARY_ROOT) -> Self:
        """A new folder under `root`, removed on release, or by `sweep` if its owner never came to that."""
        folder = Path(tempfile.mkdtemp(prefix=kind.prefix, dir=root))
        _let_through(folder, account)
        unnamed = folder / "lock.new"
        lock = try_lock(unnamed)
        if lock is None:
            raise kind.error(f"{unnamed} is locked by another process")
        unnamed.rename(folder / "lock")  # appears only once it is held, so that no sweep can come between
        return cls(root=folder, account=account, lock=lock, temporary=True)

    @classmethod
    def take(cls, kind: Kind, directory: Path, account: Account) -> Self | None:
        """The folder at `directory`, made if it is missing. None while another process holds it."""
        folder = directory.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_strangers(kind, folder)
        if not (folder / "lock").exists() and any(folder.iterdir()):
            raise kind.error(f"{folder} holds files that are not a cluster of Custody's: name an empty folder")
        lock = try_lock(folder / "lock")
        if lock is None:
            return None
        _let_through(folder, account)
        return cls(root=folder, account=account, lock=lock, temporary=False)

    @classmethod
    async def claim(cls, kind: Kind, directory: Path | None, account: Account, *, timeout_seconds: float) -> Self:
        """One of these two; a server whose owner was killed may need a moment to end and free its folder."""
        if directory is None:
            return cls.make_temporary(kind, account)
        found: list[Self] = []

        def held() -> bool:
            folder = cls.take(kind, directory, account)
            found.extend([folder] if folder else [])
            return bool(found)

        if not await wait_until(held, timeout_seconds=timeout_seconds):
            raise kind.error(f"Another server runs in {directory}: stop it, or name another directory")
        return found[0]

    def release(self) -> None:
        """Frees the lock; a temporary folder is removed first. The server must be stopped."""
        if self.temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        os.close(self.lock)

    def hand_over(self, folder: Path) -> None:
        """Makes a folder that belongs to the server's account alone."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() != self.account.uid:
            os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)


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


def sweep(kind: Kind, root: Path = TEMPORARY_ROOT) -> list[Path]:
    """Removes this account's temporary folders that nobody uses any more; returns those it removed."""
    return [folder for folder in sorted(root.glob(f"{kind.prefix}*")) if _swept(folder)]


def write(path: Path, text: str, *, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Writes a file of ours whole; as root, hands it to an account, before there is anything in it."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        file.write(text)


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
